"""A connection on a memory transport: turns, back-pressure, half-closes and the end. Deadlines are in test_patience,
what happens when the server stops in test_draining.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from wire import HANDSHAKE, ask, asked, body_of, handshake, message, statuses

from microsock import App, Request, Response, WebSocket, WebSocketClosed, sleep
from microsock.testing import read_frames

from .line import Line
from .sample import Sample


def test_it_asks_for_what_it_can_use() -> None:
    line = Line(Sample().app)
    assert line.transport.watched == (True, False)
    line.send(ask("/large"))
    assert line.transport.watched == (True, True)
    assert len(line.take()) > 1_000_000
    assert line.transport.watched == (True, False)
    line.transport.half_close()
    line.go_on()
    assert (line.transport.watched, line.ended) == ((False, False), 1)


def test_a_head_and_a_small_body_leave_in_one_call_and_a_large_body_in_few() -> None:
    line = Line(Sample().app)
    line.send(ask())
    assert len(line.transport.sizes) == 1
    line.take()
    line.transport.sizes.clear()
    line.send(ask("/large"))
    line.take()
    assert len(line.transport.sizes) < 50


@pytest.mark.parametrize("room", [1, 60, 61, 62, 119, 120, 121, 5000, 65_536, 65_537, 200_000])
def test_a_head_and_a_large_body_arrive_whole_however_much_the_kernel_takes(room: int) -> None:
    app, body = App(), bytes(range(256)) * 300
    app.get("/")(lambda request: Response(body, headers={"X-A": "b"}))
    line = Line(app)
    line.transport._capacity = room
    line.send(ask())
    head, _, said = line.take().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK")
    assert said == body
    assert line.connection.queued_bytes == 0
    assert line.connection.sent == len(head) + 4 + len(body)
    line.send(ask())
    assert line.take().endswith(body)


def test_a_large_body_is_read_in_large_pieces_and_never_64_kib_past_its_end() -> None:
    line, size = Line(Sample().app), 600_000
    request = ask(method="POST", body=bytes(size))
    line.send(request[:1000])
    line.transport.room.clear()
    line.send(request[1000:])
    left, past, most = len(request) - 1000, 64 << 10, 256 << 10
    for room in line.transport.room:
        assert room == min(most, left + past)
        left -= room
    assert left <= 0
    assert line.take().endswith(bytes(size))


def test_the_same_answers_come_however_the_requests_are_cut() -> None:
    data = ask() + ask(method="POST", body=b"hello") + ask("/missing") + HANDSHAKE + message("a") + message("b")
    whole = asked(Sample().app, data)[1].receive()
    assert statuses(whole) == [200, 200, 404, 101]
    _, connection = asked(Sample().app, b"")
    for index in range(len(data)):
        connection.send(data[index : index + 1])
    assert connection.receive() == whole


def test_pipelined_requests_are_answered_in_order_and_not_parsed_ahead() -> None:
    sample = Sample()
    _, connection = asked(sample.app, ask("/?1") + ask("/later") + ask("/?2") + b"\0")
    assert sample.seen == ["1"]
    sample.tokens[0].complete("at last")
    answers = connection.receive()
    assert statuses(answers) == [200, 200, 200, 400]
    assert answers.index(b"at last") < answers.rindex(b"index")
    assert connection.ended


def test_many_pipelined_requests_are_answered_over_several_turns() -> None:
    sample = Sample()
    _, connection = asked(sample.app, ask("/?x") * 500)
    assert statuses(connection.receive()) == [200] * 500


def test_while_an_answer_is_due_it_reads_on_for_about_64_kib_and_then_stops() -> None:
    sample = Sample()
    line = Line(sample.app)
    line.send(ask("/later"))
    assert line.transport.watched == (True, False)
    line.send(ask("/?x") * 50_000)
    held = line.connection.received - len(ask("/later"))
    assert 65536 <= held <= 2 * 65536
    assert line.transport.watched == (False, False)
    sample.tokens[0].complete("go on")
    line.world.settle()
    assert line.transport.watched[0]
    line.go_on()
    assert sample.seen


def test_a_half_empty_line_between_requests_keeps_nobody_busy() -> None:
    _, connection = asked(Sample().app, ask() + b"\r")
    assert statuses(connection.receive()) == [200]
    connection.send(b"\n" + ask())
    assert statuses(connection.receive()) == [200]


def test_what_comes_in_while_a_stream_goes_out_waits_for_its_end() -> None:
    sample = Sample()
    _, connection = asked(sample.app, ask("/stream") + ask("/?behind"), capacity=20_000)
    assert sample.seen == []
    assert connection.receive().endswith(b"index")
    assert sample.seen == ["behind"]


# Ends.


@pytest.mark.parametrize("data", [b"", b"\r\n", ask()])
def test_a_peer_that_ends_its_stream_between_requests_is_closed(data: bytes) -> None:
    _, connection = asked(Sample().app, data)
    connection.half_close()
    connection.receive()
    assert (connection.ended, connection.closed, connection.was_reset) == (True, True, False)


def test_a_peer_that_ends_its_stream_gets_all_of_a_large_answer() -> None:
    _, connection = asked(Sample().app, ask("/large"), capacity=1000)
    connection.half_close()
    assert not connection.closed
    assert len(body_of(connection.receive())) == 1_000_000
    assert connection.closed


def test_after_the_last_answer_it_ends_its_own_side_and_waits_for_the_peer() -> None:
    _, connection = asked(Sample().app, ask("/", "Connection: close"))
    connection.receive()
    assert (connection.ended, connection.closed) == (True, False)
    connection.send(b"whatever")
    assert not connection.closed
    connection.half_close()
    assert (connection.closed, connection.was_reset) == (True, False)


@pytest.mark.parametrize("reset", [True, False])
def test_a_peer_that_leaves_in_the_middle_of_an_answer_is_forgotten(
    reset: bool, caplog: pytest.LogCaptureFixture
) -> None:
    line = Line(Sample().app)
    line.send(ask("/large"))
    line.transport.hang_up(reset=reset)
    line.go_on()
    assert (line.transport.closed, line.ended) == (True, 1)
    assert line.connection.queued_bytes == 0
    assert line.world.timers.next_due() is None
    assert caplog.records == []


def test_to_abort_again_or_to_get_news_after_the_end_does_nothing() -> None:
    line = Line(Sample().app)
    line.connection.abort()
    line.connection.abort()
    line.connection.handle(True, True)
    line.connection.drain()
    line.world.settle()
    assert line.ended == 1


def test_news_that_turn_out_to_be_none_do_no_harm() -> None:
    line = Line(Sample().app)
    line.connection.handle(True, True)
    line.send(ask())
    assert statuses(line.take()) == [200]


@pytest.mark.parametrize("kind", ["function", "generator"])
def test_a_handler_may_have_its_own_connection_cut(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    sample = Sample()

    @sample.app.websocket("/function")
    def function(ws: WebSocket, message: str) -> str:
        line.connection.abort()
        return message

    @sample.app.websocket("/generator")
    def generator(ws: WebSocket) -> Generator[Any, Any, None]:
        line.connection.abort()
        yield from ws.receive()

    @generator.on_close
    @function.on_close
    def closed(ws: WebSocket, code: int, reason: str) -> None:
        sample.seen.append(f"closed {code}")

    line = Line(sample.app)
    line.send(handshake("/" + kind) + message("a") + message("b"))
    assert (line.ended, sample.seen) == (1, ["closed 1006"])
    assert line.world.timers.next_due() is None
    assert caplog.records == []


def test_an_error_of_ours_ends_one_connection_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    app = Sample().app

    @app.on_response
    def surprise(request: Request, response: object) -> None:
        # Beyond what the hooks guard against: a body that changes while it is sent.
        response._body = 5  # type: ignore[attr-defined]

    line = Line(app)
    line.send(ask())
    assert line.ended == 1
    assert "unexpected error on the connection from 1.2.3.4" in caplog.text


def counting(line: list[int]) -> App:
    """An app whose WebSocket sleeps for a second, and from then on notes the size of each message."""
    app = App()

    @app.websocket("/ws")
    def count(ws: WebSocket) -> Generator[Any, Any, None]:
        yield from sleep(1)
        while True:
            line.append(len((yield from ws.binary())))

    return app


def test_a_websocket_that_was_not_read_from_is_read_again_once_all_that_came_is_used_up() -> None:
    sizes: list[int] = []
    line = Line(counting(sizes))
    line.send(HANDSHAKE)
    for _ in range(8):
        line.send(message(bytes(16 << 10)))
    assert line.transport.watched == (False, False)
    line.world.advance(1)
    assert sizes == [16 << 10] * 8
    line.send(message(b"more"))
    assert sizes[8:] == [4]


def test_messages_that_wait_behind_a_push_are_read_as_soon_as_the_handler_asks_for_them() -> None:
    sizes: list[int] = []
    line = Line(counting(sizes))
    # In one turn of the loop: a push that is still to be sent, and then a generator that wakes up.
    line.world.timers.call_at(1, lambda: line.connection.push(b"\x82\x00"))
    line.send(HANDSHAKE)
    for _ in range(8):
        line.send(message(bytes(16 << 10)))
    line.world.advance(1)
    assert sizes == [16 << 10] * 8


class Listeners:
    """One WebSocket that follows a topic and has room for two megabytes; it may be queued a tenth of one."""

    def __init__(self) -> None:
        app, self.sockets = App(), list[WebSocket]()

        @app.websocket("/ws")
        def listen(ws: WebSocket, message: str) -> None: ...

        @listen.on_open
        def follow(ws: WebSocket) -> None:
            self.sockets.append(ws)
            ws.subscribe("news")

        self.line = Line(app, max_queued_bytes=100_000)
        self.line.transport._capacity = 2_000_000
        self.line.send(HANDSHAKE)
        self.line.take()

    def burst(self, kind: str) -> None:
        """A hundred messages at once, 1 MB in all, from outside the handler."""
        send = self.sockets[0].send if kind == "sent" else partial(self.line.world.site.app.publish, "news")

        def send_all() -> None:
            with suppress(WebSocketClosed):
                for _ in range(100):
                    send(bytes(10_000))

        self.line.world.timers.call_at(1, send_all)
        self.line.world.advance(1)


@pytest.mark.parametrize("kind", ["published", "sent"])
def test_a_burst_is_handed_over_as_it_grows_so_that_nobody_looks_slow_who_is_not(kind: str) -> None:
    listeners = Listeners()
    listeners.burst(kind)
    frames = list(read_frames(bytearray(listeners.line.take())))
    assert [len(frame.payload) for frame in frames] == [10_000] * 100


@pytest.mark.parametrize("kind", ["published", "sent"])
def test_a_burst_that_takes_long_leaves_while_it_grows_so_that_who_reads_is_not_slow(kind: str) -> None:
    # No turn comes while a handler runs. A peer that could take nothing until then would look as if it did not read.
    listeners = Listeners()
    line, taken = listeners.line, bytearray()

    def now() -> float:
        line.world._clock += 0.02
        while piece := line.transport.take():
            taken.extend(piece)
        return line.world._clock

    line.world.site.reader_grace, line.world.site.now = 1.0, now
    listeners.burst(kind)
    taken += line.take()
    assert [len(frame.payload) for frame in read_frames(taken)] == [10_000] * 100
    assert not line.connection.closed


@pytest.mark.parametrize("kind", ["published", "sent"])
def test_a_burst_for_a_peer_that_has_gone_ends_its_connection_and_no_other(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    listeners = Listeners()
    listeners.line.transport.hang_up(reset=True)
    listeners.burst(kind)
    assert listeners.line.ended == 1
    assert caplog.records == []


def test_what_is_written_to_a_connection_that_has_closed_is_forgotten() -> None:
    line = Line(Sample().app)
    line.connection.abort()
    line.connection.write([b"late"])
    line.connection.push(b"late")
    line.world.settle()
    assert line.connection.queued_bytes == 0
    assert line.transport.take() == b""


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("size", [0, 1, 70_000])
def test_empty_lines_are_counted_anew_for_each_request(debug: bool, size: int) -> None:
    app = App(debug=debug)
    app.post("/")(lambda request: "ok")
    client, connection = asked(app, b"")
    for _ in range(20):
        connection.send(ask(method="POST", body=bytes(size)) if size else ask("/", "Content-Length: 0", method="POST"))
        assert statuses(connection.receive()) == [200]
        connection.send(b"\r\n")
        assert connection.receive() == b""
    connection.send(b"\r\n" * 9)
    assert statuses(connection.receive()) == [400]
    client.close()


# An answer that is made after somebody has asked to stop is the last on its connection.


@pytest.mark.parametrize("target", ["/", "/stream", "/waits"])
@pytest.mark.parametrize("debug", [False, True])
def test_a_signal_while_a_handler_runs_makes_its_answer_the_last(target: str, debug: bool) -> None:
    app = App(debug=debug)

    def stop() -> None:
        line.world.site.ending = True

    @app.get("/")
    def plain(request: Request) -> str:
        stop()
        return "x"

    @app.get("/stream")
    def stream(request: Request) -> Generator[str, None, None]:
        stop()
        yield "x"

    @app.get("/waits", blocking=True)
    def waits(request: Request) -> str:
        stop()
        return "x"

    line = Line(app)
    line.send(ask(target))
    line.world.settle()
    answer = line.take()
    assert b"connection: close\r\n" in answer.lower()
    assert statuses(answer) == [200]


@pytest.mark.parametrize("body", ["text", ["a", "stream"], ""])
@pytest.mark.parametrize("debug", [False, True])
def test_reset_content_has_no_content_and_says_so(body: Any, debug: bool) -> None:
    app = App(debug=debug)
    app.post("/")(lambda request: Response(iter(body) if isinstance(body, list) else body, 205))
    client, connection = asked(app, ask("/", "Content-Length: 0", method="POST") * 2)
    answers = connection.receive()
    assert statuses(answers) == [205, 205]
    assert answers.lower().count(b"content-length: 0\r\n") == 2
    assert answers.endswith(b"\r\n\r\n")
    assert b"chunked" not in answers
    client.close()
