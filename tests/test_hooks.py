"""Error handlers and on_response: who answers which error, and the last word on every answer."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest

from microsock.errors import BadRule, HTTPError, SetupError
from microsock.hooks import Hooks
from microsock.request import Request
from microsock.response import Pending, Response, abort

REQUEST = Request("GET", "/users/7%0A?x=1")


@pytest.fixture
def hooks() -> Hooks:
    return Hooks()


def handler(text: str) -> Any:
    def function(request: Request, error: Exception) -> str:
        return f"{text}: {error!r}"

    function.__name__ = text
    return function


def failed(hooks: Hooks, error: Exception) -> tuple[int, str]:
    response = hooks.failed(REQUEST, error)
    return response.status, response.text


# Which handler.


def test_without_a_handler_an_error_is_answered_plainly(hooks: Hooks) -> None:
    response = hooks.failed(REQUEST, HTTPError(404))
    assert (response.status, response.text) == (404, "404 Not Found\n")
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"


def test_the_message_of_the_error_is_shown(hooks: Hooks) -> None:
    assert failed(hooks, HTTPError(404, "no such user")) == (404, "404 no such user\n")


def test_the_message_of_an_exception_is_not_shown(hooks: Hooks) -> None:
    assert failed(hooks, ValueError("secret")) == (500, "500 Internal Server Error\n")


def test_a_handler_for_the_status_answers(hooks: Hooks) -> None:
    hooks.add_error(404, handler("missing"))
    assert failed(hooks, HTTPError(404)) == (404, "missing: HTTPError('404 Not Found')")
    assert failed(hooks, HTTPError(403)) == (403, "403 Forbidden\n")


def test_a_handler_for_the_class_gets_the_exception_itself(hooks: Hooks) -> None:
    hooks.add_error(LookupError, handler("lookup"))
    assert failed(hooks, KeyError("a")) == (500, "lookup: KeyError('a')")
    assert failed(hooks, ValueError()) == (500, "500 Internal Server Error\n")


def test_of_several_classes_the_nearest_answers(hooks: Hooks) -> None:
    hooks.add_error(Exception, handler("exception"))
    hooks.add_error(LookupError, handler("lookup"))
    hooks.add_error(KeyError, handler("key"))
    assert failed(hooks, KeyError())[1].startswith("key")
    assert failed(hooks, IndexError())[1].startswith("lookup")
    assert failed(hooks, ValueError())[1].startswith("exception")


def test_a_handler_for_500_gets_an_http_error_whose_cause_is_the_exception(hooks: Hooks) -> None:
    hooks.add_error(500, lambda request, error: f"{error.type} {error.__cause__!r}")
    assert failed(hooks, ValueError("secret")) == (500, "SERVER_ERROR ValueError('secret')")


def test_the_handler_for_all_answers_what_no_other_does(hooks: Hooks) -> None:
    hooks.add_error(None, handler("all"))
    hooks.add_error(404, handler("missing"))
    assert failed(hooks, HTTPError(403)) == (403, "all: HTTPError('403 Forbidden')")
    assert failed(hooks, HTTPError(404))[1].startswith("missing")
    assert failed(hooks, ValueError()) == (500, "all: HTTPError('500 Internal Server Error')")


class Teapot(HTTPError):
    def __init__(self) -> None:
        super().__init__(418)


def test_an_http_error_is_told_by_its_status_before_its_class(hooks: Hooks) -> None:
    hooks.add_error(Exception, handler("exception"))
    hooks.add_error(Teapot, handler("teapot"))
    assert failed(hooks, Teapot())[1].startswith("teapot")
    assert failed(hooks, HTTPError(404))[1].startswith("exception")
    hooks.add_error(418, handler("short and stout"))
    assert failed(hooks, Teapot())[1].startswith("short and stout")


def test_another_exception_is_told_by_its_class_before_500(hooks: Hooks) -> None:
    hooks.add_error(500, handler("internal"))
    hooks.add_error(ValueError, handler("value"))
    assert failed(hooks, ValueError())[1].startswith("value")
    assert failed(hooks, KeyError())[1].startswith("internal")


# What it answers.


@pytest.mark.parametrize(
    ("value", "status"),
    [("a", 404), (b"a", 404), ({"a": 1}, 404), (("a", 200), 200), (Response("a"), 200), (Response("a", 410), 410)],
)
def test_an_answer_that_names_no_status_has_the_errors(hooks: Hooks, value: object, status: int) -> None:
    hooks.add_error(404, lambda request, error: value)
    assert hooks.failed(REQUEST, HTTPError(404)).status == status


def test_the_headers_of_the_error_go_onto_the_answer(hooks: Hooks) -> None:
    lines = [("Allow", "GET"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]
    error = HTTPError(405, headers=lines)
    assert hooks.failed(REQUEST, error).headers.items()[:3] == lines
    hooks.add_error(405, lambda request, error: ("no", 405, {"allow": "POST"}))
    headers = hooks.failed(REQUEST, error).headers
    assert headers.getlist("Allow") == ["POST"]
    assert headers.getlist("Set-Cookie") == ["a=1", "b=2"]


@pytest.mark.parametrize("value", [None, 5, Pending(), ("a", 99)])
def test_an_answer_that_is_none_is_logged_and_answered_plainly(
    hooks: Hooks, value: object, caplog: pytest.LogCaptureFixture
) -> None:
    hooks.add_error(404, lambda request, error: value)
    assert failed(hooks, HTTPError(404, "no such user")) == (404, "404 Not Found\n")
    assert caplog.messages == ["the error handler for GET /users/7%0A raised"]
    assert caplog.records[0].exc_info


def test_an_error_handler_may_abort(hooks: Hooks, caplog: pytest.LogCaptureFixture) -> None:
    hooks.add_error(404, lambda request, error: abort(410, "gone for good"))
    assert failed(hooks, HTTPError(404)) == (410, "410 Gone\n")
    assert not caplog.messages


def test_headers_that_cannot_be_sent_end_in_a_plain_answer(hooks: Hooks, caplog: pytest.LogCaptureFixture) -> None:
    assert failed(hooks, HTTPError(400, headers=[("X", "a\r\nb")])) == (400, "400 Bad Request\n")
    assert len(caplog.messages) == 1


# What is logged.


def test_an_exception_is_logged_with_its_traceback(hooks: Hooks, caplog: pytest.LogCaptureFixture) -> None:
    cause = ValueError("secret")
    hooks.failed(REQUEST, cause)
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("microsock", logging.ERROR)
    assert record.getMessage() == "GET /users/7%0A failed"
    assert record.exc_info
    assert record.exc_info[1] is cause


def test_an_exception_that_an_error_handler_makes_a_client_error_is_not_logged(
    hooks: Hooks, caplog: pytest.LogCaptureFixture
) -> None:
    hooks.add_error(ValueError, lambda request, error: ("bad value", 400))
    assert failed(hooks, ValueError()) == (400, "bad value")
    assert not caplog.messages


def test_an_exception_is_logged_also_where_its_handler_fails(hooks: Hooks, caplog: pytest.LogCaptureFixture) -> None:
    hooks.add_error(ValueError, lambda request, error: 1 / 0)
    assert failed(hooks, ValueError()) == (500, "500 Internal Server Error\n")
    assert caplog.messages == ["the error handler for GET /users/7%0A raised", "GET /users/7%0A failed"]


@pytest.mark.parametrize("status", [400, 404, 500, 503])
def test_an_http_error_is_not_logged(hooks: Hooks, status: int, caplog: pytest.LogCaptureFixture) -> None:
    hooks.failed(REQUEST, HTTPError(status))
    assert not caplog.messages


def test_what_is_no_exception_passes_through(hooks: Hooks) -> None:
    def interrupted(request: Request, error: Exception) -> str:
        raise KeyboardInterrupt

    hooks.add_error(404, interrupted)
    hooks.response.append(interrupted)
    with pytest.raises(KeyboardInterrupt):
        hooks.failed(REQUEST, HTTPError(404))
    with pytest.raises(KeyboardInterrupt):
        hooks.finish(REQUEST, Response())


# What is refused.


@pytest.mark.parametrize("key", [200, 399, 600, True, "404", BaseException, KeyboardInterrupt, int])
def test_a_key_that_is_no_error_is_refused(hooks: Hooks, key: Any) -> None:
    with pytest.raises(SetupError) as caught:
        hooks.add_error(key, handler("never"))
    assert str(caught.value) == (
        f"@app.error takes a status from 400 to 599, an Exception class or nothing, not {key!r}"
    )


@pytest.mark.parametrize(("key", "what"), [(404, "404"), (ValueError, "ValueError"), (None, "all errors")])
def test_a_second_handler_for_the_same_errors_is_refused(hooks: Hooks, key: Any, what: str) -> None:
    hooks.add_error(key, handler("one"))
    with pytest.raises(SetupError) as caught:
        hooks.add_error(key, handler("other"))
    assert str(caught.value) == f"two error handlers for {what}: 'one' and 'other'"


def test_a_handler_that_cannot_be_called_is_refused(hooks: Hooks) -> None:
    with pytest.raises(BadRule, match=r"takes \(error\), but @app.error calls it with \(request, error\)"):
        hooks.add_error(404, lambda error: "")


# on_response.


def test_every_function_sees_the_response_in_order(hooks: Hooks) -> None:
    hooks.response.append(lambda request, response: response.headers.add("X-Order", "1"))
    hooks.response.append(lambda request, response: response.headers.add("X-Order", "2"))
    assert hooks.finish(REQUEST, Response("a")).headers.getlist("X-Order") == ["1", "2"]


def test_a_returned_response_takes_the_place_and_is_what_the_next_one_sees(hooks: Hooks) -> None:
    other = Response("b", 201)
    hooks.response.append(lambda request, response: other)
    hooks.response.append(lambda request, response: ("c", response.status + 1))
    finished = hooks.finish(REQUEST, Response("a", headers={"X-A": "1"}))
    assert (finished.text, finished.status, "X-A" in finished.headers) == ("c", 202, False)


@pytest.mark.parametrize(
    ("value", "text", "content_type"),
    [("b", "b", "text/html; charset=utf-8"), ({"b": 1}, '{"b":1}', "application/json")],
)
def test_a_returned_body_takes_the_bodys_place_only(hooks: Hooks, value: object, text: str, content_type: str) -> None:
    hooks.response.append(lambda request, response: value)
    response = hooks.finish(REQUEST, Response(b"a", 404, {"X-A": "1"}))
    assert (response.text, response.status, response.headers["X-A"]) == (text, 404, "1")
    assert response.headers["Content-Type"] == content_type


class Producer:
    """A stream that knows whether it was closed."""

    closed = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self.closed:
            raise StopIteration
        return "a"

    def close(self) -> None:
        self.closed = True


def test_a_returned_body_ends_the_stream_that_was_there(hooks: Hooks) -> None:
    producer = Producer()
    hooks.response.append(lambda request, response: "b")
    response = hooks.finish(REQUEST, Response(producer))
    assert (response.text, response.stream, producer.closed) == ("b", None, True)


def test_a_returned_iterator_may_be_made_of_the_stream_that_was_there(hooks: Hooks) -> None:
    producer = Producer()
    hooks.response.append(lambda request, response: (text.upper() for text in response.stream))
    response = hooks.finish(REQUEST, Response(producer, 201))
    assert response.stream is not None
    assert next(iter(response.stream)) == "A"
    assert (response.status, producer.closed) == (201, False)


@pytest.mark.parametrize("value", [5, ("a",)])
def test_what_cannot_be_sent_is_logged_and_answered_plainly(
    hooks: Hooks, value: object, caplog: pytest.LogCaptureFixture
) -> None:
    def stamp(request: Request, response: Response) -> object:
        return value

    producer = Producer()
    hooks.response.append(stamp)
    hooks.response.append(lambda request, response: 1 / 0)
    response = hooks.finish(REQUEST, Response(producer))
    assert (response.status, response.text, producer.closed) == (500, "500 Internal Server Error\n", True)
    assert caplog.messages == ["on_response 'stamp' raised for GET /users/7%0A"]


def test_a_function_may_abort(hooks: Hooks, caplog: pytest.LogCaptureFixture) -> None:
    hooks.response.append(lambda request, response: abort(503, "closed"))
    response = hooks.finish(REQUEST, Response("a"))
    assert (response.status, response.text) == (503, "503 Service Unavailable\n")
    assert not caplog.messages


# on_stop.


def test_every_stop_function_runs_though_one_raises(hooks: Hooks, caplog: pytest.LogCaptureFixture) -> None:
    ran: list[str] = []

    def broken() -> None:
        raise ValueError

    hooks.stop += [broken, lambda: ran.append("last")]
    hooks.stop_all()
    assert ran == ["last"]
    assert caplog.messages == ["on_stop 'broken' raised"]
