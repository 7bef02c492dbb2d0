"""A response: bodies, statuses, cookies; and what a handler's return value means."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import pytest

from microsock.errors import HTTPError
from microsock.response import Pending, Response, abort, close_stream, redirect, to_response

HTML, JSON, BYTES = "text/html; charset=utf-8", "application/json", "application/octet-stream"


@pytest.mark.parametrize(
    ("body", "sent", "content_type"),
    [
        ("grüß", "grüß".encode(), HTML),
        (b"\xff", b"\xff", BYTES),
        (bytearray(b"a"), b"a", BYTES),
        (memoryview(b"a"), b"a", BYTES),
        ({"ü": [1, None]}, '{"ü":[1,null]}'.encode(), JSON),
        (OrderedDict(a=1), b'{"a":1}', JSON),
        ([1, "a"], b'[1,"a"]', JSON),
    ],
)
def test_the_body_decides_the_content_type(body: Any, sent: bytes, content_type: str) -> None:
    response = Response(body)
    assert (response.body, response.headers["Content-Type"], response.stream) == (sent, content_type, None)


def test_a_response_is_empty_html_unless_it_is_told_otherwise() -> None:
    response = Response()
    assert (response.body, response.text, response.status, repr(response)) == (b"", "", 200, "<Response 200 OK>")


def test_a_content_type_that_is_given_counts() -> None:
    assert Response("a", content_type="text/x").headers["Content-Type"] == "text/x"
    assert Response("a", headers={"content-type": "text/x"}).headers.getlist("Content-Type") == ["text/x"]
    both = Response("a", headers={"content-type": "text/x"}, content_type="text/y")
    assert both.headers.getlist("Content-Type") == ["text/y"]


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_that_has_no_body_has_no_content_type(status: int) -> None:
    assert "Content-Type" not in Response(status=status).headers
    assert "Content-Type" not in to_response(("", status), "handler").headers


def test_an_iterable_is_a_stream_and_its_type_is_not_known_yet() -> None:
    pieces = ["a", "b"]
    response = Response(iter(pieces))
    assert response.stream is not None
    assert list(response.stream) == pieces
    assert (response.body, "Content-Type" in response.headers) == (b"", False)


@pytest.mark.parametrize("body", [None, 5, object])
def test_what_is_no_body_is_refused(body: Any) -> None:
    with pytest.raises(TypeError) as caught:
        Response(body)
    assert str(caught.value) == f"a response's body is str, bytes, dict, list or an iterable, not {body!r}"


@pytest.mark.parametrize("status", [0, 100, 199, 600, "200", None, True, 200.0])
def test_what_is_no_status_is_refused(status: Any) -> None:
    with pytest.raises(ValueError) as caught:
        Response("a", status)
    assert str(caught.value) == f"a response's status is an int from 200 to 599, not {status!r}"


def test_a_header_that_would_break_the_answer_is_refused_where_it_is_written() -> None:
    with pytest.raises(ValueError, match="header X has"):
        Response("a", headers={"X": "1\r\nEvil: 2"})
    with pytest.raises(ValueError, match="header Content-Type has"):
        Response("a", content_type="text/x\n")


class Producer:
    """A stream that knows whether it was closed."""

    closed = False

    def __iter__(self) -> Iterator[str]:
        return iter("ab")

    def close(self) -> None:
        self.closed = True


def test_setting_the_body_ends_the_stream() -> None:
    producer = Producer()
    response = Response(producer)
    response.body = {"a": 1}
    assert (response.body, response.stream, producer.closed) == (b'{"a":1}', None, True)


def test_what_can_be_closed_is_closed() -> None:
    producer = Producer()
    close_stream(producer)
    close_stream([])
    assert producer.closed


# Cookies.


def cookie(name: str = "a", value: str = "1", **attributes: Any) -> str:
    response = Response()
    response.set_cookie(name, value, **attributes)
    return response.headers["Set-Cookie"]


@pytest.mark.parametrize(
    ("attributes", "line"),
    [
        ({}, "a=1; Path=/; SameSite=Lax"),
        ({"path": None, "samesite": None}, "a=1"),
        ({"max_age": 60, "path": "/x"}, "a=1; Max-Age=60; Path=/x; SameSite=Lax"),
        ({"domain": "example.org"}, "a=1; Path=/; Domain=example.org; SameSite=Lax"),
        ({"secure": True, "httponly": True, "samesite": "None"}, "a=1; Path=/; SameSite=None; Secure; HttpOnly"),
        ({"value": ""}, "a=; Path=/; SameSite=Lax"),
        ({"value": '"b"'}, 'a="b"; Path=/; SameSite=Lax'),
    ],
)
def test_a_cookie_is_one_line(attributes: dict[str, Any], line: str) -> None:
    assert cookie(**attributes) == line


def test_each_cookie_has_a_line_of_its_own() -> None:
    response = Response()
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    assert len(response.headers.getlist("Set-Cookie")) == 2


def test_deleting_a_cookie_lets_it_expire() -> None:
    response = Response()
    response.delete_cookie("a", path="/x", domain="example.org")
    assert response.headers["Set-Cookie"] == "a=; Max-Age=0; Path=/x; Domain=example.org; SameSite=Lax"


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"name": "a b"}, "cookie name 'a b' is not a token"),
        ({"name": ""}, "cookie name '' is not a token"),
        ({"value": "1; Admin=1"}, "cookie a has a value with"),
        ({"value": "a b"}, "cookie a has a value with"),
        ({"value": 'a"b'}, "cookie a has a value with"),
        ({"value": "a\r\nb"}, "cookie a has a value with"),
        ({"value": "ü"}, "cookie a has a value with"),
        ({"path": "/; Secure"}, "cookie attribute Path has a semicolon or a control character in '/; Secure'"),
        ({"domain": "a\nb"}, "cookie attribute Domain has a semicolon or a control character in 'a\\nb'"),
        ({"samesite": "lax"}, "samesite is 'Lax', 'Strict', 'None' or None, not 'lax'"),
    ],
)
def test_what_would_end_a_cookie_or_add_to_it_is_refused(attributes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:
        cookie(**attributes)
    assert str(caught.value).startswith(message)


# Raw responses.


@pytest.mark.parametrize("raw", [
    "HTTP/1.1 201 Created\r\nContent-Type: text/x\r\nX-A: 1\r\nX-A: 2\r\n\r\nbody\r\n\r\nmore",
    b"HTTP/1.0 201\r\nContent-Type: text/x\r\nX-A: 1\r\nX-A: 2\r\n\r\nbody\r\n\r\nmore",
])  # fmt: skip
def test_a_raw_response_is_parsed(raw: str | bytes) -> None:
    response = Response.from_raw(raw)
    assert (response.status, response.body) == (201, b"body\r\n\r\nmore")
    assert response.headers.items() == [("Content-Type", "text/x"), ("X-A", "1"), ("X-A", "2")]


def test_a_raw_response_loses_its_framing() -> None:
    framing = "Content-Length: 99\r\nConnection: close\r\nKeep-Alive: x\r\nDate: x\r\nTransfer-Encoding: identity"
    assert Response.from_raw(f"HTTP/1.1 200 OK\r\n{framing}\r\n\r\nbody").headers.items() == []


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ("body", "a raw response is 'HTTP/1.1 200 OK"),
        ("HTTP/1.1 200 OK\r\n", "a raw response is 'HTTP/1.1 200 OK"),
        ("HTTP/2 200 OK\r\n\r\n", "a raw response is 'HTTP/1.1 200 OK"),
        ("HTTP/1.1 200 OK\nA: b\n\nbody", "a raw response is 'HTTP/1.1 200 OK"),
        ("HTTP/1.1 101 Switching\r\n\r\n", "a response's status is an int from 200 to 599, not 101"),
        ("HTTP/1.1 200 OK\r\nnonsense\r\n\r\n", "header line 'nonsense' has no colon"),
        ("HTTP/1.1 200 OK\r\nA: 1\r\n folded\r\n\r\n", "header line ' folded' has no colon"),
        ("HTTP/1.1 200 OK\r\nA : 1\r\n\r\n", "header name 'A ' is not a token"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "a raw response must not be chunked"),
    ],
)
def test_a_raw_response_that_does_not_parse_is_refused(raw: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        Response.from_raw(raw)
    assert str(caught.value).startswith(message)


# Shortcuts.


def test_abort_raises_an_http_error() -> None:
    with pytest.raises(HTTPError) as caught:
        abort(404, "no such note")
    assert (caught.value.status, caught.value.message) == (404, "no such note")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_names_its_location(status: int) -> None:
    response = redirect("/notes?page=2#top", status)
    assert (response.status, response.headers["Location"]) == (status, "/notes?page=2#top")
    assert response.text.endswith(": /notes?page=2#top\n")


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("https://example.org:8443/a;b,c?d=e&f=%20g[]@h!", "https://example.org:8443/a;b,c?d=e&f=%20g[]@h!"),
        ("/日本", "/%E6%97%A5%E6%9C%AC"),
        ("/a b\r\nEvil: 1", "/a%20b%0D%0AEvil:%201"),
        ("/\\evil.example", "/%5Cevil.example"),
    ],
)
def test_what_a_url_cannot_hold_is_encoded_in_a_redirect(url: str, location: str) -> None:
    assert redirect(url).headers["Location"] == location


@pytest.mark.parametrize("status", [200, 300, 304, 305, 400])
def test_another_status_is_no_redirect(status: int) -> None:
    with pytest.raises(ValueError) as caught:
        redirect("/", status)
    assert str(caught.value) == f"a redirect's status is 301, 302, 303, 307 or 308, not {status}"


# What a handler returns.


def test_a_response_is_returned_as_it_is() -> None:
    response = Response("a", 201)
    assert to_response(response, "handler") is response


@pytest.mark.parametrize(
    ("value", "status", "body"),
    [
        ("a", 200, b"a"),
        (b"a", 200, b"a"),
        ({"a": 1}, 200, b'{"a":1}'),
        ([], 200, b"[]"),
        (("a", 201), 201, b"a"),
        (([], 404), 404, b"[]"),
        ((Response("a", 500), 201), 201, b"a"),
    ],
)
def test_a_value_becomes_a_response(value: Any, status: int, body: bytes) -> None:
    response = to_response(value, "handler")
    assert (response.status, response.body) == (status, body)


def test_an_iterator_becomes_a_stream() -> None:
    generator = (piece for piece in "ab")
    assert to_response(generator, "handler").stream is generator
    assert to_response((iter("ab"), 201), "handler").status == 201


@pytest.mark.parametrize(
    "headers", [{"X-A": "1", "Content-Type": "text/x"}, [("X-A", "1"), ("Content-Type", "text/x")]]
)
def test_headers_come_third(headers: Any) -> None:
    for body in ("a", Response("a")):
        response = to_response((body, 200, headers), "handler")
        assert (response.headers["X-A"], response.headers.getlist("Content-Type")) == ("1", ["text/x"])
    assert to_response(("a", 201, None), "handler").status == 201


@pytest.mark.parametrize(
    ("value", "got"),
    [
        (None, "None"),
        (5, "5 (int)"),
        (True, "True (bool)"),
        ({1}, "{1} (set)"),
        (range(3), "range(0, 3) (range)"),
    ],
)
def test_what_a_handler_must_not_return_is_refused_by_its_name(value: object, got: str) -> None:
    with pytest.raises(TypeError) as caught:
        to_response(value, "show")
    assert str(caught.value) == (
        f"handler 'show' returned {got}; return a str, bytes, dict, list, iterator, tuple or Response"
    )


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ((), "handler 'show' returned a tuple of 0; return (body, status) or (body, status, headers)"),
        (("a",), "handler 'show' returned a tuple of 1; return (body, status) or (body, status, headers)"),
        (("a", 1, {}, 4), "handler 'show' returned a tuple of 4; return (body, status) or (body, status, headers)"),
        ((None, 201), "handler 'show' returned a tuple that begins with None; begin it with a body"),
        (((1, 2), 201), "handler 'show' returned a tuple that begins with (1, 2) (tuple); begin it with a body"),
    ],
)
def test_a_tuple_that_is_no_answer_is_refused(value: object, message: str) -> None:
    with pytest.raises(TypeError) as caught:
        to_response(value, "show")
    assert str(caught.value) == message


def test_a_status_in_a_tuple_is_checked() -> None:
    for body in ("a", Response("a")):
        with pytest.raises(ValueError, match="a response's status is an int from 200 to 599, not 'created'"):
            to_response((body, "created"), "show")


# Answers that come later.


def test_a_pending_answer_is_delivered_when_it_is_known() -> None:
    delivered: list[object] = []
    pending = Pending()
    pending.bind(delivered.append)
    assert not delivered
    pending.complete("a")
    assert delivered == ["a"]


def test_an_answer_that_is_known_already_is_delivered_at_once() -> None:
    delivered: list[object] = []
    pending = Pending(finite=True)
    pending.complete("a")
    pending.bind(delivered.append)
    assert (delivered, pending.finite) == (["a"], True)


def test_a_dict_that_came_in_goes_out_the_same() -> None:
    value = {"text": "grüß dich 🙂", "numbers": [1, 2.5, None, True], "nested": {"a": {}}}
    assert json.loads(Response(value).body) == value


def test_lines_are_added_to_another_that_is_otherwise_the_same() -> None:
    class Page(Response):
        """One with attributes of its own."""

    page = Page("hello", 201, {"X-A": "b"})
    page.title = "Home"  # type: ignore[attr-defined]
    more = page.supplemented([("x-a", "c"), ("X-B", "d")])
    assert (type(more), more.status, more.body, more.title) == (Page, 201, b"hello", "Home")  # type: ignore[attr-defined]
    assert more.headers.items() == [*page.headers.items(), ("X-B", "d")]
    assert "X-B" not in page.headers
    more.headers["X-C"] = "e"
    assert "X-C" not in page.headers
