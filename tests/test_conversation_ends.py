"""How a generator learns that its WebSocket is over, and what it still gets."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import Any

import pytest
from wire import HANDSHAKE, asked, message, opened, received

from microsock import App, WebSocket, WebSocketClosed, sleep
from microsock.testing import build_frame, read_frames
from microsock.testing.frames import CLOSE

LOG = list[Any]
Talk = Generator[Any, Any, None]
VERBS: dict[str, Callable[[WebSocket], Iterable[Any]]] = {
    "receive": lambda ws: ws.receive(),
    "timed": lambda ws: ws.receive(timeout=1000),
    "sleep": lambda ws: sleep(1000),
    "flushed": lambda ws: flushed(ws),
}


def flushed(ws: WebSocket) -> Talk:
    ws.send(bytes(50_000))
    yield from ws.flushed()


@pytest.fixture
def log() -> LOG:
    return []


def serving(talk: Callable[[WebSocket], Talk], log: LOG | None = None) -> App:
    """An app whose one WebSocket is this generator function; ``log`` gets what ``on_close`` is told."""
    app = App()
    route = app.websocket("/ws")(talk)
    if log is not None:

        @route.on_close
        def on_close(ws: WebSocket, code: int, reason: str) -> None:
            log.append(("on_close", code))

    return app


def waiting(verb: str, log: LOG) -> App:
    """A generator that waits by a verb and notes how that ended."""

    def talk(ws: WebSocket) -> Talk:
        try:
            yield from VERBS[verb](ws)
        except WebSocketClosed as closed:
            log.append((closed.code, closed.reason, closed.by_peer))
            raise

    return serving(talk, log)


@pytest.mark.parametrize("verb", VERBS)
def test_the_peers_close_is_raised_where_the_generator_waits(
    verb: str, log: LOG, caplog: pytest.LogCaptureFixture
) -> None:
    client, connection = asked(waiting(verb, log), HANDSHAKE, capacity=1000)
    connection.send(build_frame(CLOSE, b"\x0b\xb8bye"))
    assert log == [(3000, "bye", True), ("on_close", 3000)]
    answer = connection.receive()
    assert answer.endswith(b"\x88\x05\x0b\xb8bye")
    connection.close()
    client.advance(0)
    assert connection.closed
    assert client.world.timers.next_due() is None
    assert caplog.records == []


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("reset", [False, True])
def test_a_peer_that_is_gone_is_raised_there_as_1006(verb: str, reset: bool, log: LOG) -> None:
    client, connection = asked(waiting(verb, log), HANDSHAKE, capacity=1000)
    connection.close(reset=reset)
    assert log == [(1006, "", True), ("on_close", 1006)]
    assert connection.closed
    assert client.world.timers.next_due() is None


def test_a_half_close_is_the_end_too(log: LOG) -> None:
    _, connection = asked(waiting("sleep", log), HANDSHAKE)
    connection.half_close()
    assert log == [(1006, "", True), ("on_close", 1006)]
    assert connection.closed


def test_to_wait_for_a_message_after_ones_own_close_raises(log: LOG) -> None:
    def talk(ws: WebSocket) -> Talk:
        ws.close(4000, "bye")
        yield from sleep(1)
        try:
            yield from ws.receive()
        except WebSocketClosed as closed:
            log.append((closed.code, closed.by_peer))

    client, connection = asked(serving(talk), HANDSHAKE)
    client.advance(1)
    assert log == [(4000, False)]
    assert connection.receive().endswith(b"\x88\x05\x0f\xa0bye")


def test_a_close_by_others_while_it_waits_is_raised_once_the_peer_answers(log: LOG) -> None:
    app = waiting("receive", log)
    _, ws = opened(app)
    app.websockets[0].close(4000, "kicked")
    assert log == []
    ws.resume()
    assert ws.closed == (4000, "kicked")
    assert log == [(4000, "kicked", False), ("on_close", 4000)]


def test_a_peer_that_does_not_answer_our_close_is_cut_after_close_timeout(log: LOG) -> None:
    client, connection = asked(waiting("receive", log), HANDSHAKE, close_timeout=5)
    client.app.websockets[0].close(4000)
    client.advance(4.9)
    assert log == []
    client.advance(0.1)
    assert connection.closed
    assert log == [(1006, "", True), ("on_close", 1006)]


def test_to_send_after_the_end_raises_in_the_handler(log: LOG) -> None:
    def talk(ws: WebSocket) -> Talk:
        try:
            yield from ws.receive()
        except WebSocketClosed:
            acts: list[Callable[[], None]] = [lambda: ws.send("late"), ws.ping, lambda: ws.subscribe("late")]
            for act in acts:
                try:
                    act()
                except WebSocketClosed as closed:
                    log.append(closed.code)
        ws.close()

    _, ws = opened(serving(talk))
    ws.close(3000)
    assert log == [3000, 3000, 3000]


# One that does not want to hear it.


@pytest.mark.parametrize("verb", VERBS)
def test_a_generator_that_swallows_the_end_and_waits_again_is_closed(verb: str, log: LOG) -> None:
    def talk(ws: WebSocket) -> Talk:
        try:
            while True:
                try:
                    yield from VERBS[verb](ws) if ws.close_code is None else ws.receive()
                except WebSocketClosed:
                    log.append("swallowed")
        except GeneratorExit:
            log.append("closed")
            raise

    client, connection = asked(serving(talk, log), HANDSHAKE, capacity=1000)
    connection.close()
    assert log == ["swallowed", "closed", ("on_close", 1006)]
    assert client.world.timers.next_due() is None


def test_one_that_will_not_be_closed_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def talk(ws: WebSocket) -> Talk:
        while True:
            try:
                yield from ws.receive()
            except (WebSocketClosed, GeneratorExit):
                if ws.user == 2:
                    raise
                ws.user = (ws.user or 0) + 1

    _, connection = asked(serving(talk), HANDSHAKE)
    connection.close()
    assert "generator ignored GeneratorExit" in caplog.text
    assert connection.closed


def test_an_error_while_it_cleans_up_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def talk(ws: WebSocket) -> Talk:
        try:
            yield from ws.receive()
        finally:
            raise ValueError("on purpose")

    _, connection = asked(serving(talk), HANDSHAKE)
    connection.close()
    assert "ValueError: on purpose" in caplog.text
    assert connection.closed


def test_it_may_end_quietly_by_itself(log: LOG) -> None:
    def talk(ws: WebSocket) -> Talk:
        yield from sleep(1)
        ws.send("bye")

    client, ws = opened(serving(talk, log))
    client.advance(1)
    assert (received(ws), ws.closed) == (["bye"], (1000, ""))
    assert log == [("on_close", 1000)]


# Messages that came before the end.

LAST_WORDS = b"".join(message(str(number)) for number in range(5)) + build_frame(CLOSE, b"\x03\xe8")


def test_messages_that_came_before_the_close_are_read_first(log: LOG) -> None:
    def talk(ws: WebSocket) -> Talk:
        while True:
            log.append((yield from ws.text()))

    asked(serving(talk, log), HANDSHAKE + LAST_WORDS)
    assert log == ["0", "1", "2", "3", "4", ("on_close", 1000)]


def test_also_by_one_that_waits_for_its_answers_to_leave(log: LOG) -> None:
    def talk(ws: WebSocket) -> Talk:
        try:
            while True:
                log.append((yield from ws.text()))
                if ws.close_code is None:
                    ws.send("got it")
                yield from ws.flushed()
        except WebSocketClosed:
            log.append("closed")
            raise

    asked(serving(talk, log), HANDSHAKE + LAST_WORDS)
    assert log == ["0", "1", "2", "3", "4", "closed", ("on_close", 1000)]


def test_one_that_sleeps_hears_of_the_end_at_once_and_may_still_read_what_came_before(log: LOG) -> None:
    def talk(ws: WebSocket) -> Talk:
        try:
            yield from sleep(1000)
        except WebSocketClosed:
            log.append("closed")
        while True:
            log.append((yield from ws.text()))

    asked(serving(talk), HANDSHAKE + LAST_WORDS)
    assert log == ["closed", "0", "1", "2", "3", "4"]


def test_after_ones_own_close_what_came_before_it_is_gone(log: LOG) -> None:
    def talk(ws: WebSocket) -> Talk:
        yield from sleep(1)
        ws.close()
        log.append((yield from ws.text()))

    client, _ = asked(serving(talk), HANDSHAKE + message("a"))
    client.advance(1)
    assert log == []


# When the server stops.


def test_a_site_that_drains_says_1001_and_waits_for_the_answer(log: LOG) -> None:
    client, connection = asked(waiting("receive", log), HANDSHAKE)
    client.world.drain()
    frame = list(read_frames(bytearray(connection.receive().partition(b"\r\n\r\n")[2])))[-1]
    assert (frame.opcode, frame.payload) == (CLOSE, b"\x03\xe9the server is going away")
    assert log == []
    connection.send(build_frame(CLOSE, b"\x03\xe9"))
    assert log == [(1001, "", False), ("on_close", 1001)]
    assert connection.receive() == b""
    assert connection.ended
