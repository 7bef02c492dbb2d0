"""What is counted and logged of an answer, whatever way it goes and however it ends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from wire import HANDSHAKE, ask, asked, body_of, statuses

from microsock import App, EventStream, HTTPError, Overloaded, Pending, Request, Response, WebSocket, sleep
from microsock.site import Answered
from microsock.tally import Cell
from microsock.testing import RawConnection, TestClient


class Accounts:
    """An app, a connection to it, and the accounts of its answers: path, status, size, and whether time was taken."""

    def __init__(self) -> None:
        self.app, self.tokens = App(), list[Pending]()
        self.client: TestClient
        self.connection: RawConnection
        self.entries: list[Answered] = []

        @self.app.get("/count")
        def count(request: Request) -> Iterator[str]:
            yield from ("one", "two", "three")

        @self.app.get("/rests")
        def rests(request: Request) -> Any:
            yield "one"
            yield from sleep(3)
            yield "two"

        @self.app.get("/events")
        def events(request: Request) -> EventStream:
            return EventStream("news")

        @self.app.get("/later")
        def later(request: Request) -> Pending:
            self.tokens.append(Pending())
            return self.tokens[-1]

        @self.app.websocket("/ws")
        def listen(ws: WebSocket, message: str) -> None: ...

    def ask(self, data: bytes) -> bytes:
        """On a new connection."""
        self.client, self.connection = asked(self.app, b"")
        self.client.world.site.access = self.note
        self.connection.send(data)
        return self.connection.receive()

    def note(self, entry: object) -> None:
        if isinstance(entry, Answered):
            self.entries.append(entry)

    def told(self) -> list[tuple[str, int, int, float]]:
        """Path, status, size and seconds of each."""
        return [(each.path, each.status, each.size, each.seconds) for each in self.entries]

    def timed(self) -> tuple[int, float]:
        """How many answers have a time that counts, and the sum of these."""
        cells = self.client.world.site.tally.cells
        return sum(cells[Cell.LATENCY : Cell.STATUS]), cells[Cell.LATENCY_SUM] / 1e6


@pytest.fixture
def accounts() -> Accounts:
    return Accounts()


def test_the_size_of_a_stream_is_that_of_all_its_pieces(accounts: Accounts) -> None:
    accounts.ask(ask("/count") + ask("/count", method="HEAD"))
    assert accounts.told() == [("/count", 200, 11, 0.0), ("/count", 200, 0, 0.0)]


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("path", ["/count", "/missing", "/"])
def test_an_answer_is_told_of_once_though_its_connection_ends_later(accounts: Accounts, path: str, reset: bool) -> None:
    accounts.app.get("/", blocking=True)(lambda request: "x")
    accounts.ask(ask(path))
    accounts.connection.close(reset=reset)
    accounts.client.advance(100)
    assert len(accounts.entries) == 1


def test_the_time_of_an_answer_with_an_end_counts(accounts: Accounts) -> None:
    accounts.ask(ask("/rests"))
    accounts.client.advance(5)
    assert accounts.told() == [("/rests", 200, 6, 3.0)]
    assert accounts.timed() == (1, 3.0)


def test_the_time_of_an_event_stream_says_nothing_and_is_told_all_the_same(accounts: Accounts) -> None:
    accounts.ask(ask("/events"))
    accounts.client.advance(5)
    accounts.connection.close()
    ((path, status, _, seconds),) = accounts.told()
    assert (path, status, seconds) == ("/events", 200, 5.0)
    assert accounts.timed() == (0, 0.0)


def test_an_upgrade_is_told_of_as_101_and_its_time_does_not_count(accounts: Accounts) -> None:
    accounts.ask(HANDSHAKE)
    assert accounts.told() == [("/ws", 101, 0, 0.0)]
    assert accounts.timed() == (0, 0.0)
    assert accounts.client.world.site.tally.cells[Cell.STATUS + 1] == 1


def test_whoever_leaves_before_the_head_is_counted_as_given_up(accounts: Accounts) -> None:
    accounts.ask(ask("/later"))
    accounts.client.advance(2)
    accounts.connection.close(reset=True)
    assert accounts.told() == [("/later", 0, 0, 2.0)]
    assert accounts.timed() == (0, 0.0)
    assert accounts.client.world.site.tally.cells[Cell.GIVEN_UP] == 1


# What the hooks see.


def test_on_response_knows_the_request_of_an_answer_that_comes_later(accounts: Accounts) -> None:
    @accounts.app.on_response
    def stamp(request: Request, response: Response) -> None:
        response.headers["X-Path"] = request.path

    accounts.ask(ask("/later"))
    accounts.tokens[0].complete("here")
    assert b"\r\nX-Path: /later\r\n" in accounts.connection.receive()


def test_a_stream_whose_type_a_hook_takes_away_is_sent_without_one(accounts: Accounts) -> None:
    @accounts.app.on_response
    def strip(request: Request, response: Response) -> None:
        del response.headers["Content-Type"]

    answer = accounts.ask(ask("/count"))
    assert statuses(answer) == [200]
    assert b"Content-Type" not in answer
    assert answer.endswith(b"three\r\n0\r\n\r\n")


# Errors of streamed bodies.


def broken(*items: str) -> Iterator[str]:
    yield from items
    raise ValueError("on purpose")


def test_an_error_before_the_head_goes_to_the_apps_error_handler(caplog: pytest.LogCaptureFixture) -> None:
    app = App()
    app.get("/")(lambda request: broken())

    @app.error(ValueError)
    def sorry(request: Request, error: ValueError) -> tuple[Iterator[str], int]:
        return iter([f"sorry, {error}"]), 503

    answer = asked(app, ask())[1].receive()
    assert (statuses(answer), body_of(answer)) == ([503], b"11\r\nsorry, on purpose\r\n0\r\n\r\n")
    assert caplog.messages == ["GET / failed"]


def test_an_error_handlers_own_stream_that_fails_is_a_plain_500(caplog: pytest.LogCaptureFixture) -> None:
    app = App()
    app.get("/")(lambda request: broken())

    @app.error(500)
    def sorry(request: Request, error: Exception) -> Iterator[str]:
        return broken()

    answer = asked(app, ask())[1].receive()
    assert (statuses(answer), body_of(answer)) == ([500], b"500 Internal Server Error\n")
    assert b"\r\nContent-Type: text/plain; charset=utf-8\r\n" in answer
    assert caplog.messages[-1] == "error in the streamed body of an error handler"
    assert caplog.records[-1].exc_info is not None


@pytest.mark.parametrize("data", [ask("/missing"), ask("/", "Content-Length: x")])
def test_where_no_handler_was_called_none_is_named(data: bytes, caplog: pytest.LogCaptureFixture) -> None:
    app = App()

    @app.error
    def sorry(request: Request, error: HTTPError) -> Iterator[str]:
        return broken("sorry")

    answer = asked(app, data)[1].receive()
    assert b"sorry" in body_of(answer)
    assert caplog.messages == ["error in the streamed body of handler '?'"]
    assert caplog.records[0].exc_info is not None


def test_what_fails_while_a_stream_is_closed_is_logged_with_its_handler(caplog: pytest.LogCaptureFixture) -> None:
    app = App()

    @app.get("/")
    def stubborn(request: Request) -> Iterator[str]:
        try:
            while True:
                yield "x" * 10_000
        finally:
            raise ValueError("on purpose")

    _, connection = asked(app, ask())
    connection.close()
    assert caplog.messages == ["error while closing the streamed body of handler 'stubborn'"]


class Pieces:
    """An iterator of a program's own, which cannot be closed."""

    def __iter__(self) -> Pieces:
        return self

    def __next__(self) -> str:
        return "x" * 10_000

    def close(self) -> None:
        raise ValueError("on purpose")


def test_so_it_is_of_an_iterator_that_is_no_generator(caplog: pytest.LogCaptureFixture) -> None:
    app = App()

    @app.get("/")
    def stubborn(request: Request) -> Iterator[str]:
        return Pieces()

    _, connection = asked(app, ask())
    connection.close()
    assert caplog.messages == ["error while closing the streamed body of handler 'stubborn'"]
    told = caplog.records[0].exc_info
    assert told is not None
    assert isinstance(told[1], ValueError)


def test_where_too_many_calls_wait_the_answer_says_when_to_come_again() -> None:
    app = App()
    app.get("/", blocking=True)(lambda request: "x")
    client, connection = asked(app, b"")

    class Full:
        """Has no room."""

        def submit(self, function: object, done: object) -> None:
            raise Overloaded("full")

        def stop(self) -> None: ...

    client.world.site.executor = Full()  # type: ignore[assignment]
    connection.send(ask())
    answer = connection.receive()
    assert (statuses(answer), body_of(answer)) == ([503], b"503 the server is too busy\n")
    assert b"\r\nRetry-After: 1\r\n" in answer
