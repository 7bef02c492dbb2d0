"""Answers whose body is streamed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from wire import ask, asked, body_of, statuses

from microsock import App, Request, Response, sleep

PIECE = bytes(1000)


class Streams:
    """An app that streams, and what its producers noticed."""

    def __init__(self) -> None:
        self.app = App()
        self.pulled = 0
        self.notes: list[str] = []

        @self.app.get("/endless")
        def endless(request: Request) -> Iterator[bytes]:
            try:
                while True:
                    self.pulled += 1
                    yield PIECE
            except GeneratorExit:
                self.notes.append("left")
                raise
            finally:
                self.notes.append("over")

        @self.app.get("/sleeps")
        def sleeps(request: Request) -> Any:
            try:
                yield "one"
                yield from sleep(3)
                yield "two"
                yield from sleep(3)
            finally:
                self.notes.append("over")

        @self.app.get("/count")
        def count(request: Request) -> Iterator[str]:
            for number in range(int(request.args.get("to", "3"))):
                self.pulled += 1
                yield str(number)

        @self.app.get("/breaks")
        def breaks(request: Request) -> Any:
            if request.args.get("at") == "first":
                raise ValueError("on purpose")
            yield "one"
            if request.args.get("after"):
                yield from sleep(1)
            raise ValueError("on purpose")

        @self.app.get("/length")
        def length(request: Request) -> Response:
            return Response(iter(["hello"]), headers=[("Content-Length", value) for value in request.args.getlist("n")])


def test_pieces_become_chunks_and_the_connection_stays() -> None:
    _, connection = asked(Streams().app, ask("/count") + ask("/count?to=1"))
    answers = connection.receive()
    assert body_of(answers).startswith(b"1\r\n0\r\n1\r\n1\r\n1\r\n2\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n")
    assert answers.endswith(b"\r\n\r\n1\r\n0\r\n0\r\n\r\n")
    assert b"Content-Type: text/html; charset=utf-8\r\n" in answers


def test_a_stream_without_items_is_an_empty_body() -> None:
    _, connection = asked(Streams().app, ask("/count?to=0"))
    assert body_of(connection.receive()) == b"0\r\n\r\n"


def test_http_1_0_gets_the_pieces_until_close() -> None:
    _, connection = asked(Streams().app, ask("/count", version="1.0"))
    answer = connection.receive()
    assert body_of(answer) == b"012"
    assert b"Transfer-Encoding" not in answer
    assert connection.ended


@pytest.mark.parametrize("target", ["/count", "/count?to=0", "/length?n=5", "/length", "/endless"])
def test_head_has_the_head_of_get_and_no_body(target: str) -> None:
    _, connection = asked(Streams().app, ask(target, method="HEAD") + ask(target))
    answers = connection.receive(600)
    head = answers[: answers.index(b"\r\n\r\n") + 4]
    assert answers[len(head) :].startswith(head)


def test_head_closes_the_producer_behind_its_first_item() -> None:
    streams = Streams()
    _, connection = asked(streams.app, ask("/endless", method="HEAD"))
    assert statuses(connection.receive()) == [200]
    assert (streams.pulled, streams.notes) == (1, ["left", "over"])


def test_an_endless_stream_is_pulled_only_as_far_as_its_reader_takes() -> None:
    streams = Streams()
    _, connection = asked(streams.app, ask("/endless"), capacity=10_000)
    # What the transport holds, and what may be queued before it.
    bound = (10_000 + (64 << 10)) // len(PIECE) + 2
    before = streams.pulled
    assert before < bound
    assert len(connection.receive(50_000)) == 50_000
    assert before < streams.pulled < bound + 50


def test_a_producer_sees_that_its_peer_has_left() -> None:
    for reset in (False, True):
        streams = Streams()
        _, connection = asked(streams.app, ask("/endless"))
        connection.close(reset=reset)
        assert streams.notes == ["left", "over"]
        assert connection.closed


def test_a_finite_stream_is_sent_whole_to_a_peer_that_half_closed() -> None:
    _, connection = asked(Streams().app, ask("/count?to=50000"), capacity=10_000)
    connection.half_close()
    assert connection.receive().endswith(b"\r\n0\r\n\r\n")
    assert connection.closed


def test_a_stream_that_sleeps_is_given_up_when_its_peer_half_closes() -> None:
    streams = Streams()
    client, connection = asked(streams.app, ask("/sleeps"))
    connection.half_close()
    assert streams.notes == ["over"]
    assert connection.closed
    assert client.world.timers.next_due() is None


def test_a_stream_goes_on_when_its_sleep_is_over() -> None:
    client, connection = asked(Streams().app, ask("/sleeps") + ask("/count?to=0"))
    assert body_of(connection.receive()) == b"3\r\none\r\n"
    client.advance(3)
    assert connection.receive() == b"3\r\ntwo\r\n"
    client.advance(3)
    assert connection.receive().startswith(b"0\r\n\r\nHTTP/1.1 200 OK\r\n")


def test_a_stream_that_sleeps_before_its_end_still_closes_for_1_0() -> None:
    client, connection = asked(Streams().app, ask("/sleeps", version="1.0"))
    client.advance(6)
    assert body_of(connection.receive()) == b"onetwo"
    assert connection.ended


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_an_error_at_the_first_item_is_a_500(version: str, caplog: pytest.LogCaptureFixture) -> None:
    _, connection = asked(Streams().app, ask("/breaks?at=first", version=version))
    answer = connection.receive()
    assert (statuses(answer), body_of(answer)) == ([500], b"500 Internal Server Error\n")
    assert "on purpose" in caplog.text
    assert connection.ended is (version == "1.0")


@pytest.mark.parametrize("later", ["", "?after=sleep"])
def test_a_later_error_closes_without_the_last_chunk(later: str, caplog: pytest.LogCaptureFixture) -> None:
    client, connection = asked(Streams().app, ask("/breaks" + later))
    client.advance(1)
    answer = connection.receive()
    assert (statuses(answer), body_of(answer)) == ([200], b"3\r\none\r\n")
    assert connection.ended
    assert "error in the streamed body of handler 'breaks'" in caplog.text
    assert "on purpose" in caplog.text


def test_an_item_of_a_wrong_type_is_an_error_like_any_other(caplog: pytest.LogCaptureFixture) -> None:
    app = App()

    @app.get("/{number:int}")
    def numbers(request: Request, number: int) -> Any:
        yield from ["one"] * number
        yield number

    _, connection = asked(app, ask("/0") + ask("/1"))
    assert statuses(connection.receive()) == [500, 200]
    assert connection.ended
    assert "yields str, bytes or Event, not int" in caplog.text


@pytest.mark.parametrize("value", ["3", "30", "x", "-1", "1" * 30, "5&n=6"])
def test_a_length_that_is_not_the_streams_own_does_not_reach_the_peer_as_a_whole_answer(
    value: str, caplog: pytest.LogCaptureFixture
) -> None:
    _, connection = asked(Streams().app, ask("/length?n=" + value) + ask("/count?to=0"))
    answers = connection.receive()
    if value in ("3", "30"):
        # Too late to say so otherwise: less than was announced, and the connection ends.
        assert statuses(answers) == [200]
        assert len(body_of(answers)) < int(value)
        assert connection.ended
    else:
        assert statuses(answers) == [500, 200]
    assert "ProtocolError" in caplog.text


def test_a_length_that_is_right_is_kept() -> None:
    _, connection = asked(Streams().app, ask("/length?n=5"))
    answer = connection.receive()
    assert b"Content-Length: 5\r\n" in answer
    assert body_of(answer) == b"hello"


def test_204_has_no_body_even_from_a_stream() -> None:
    app = App()

    @app.get("/")
    def nothing(request: Request) -> Any:
        return iter(["x"]), 204

    _, connection = asked(app, ask() * 2)
    answers = connection.receive()
    assert statuses(answers) == [204, 204]
    assert answers.endswith(b"\r\n\r\n")
    assert b"x\r\n" not in answers


def test_a_producer_that_breaks_while_it_is_closed_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    app = App()

    @app.get("/")
    def stubborn(request: Request) -> Any:
        try:
            while True:
                yield PIECE
        finally:
            raise ValueError("on purpose")

    _, connection = asked(app, ask())
    connection.close()
    assert "error while closing the streamed body of handler 'stubborn'" in caplog.text
    assert connection.closed


def test_on_response_sees_a_stream_before_its_head_is_out() -> None:
    streams = Streams()

    @streams.app.on_response
    def stamp(request: Request, response: Response) -> None:
        response.headers["X-Streams"] = str(response.stream is not None)

    _, connection = asked(streams.app, ask("/count"))
    assert b"X-Streams: True\r\n" in connection.receive()
    assert streams.pulled == 3


def test_a_hook_may_put_a_whole_body_in_a_streams_place() -> None:
    streams = Streams()

    @streams.app.on_response
    def replace(request: Request, response: Response) -> str:
        return "whole"

    _, connection = asked(streams.app, ask("/endless") + ask("/endless", method="HEAD"))
    answers = connection.receive()
    assert b"\r\n\r\nwholeHTTP/1.1 200" in answers
    assert answers.count(b"Content-Length: 5\r\n") == 2
    assert streams.notes == ["left", "over"] * 2


def test_a_hook_may_put_another_stream_around_a_stream_and_misses_no_item() -> None:
    streams = Streams()

    @streams.app.on_response
    def shout(request: Request, response: Response) -> Iterator[bytes]:
        for piece in response.stream or ():
            yield b"<%b>" % (piece if isinstance(piece, bytes) else piece.encode())

    _, connection = asked(streams.app, ask("/count") + ask("/endless"))
    answers = connection.receive(200)
    assert body_of(answers).startswith(b"3\r\n<0>\r\n3\r\n<1>\r\n3\r\n<2>\r\n0\r\n\r\nHTTP/1.1 200")
    connection.close()
    assert streams.notes == ["left", "over"]


def test_a_hook_may_put_a_stream_in_a_whole_bodys_place() -> None:
    app = App()

    @app.on_response
    def replace(request: Request, response: Response) -> Iterator[str]:
        return iter(["a", "b"])

    _, connection = asked(app, ask())
    answer = connection.receive()
    assert (statuses(answer), body_of(answer)) == ([404], b"1\r\na\r\n1\r\nb\r\n0\r\n\r\n")


def test_an_error_handler_may_stream_and_fail_in_its_turn(caplog: pytest.LogCaptureFixture) -> None:
    streams = Streams()

    @streams.app.error(500)
    def apology(request: Request, error: Exception) -> Iterator[str]:
        if request.args.get("at") == "first":
            raise ValueError("the second error")
        yield "sorry"

    _, connection = asked(streams.app, ask("/breaks?at=first") + ask("/breaks?at=first&at=x"))
    answers = connection.receive()
    assert statuses(answers) == [500, 500]
    assert b"\r\n\r\n500 Internal Server Error\n" in answers
    assert "error in the streamed body of an error handler" in caplog.text
