"""WebSockets that a generator answers: one run per connection, resumed when what it waits for is there."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import pytest
from wire import HANDSHAKE, asked, message, opened, received

from microsock import App, WebSocket, WebSocketClosed, sleep

LOG = list[Any]
Talk = Generator[Any, Any, None]


@pytest.fixture
def log() -> LOG:
    return []


def serving(talk: Callable[[WebSocket], Talk]) -> App:
    """An app whose one WebSocket is this generator function."""
    app = App()
    app.websocket("/ws")(talk)
    return app


# Verbs.


def test_each_verb_gives_what_it_is_named_after() -> None:
    def talk(ws: WebSocket) -> Talk:
        ws.send([(yield from ws.receive()), (yield from ws.text()), (yield from ws.json())])
        ws.send((yield from ws.receive()))
        ws.send((yield from ws.binary()))

    _, ws = opened(serving(talk))
    for sent in ("one", "two", {"three": 3}, b"four", b"five"):
        ws.send(sent)
    assert received(ws) == ['["one","two",{"three":3}]', b"four", b"five"]
    assert ws.closed == (1000, "")


def test_a_helper_generator_may_wait_too() -> None:
    def ask(ws: WebSocket, question: str) -> Generator[Any, Any, str]:
        ws.send(question)
        return (yield from ws.text())

    def talk(ws: WebSocket) -> Talk:
        name = yield from ask(ws, "name?")
        ws.send("hello " + name)

    _, ws = opened(serving(talk))
    assert ws.receive() == "name?"
    ws.send("you")
    assert ws.receive() == "hello you"


def test_sleep_lasts_as_long_as_it_says() -> None:
    def talk(ws: WebSocket) -> Talk:
        for number in range(3):
            yield from sleep(2)
            ws.send(str(number))

    client, ws = opened(serving(talk))
    client.advance(1.9)
    assert received(ws) == []
    client.advance(2.2)
    assert received(ws) == ["0", "1"]


def test_to_sleep_for_no_time_lets_others_have_their_turn() -> None:
    def talk(ws: WebSocket) -> Talk:
        while ws.close_code is None:
            yield from sleep(0)

    app = serving(talk)

    @app.get("/")
    def index(request: object) -> str:
        return "here"

    _, connection = asked(app, b"")
    world = connection._wire.world
    connection._wire.transport.deliver(HANDSHAKE)
    other = world.connect(("127.0.0.1", 2))  # type: ignore[arg-type]
    other.transport.deliver(b"GET / HTTP/1.0\r\n\r\n")
    for _ in range(10):
        world._turn()
    assert b"here" in (other.transport.take() or b"")


def test_receive_may_have_a_timeout(log: LOG) -> None:
    def talk(ws: WebSocket) -> Talk:
        try:
            yield from ws.receive(timeout=5)
        except TimeoutError as error:
            log.append(str(error))
        log.append((yield from ws.text(timeout=5)))

    client, ws = opened(serving(talk))
    client.advance(4.9)
    assert log == []
    client.advance(0.1)
    assert log == ["no message in time"]
    client.advance(4.9)
    ws.send("in time")
    client.advance(60)
    assert log == ["no message in time", "in time"]


def test_a_timeout_that_nobody_catches_is_an_error_like_any_other(caplog: pytest.LogCaptureFixture) -> None:
    def talk(ws: WebSocket) -> Talk:
        yield from ws.receive(timeout=1)

    client, ws = opened(serving(talk))
    client.advance(1)
    assert ws.closed == (1011, "internal error")
    assert "TimeoutError" in caplog.text


@pytest.mark.parametrize(("verb", "sent", "code"), [("text", b"a", 1003), ("binary", "a", 1003), ("json", "{", 1007)])
def test_a_message_of_a_wrong_type_closes_with_its_code(
    verb: str, sent: str | bytes, code: int, caplog: pytest.LogCaptureFixture, log: LOG
) -> None:
    def talk(ws: WebSocket) -> Talk:
        try:
            yield from getattr(ws, verb)()
        except WebSocketClosed as closed:
            log.append((closed.code, closed.by_peer))
            raise

    _, ws = opened(serving(talk))
    ws.send(sent)
    assert ws.closed is not None
    assert ws.closed[0] == code
    assert log == [(code, False)]
    assert caplog.records == []


def test_flushed_waits_until_what_was_sent_has_left(log: LOG) -> None:
    def talk(ws: WebSocket) -> Talk:
        yield from ws.flushed()
        log.append("at once")
        ws.send(bytes(100_000))
        yield from ws.flushed()
        log.append(ws.queued_bytes)

    opened(serving(talk))
    assert log == ["at once", 0]
    log.clear()
    _, connection = asked(serving(talk), HANDSHAKE, capacity=1000)
    assert log == ["at once"]
    connection.receive(99_000)
    assert log == ["at once"]
    connection.receive()
    assert log == ["at once", 0]


def test_a_generator_that_does_not_stop_at_anything_still_gives_others_their_turn(log: LOG) -> None:
    def talk(ws: WebSocket) -> Talk:
        for number in range(200):
            yield from ws.flushed()
            log.append(number)

    _, ws = opened(serving(talk))
    assert log == list(range(200))
    assert ws.closed == (1000, "")


# Messages.


def test_messages_wait_for_a_generator_that_is_busy() -> None:
    def talk(ws: WebSocket) -> Talk:
        yield from sleep(1)
        for _ in range(3):
            ws.send((yield from ws.receive()))

    client, ws = opened(serving(talk))
    for sent in ("a", b"b", "c"):
        ws.send(sent)
    assert received(ws) == []
    client.advance(1)
    assert received(ws) == ["a", b"b", "c"]


@pytest.mark.parametrize("size", [1, 10_000])
def test_a_flood_waits_unread_for_a_generator_that_sleeps(size: int, log: LOG) -> None:
    count = 1000 if size == 1 else 100

    def talk(ws: WebSocket) -> Talk:
        yield from sleep(1000)
        for _ in range(count):
            log.append(len((yield from ws.receive())))

    client, ws = opened(serving(talk))
    ws.send_frame(message(bytes(size)) * count)
    client.advance(999)
    # What the network still holds is not in our memory.
    unread = len(ws._connection.wire.transport._inbound)
    assert count * len(message(bytes(size))) - unread < 4 * 65536
    assert ws.closed is None
    client.advance(1)
    assert log == [size] * count


def test_a_generator_that_sleeps_between_messages_gets_them_all(log: LOG) -> None:
    def talk(ws: WebSocket) -> Talk:
        while len(log) < 100:
            log.append((yield from ws.text()))
            yield from sleep(0.1)

    client, _ = asked(serving(talk), HANDSHAKE + b"".join(message(str(number)) for number in range(100)))
    client.advance(11)
    assert log == [str(number) for number in range(100)]


def test_messages_behind_the_generators_end_are_dropped(log: LOG) -> None:
    def talk(ws: WebSocket) -> Talk:
        log.append((yield from ws.text()))

    _, connection = asked(serving(talk), HANDSHAKE + message("a") + message("b"))
    connection.send(message("c"))
    assert log == ["a"]
    assert connection.receive().endswith(b"\x88\x02\x03\xe8")


# Misuse.


@pytest.mark.parametrize(
    ("yielded", "complaint"),
    [(None, "bare 'yield'"), ("text", "write 'ws.send"), (sleep(1), "write 'yield from' in front of it")],
)
def test_a_yield_that_is_no_verb_is_refused_with_what_to_write(
    yielded: object, complaint: str, caplog: pytest.LogCaptureFixture
) -> None:
    def talk(ws: WebSocket) -> Talk:
        yield yielded

    _, ws = opened(serving(talk))
    assert ws.closed == (1011, "internal error")
    assert complaint in caplog.text


def test_a_generators_error_reaches_on_error_and_cannot_be_kept(log: LOG, caplog: pytest.LogCaptureFixture) -> None:
    app = App()

    @app.websocket("/ws")
    def talk(ws: WebSocket) -> Talk:
        yield from ws.receive()
        raise ValueError("on purpose")

    @talk.on_error
    def on_error(ws: WebSocket, error: Exception) -> bool:
        log.append(str(error))
        return True

    _, ws = opened(app)
    ws.send("x")
    assert (log, ws.closed) == (["on purpose"], (1011, "internal error"))
    assert "error in WebSocket handler 'talk'" in caplog.text
