"""A request: what came over the wire, read on demand."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microsock.errors import HTTPError
from microsock.request import ENCODED_SLASH, Address, Args, Request


def request(target: str = "/", *lines: tuple[str, str], body: bytes = b"") -> Request:
    return Request("GET", target, [(name.encode(), value.encode("latin-1")) for name, value in lines], body=body)


# The target.


@pytest.mark.parametrize(
    ("target", "path", "raw_path", "query"),
    [
        ("/", "/", "/", ""),
        ("/a/b?x=1", "/a/b", "/a/b", "x=1"),
        ("/a?b?c", "/a", "/a", "b?c"),
        ("/caf%C3%A9", "/café", "/caf%C3%A9", ""),
        ("/a%20b", "/a b", "/a%20b", ""),
        ("/a%2Fb", "/a%2Fb", "/a%2Fb", ""),
        ("/a%2fb", "/a%2Fb", "/a%2fb", ""),
        ("/a%252Fb", "/a%2Fb", "/a%252Fb", ""),
        ("/a+b", "/a+b", "/a+b", ""),
        ("/%zz%", "/%zz%", "/%zz%", ""),
        ("/%ff", "/\ufffd", "/%ff", ""),
        ("*", "*", "*", ""),
        ("", "", "", ""),
    ],
)
def test_the_target_is_split_first_and_decoded_once(target: str, path: str, raw_path: str, query: str) -> None:
    it = request(target)
    assert (it.path, it.raw_path, it.query_string) == (path, raw_path, query)


def test_an_encoded_slash_is_told_from_a_slash_and_from_its_own_spelling() -> None:
    assert request("/a%2Fb").routing_path == f"/a{ENCODED_SLASH}b"
    assert request("/a/b").routing_path == "/a/b"
    assert request("/a%252Fb").routing_path == "/a%2Fb"


@given(st.text())
def test_no_decoded_path_has_a_slash_that_was_not_one(text: str) -> None:
    encoded = "".join(f"%{byte:02x}" for byte in text.encode(errors="replace"))
    assert request(f"/{encoded}").routing_path.count("/") == 1


def test_the_url_is_the_one_that_was_asked_for() -> None:
    it = Request("GET", "/a%20b?x=%31", scheme="https", host="example.org:8443")
    assert it.url == "https://example.org:8443/a%20b?x=%31"
    assert Request("GET", "/", host="a").url == "http://a/"


def test_https_is_secure() -> None:
    assert Request("GET", "/", scheme="https").is_secure
    assert not Request("GET", "/").is_secure


def test_what_is_not_given_has_a_default() -> None:
    it = Request("BREW", "/pot")
    assert (it.method, it.body, it.client, it.http_version, it.params, it.app) == (
        "BREW", b"", Address("", 0), "1.1", {}, None
    )  # fmt: skip
    assert repr(it) == "<Request BREW /pot>"


def test_the_state_is_one_place_for_each_request() -> None:
    it = request()
    it.state.user = "ann"
    assert it.state.user == "ann"
    assert not hasattr(request().state, "user")


# The query.


def test_the_query_is_decoded() -> None:
    args = request("/?name=a+b&q=%C3%BC&&empty=&bare&name=c").args
    assert args["name"] == "a b"
    assert args.get("q") == "ü"
    assert (args["empty"], args["bare"]) == ("", "")
    assert args.getlist("name") == ["a b", "c"]
    assert args.getlist("other") == []
    assert list(args) == ["name", "q", "empty", "bare"]
    assert len(args) == 4
    assert repr(request("/?a=1").args) == "Args({'a': ['1']})"


def test_a_name_that_is_not_in_the_query() -> None:
    args = Args()
    assert args.get("page") is None
    assert args.get("page", 1) == 1
    assert args.get("page", 1, type=int) == 1
    with pytest.raises(KeyError, match="page"):
        args["page"]


def test_a_value_of_the_query_is_converted_or_left_at_its_default() -> None:
    args = Args([("page", "7"), ("x", "1.5"), ("bad", "seven")])
    assert args.get("page", type=int) == 7
    assert args.get("x", 0.0, type=float) == 1.5
    assert args.get("bad", 1, type=int) == 1
    assert args.get("bad", type=int) is None


def test_the_query_is_read_once() -> None:
    it = request("/?a=1")
    assert it.args is it.args


# Header lines.


def test_headers_are_read_as_latin_1() -> None:
    it = request("/", ("x-name", "ü"), ("accept", "a"), ("accept", "b"))
    assert it.headers["X-Name"] == "ü"
    assert it.headers.getlist("Accept") == ["a", "b"]
    assert it.headers is it.headers


@pytest.mark.parametrize(
    ("lines", "cookies"),
    [
        ([], {}),
        (["a=1"], {"a": "1"}),
        (["a=1; b=2", "c=3"], {"a": "1", "b": "2", "c": "3"}),
        (["a=1;b=2;"], {"a": "1", "b": "2"}),
        (["a=1; a=2"], {"a": "1"}),
        (["a=b=c"], {"a": "b=c"}),
        (["a="], {"a": ""}),
        (["a; =1; ;"], {}),
        (['a="b c"'], {"a": "b c"}),
        (['a="b\\"c\\054d"'], {"a": 'b"c,d'}),
        (['a="'], {"a": '"'}),
        (["  a  =  1  "], {"a": "1"}),
    ],
)
def test_cookies_are_read_by_name(lines: list[str], cookies: dict[str, str]) -> None:
    it = request("/", *[("cookie", line) for line in lines])
    assert dict(it.cookies) == cookies
    assert it.cookies is it.cookies


@given(st.text(st.characters(max_codepoint=255)))
def test_any_cookie_line_can_be_read(line: str) -> None:
    assert len(request("/", ("cookie", line)).cookies) <= line.count("=")


# The body.


@pytest.mark.parametrize(
    ("content_type", "body", "text"),
    [
        (None, "ü".encode(), "ü"),
        ("text/plain", "ü".encode(), "ü"),
        ("text/plain; charset=utf-8", "ü".encode(), "ü"),
        ('text/plain; boundary=x; Charset="ISO-8859-1"', b"\xfc", "ü"),
        ("text/plain; charset=utf-16", "ü".encode("utf-16"), "ü"),
    ],
)
def test_the_text_is_decoded_by_the_charset(content_type: str | None, body: bytes, text: str) -> None:
    lines = [] if content_type is None else [("content-type", content_type)]
    assert request("/", *lines, body=body).text == text


@pytest.mark.parametrize(
    ("content_type", "body", "status", "message"),
    [
        ("text/plain", b"\xff", 400, "the body is not valid utf-8"),
        ("text/plain; charset=ascii", b"\xff", 400, "the body is not valid ascii"),
        ("text/plain; charset=utf-7", b"a", 415, "unsupported charset 'utf-7'"),
        ("text/plain; charset=rot13", b"a", 415, "unsupported charset 'rot13'"),
        ("text/plain; charset=", b"a", 415, "unsupported charset ''"),
    ],
)
def test_text_that_does_not_decode_is_the_clients_mistake(
    content_type: str, body: bytes, status: int, message: str
) -> None:
    with pytest.raises(HTTPError) as caught:
        _ = request("/", ("content-type", content_type), body=body).text
    assert (caught.value.status, caught.value.message) == (status, message)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"a": [1, null]}', {"a": [1, None]}),
        (b"null", None),
        (b'"\xc3\xbc"', "ü"),
        (b" 5 ", 5),
        (b"\xef\xbb\xbf5", 5),
    ],
)
def test_json_is_parsed_whatever_the_content_type_says(body: bytes, value: Any) -> None:
    assert request("/", ("content-type", "text/plain"), body=body).json() == value


def test_json_is_parsed_once() -> None:
    it = request(body=b"[1]")
    assert it.json() is it.json()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the body is not valid JSON: Expecting value: line 1 column 1 (char 0)"),
        (b"[1", "the body is not valid JSON: Expecting ',' delimiter: line 1 column 3 (char 2)"),
        (b"[NaN]", "the body is not valid JSON: NaN is no JSON"),
        (b"[" * 100_000, "the body is not valid JSON: nested too deeply"),
    ],
)
def test_malformed_json_is_the_clients_mistake(body: bytes, message: str) -> None:
    with pytest.raises(HTTPError) as caught:
        request(body=body).json()
    assert (caught.value.status, caught.value.message) == (400, message)


@pytest.mark.parametrize("body", [b"\xff", b"'a'", b"9" * 5000, b"-Infinity", "1".encode("utf-16")])
def test_what_only_looks_like_json_is_refused(body: bytes) -> None:
    with pytest.raises(HTTPError, match=r"^400 the body is not valid JSON"):
        request(body=body).json()
