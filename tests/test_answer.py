"""Answers that are given at once or later. Streamed ones are in test_answer_streams."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from wire import ask, asked, body_of, statuses

from microsock import App, HTTPError, Pending, Request, Response
from microsock.site import AccessEntry, Answered


class Later:
    """An app whose answers are all pending, and the tokens that it gave, in order."""

    def __init__(self, *, finite: bool = False) -> None:
        self.app = App()
        self.tokens: list[Pending] = []

        @self.app.route("/", methods=["GET", "POST"])
        def later(request: Request) -> Pending:
            self.tokens.append(Pending(finite=finite))
            return self.tokens[-1]

        @self.app.get("/now")
        def now(request: Request) -> str:
            return "now"


@pytest.mark.parametrize(
    ("value", "status", "body"),
    [
        ("text", 200, b"text"),
        ({"a": 1}, 200, b'{"a":1}'),
        (("made", 201), 201, b"made"),
        (Response("gone", 410), 410, b"gone"),
        (HTTPError(409), 409, b"409 Conflict\n"),
        (lambda: iter(["one", "two"]), 200, b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"),
    ],
)
def test_what_is_given_later_means_what_it_means_at_once(value: object, status: int, body: bytes) -> None:
    later = Later()
    client, connection = asked(later.app, ask())
    assert connection.receive() == b""
    later.tokens[0].complete(value() if callable(value) else value)
    answer = connection.receive()
    assert (statuses(answer), body_of(answer)) == ([status], body)
    connection.send(ask("/now"))
    assert body_of(connection.receive()) == b"now"
    client.close()


@pytest.mark.parametrize("value", [ValueError("on purpose"), None, 5, Pending()])
def test_what_is_no_answer_is_a_500_and_logged(value: object, caplog: pytest.LogCaptureFixture) -> None:
    later = Later()
    _, connection = asked(later.app, ask())
    later.tokens[0].complete(value)
    assert statuses(connection.receive()) == [500]
    assert caplog.records[0].exc_info is not None


def test_an_answer_may_be_complete_before_its_handler_returns() -> None:
    app = App()

    @app.get("/")
    def early(request: Request) -> Pending:
        pending = Pending()
        pending.complete("early")
        return pending

    _, connection = asked(app, ask())
    assert body_of(connection.receive()) == b"early"


def test_a_second_completion_is_ignored() -> None:
    later = Later()
    _, connection = asked(later.app, ask())
    later.tokens[0].complete("first")
    later.tokens[0].complete("second")
    assert body_of(connection.receive()) == b"first"


def test_a_completion_goes_to_its_own_request_whatever_came_since() -> None:
    later = Later()
    _, connection = asked(later.app, ask())
    later.tokens[0].complete("first")
    connection.send(ask())
    later.tokens[0].complete("late")
    assert statuses(connection.receive()) == [200]
    later.tokens[1].complete("second")
    assert body_of(connection.receive()) == b"second"


@pytest.mark.parametrize("reset", [False, True])
def test_a_completion_after_the_peer_has_left_is_ignored(reset: bool, caplog: pytest.LogCaptureFixture) -> None:
    later = Later()
    client, connection = asked(later.app, ask())
    connection.close(reset=reset)
    later.tokens[0].complete(ValueError("too late"))
    client.advance(60)
    assert connection.closed
    assert caplog.records == []


def test_a_stream_that_came_later_may_be_left_like_any_other(caplog: pytest.LogCaptureFixture) -> None:
    later, ended = Later(), list[str]()

    def stream() -> Iterator[str]:
        try:
            while True:
                yield "x" * 10_000
        finally:
            ended.append("left")

    _, connection = asked(later.app, ask())
    later.tokens[0].complete(stream())
    connection.close()
    assert ended == ["left"]
    assert caplog.messages == []


def test_a_completion_after_the_connection_was_cut_is_ignored() -> None:
    later = Later()
    client, connection = asked(later.app, ask())
    client.world.drain()
    client.advance(60)
    assert connection.closed
    later.tokens[0].complete("too late")
    assert connection.receive() == b""


def test_a_long_poll_is_given_up_when_the_peer_half_closes() -> None:
    later = Later()
    _, connection = asked(later.app, ask())
    connection.half_close()
    assert connection.closed
    later.tokens[0].complete("too late")
    assert connection.receive() == b""


def test_a_finite_pending_answer_is_still_given_to_a_peer_that_half_closed() -> None:
    later = Later(finite=True)
    _, connection = asked(later.app, ask())
    connection.half_close()
    assert not connection.closed
    later.tokens[0].complete("here")
    assert body_of(connection.receive()) == b"here"
    assert connection.closed


def test_an_answer_that_is_due_has_no_deadline() -> None:
    later = Later()
    client, connection = asked(later.app, ask())
    client.advance(3600)
    later.tokens[0].complete("at last")
    assert body_of(connection.receive()) == b"at last"


def test_answers_keep_the_order_of_their_requests() -> None:
    later = Later()
    _, connection = asked(later.app, ask() + ask("/now"))
    assert connection.receive() == b""
    later.tokens[0].complete("first")
    answers = connection.receive()
    assert statuses(answers) == [200, 200]
    assert answers.index(b"first") < answers.index(b"now")


def test_on_response_sees_each_answer_once_whatever_way_it_comes() -> None:
    later = Later()
    seen: list[int] = []

    @later.app.on_response
    def see(request: Request, response: Response) -> None:
        seen.append(response.status)

    _, connection = asked(later.app, ask() + ask("/now") + ask("/missing") + b"GET foo HTTP/1.1\r\n\r\n")
    assert seen == []
    later.tokens[0].complete("first")
    assert statuses(connection.receive()) == seen == [200, 200, 404, 400]


def test_while_the_site_drains_answers_say_close() -> None:
    later = Later()
    client, connection = asked(later.app, ask())
    client.world.drain()
    later.tokens[0].complete("last")
    assert b"Connection: close\r\n" in connection.receive()
    assert connection.ended


def test_the_last_request_of_a_connection_is_answered_with_close() -> None:
    later = Later()
    _, connection = asked(later.app, ask("/now") * 3, max_keep_alive_requests=2)
    answers = connection.receive()
    assert statuses(answers) == [200, 200]
    assert answers.count(b"Connection: close\r\n") == 1
    assert connection.ended


def test_every_answer_has_an_access_entry() -> None:
    later = Later()
    entries: list[AccessEntry] = []
    client, connection = asked(later.app, b"")
    client.world.site.access = entries.append
    connection.send(ask("/now?a=b") + ask("/now", method="HEAD") + ask() + b"\0")
    client.advance(2)
    later.tokens[0].complete("later")
    client.world.settle()
    assert [entry[:4] for entry in entries[3:]] == [("127.0.0.1", "-", "-", 400)]
    assert [entry._replace(request=None) for entry in entries[:3]] == [
        Answered("127.0.0.1", "GET", "/now?a=b", 200, 3, 0.0),
        Answered("127.0.0.1", "HEAD", "/now", 200, 0, 0.0),
        Answered("127.0.0.1", "GET", "/", 200, 5, 2.0),
    ]


def test_an_answer_that_nobody_took_has_an_access_entry_too() -> None:
    later = Later()
    entries: list[AccessEntry] = []
    client, connection = asked(later.app, ask())
    client.world.site.access = entries.append
    connection.close(reset=True)
    assert [entry._replace(request=None) for entry in entries] == [Answered("127.0.0.1", "GET", "/", 0, 0, 0.0)]
