"""Header fields: case-blind, in order, and checked when they are set."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microsock.headers import Headers, MutableHeaders, is_token

LINES = [("Host", "a"), ("accept", "x"), ("Accept", "y"), ("X-Empty", "")]


@pytest.fixture
def headers() -> Headers:
    return Headers(LINES)


def test_names_are_case_blind(headers: Headers) -> None:
    assert headers["HOST"] == headers["host"] == headers.get("Host") == "a"
    assert "hOsT" in headers
    assert headers["x-empty"] == ""


def test_lines_of_one_name_are_joined_and_listed_in_order(headers: Headers) -> None:
    assert headers["Accept"] == "x, y"
    assert headers.getlist("ACCEPT") == ["x", "y"]


def test_a_name_that_is_not_there(headers: Headers) -> None:
    assert headers.get("Cookie") is None
    assert headers.get("Cookie", "none") == "none"
    assert headers.getlist("Cookie") == []
    assert "Cookie" not in headers
    name: object = 5
    assert name not in headers
    with pytest.raises(KeyError, match="Cookie"):
        headers["Cookie"]


def test_every_line_is_given_as_it_came(headers: Headers) -> None:
    assert headers.items() == LINES
    assert repr(headers) == f"Headers({LINES!r})"


def test_names_are_counted_and_walked_once(headers: Headers) -> None:
    assert list(headers) == ["host", "accept", "x-empty"]
    assert len(headers) == 3
    assert dict(headers) == {"host": "a", "accept": "x, y", "x-empty": ""}


def test_what_is_given_cannot_change_it(headers: Headers) -> None:
    headers.items().clear()
    headers.getlist("accept").clear()
    assert headers.items() == LINES


# MutableHeaders.


@pytest.mark.parametrize(
    "source",
    [
        {"A": "1", "B": "2"},
        [("A", "1"), ("B", "2")],
        iter([("A", "1"), ("B", "2")]),
        Headers([("A", "1"), ("B", "2")]),
    ],
)
def test_headers_are_made_of_a_mapping_or_of_pairs(source: Any) -> None:
    assert MutableHeaders(source).items() == [("A", "1"), ("B", "2")]


def test_pairs_may_repeat_a_name() -> None:
    lines = [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]
    assert MutableHeaders(lines).items() == lines


def test_setting_replaces_every_line_of_the_name() -> None:
    headers = MutableHeaders(LINES)
    headers["ACCEPT"] = "z"
    assert headers.getlist("accept") == ["z"]
    assert len(headers.items()) == 3


def test_adding_keeps_the_lines_that_are_there() -> None:
    headers = MutableHeaders({"Vary": "Accept"})
    headers.add("Vary", "Origin")
    assert headers["Vary"] == "Accept, Origin"


def test_updating_replaces_names_that_are_there_and_keeps_repeated_ones_apart() -> None:
    headers = MutableHeaders({"A": "1", "B": "2"})
    headers.update([("a", "3"), ("a", "4"), ("C", "5")])
    assert headers.items() == [("B", "2"), ("a", "3"), ("a", "4"), ("C", "5")]


def test_an_update_that_is_refused_changes_nothing() -> None:
    headers = MutableHeaders({"A": "1"})
    with pytest.raises(ValueError):
        headers.update({"A": "2", "B": "\n"})
    assert headers.items() == [("A", "1")]


def test_setdefault_sets_only_what_is_missing() -> None:
    headers = MutableHeaders({"A": "1"})
    assert (headers.setdefault("a", "2"), headers.setdefault("B", "3")) == ("1", "3")
    assert headers.items() == [("A", "1"), ("B", "3")]


def test_deleting_takes_every_line_of_the_name() -> None:
    headers = MutableHeaders(LINES)
    del headers["ACCEPT"]
    assert "accept" not in headers
    with pytest.raises(KeyError, match="ACCEPT"):
        del headers["ACCEPT"]


def test_popping_gives_what_was_there() -> None:
    headers = MutableHeaders(LINES)
    assert headers.pop("Accept") == "x, y"
    assert headers.pop("Accept") is None
    assert headers.pop("Accept", "none") == "none"


def test_space_around_a_value_is_not_part_of_it() -> None:
    assert MutableHeaders({"A": " \t1 2\t "})["A"] == "1 2"


SETTERS = ["__setitem__", "add", "setdefault"]


@pytest.mark.parametrize("setter", SETTERS)
@pytest.mark.parametrize("name", ["", "a b", "a:", "ü", "a\n", "a\r\nb", 5, None, b"a"])
def test_a_name_that_is_no_token_is_refused(setter: str, name: Any) -> None:
    headers = MutableHeaders()
    with pytest.raises(ValueError) as caught:
        getattr(headers, setter)(name, "x")
    assert f"header name {name!r} is not a token" in str(caught.value)
    assert headers.items() == []


@pytest.mark.parametrize("setter", SETTERS)
@pytest.mark.parametrize("character", ["\r", "\n", "\0", "\x0b", "\x7f", "\u0100", "🙂", "\udc80"])
def test_a_value_that_would_break_the_line_is_refused(setter: str, character: str) -> None:
    headers = MutableHeaders()
    with pytest.raises(ValueError) as caught:
        getattr(headers, setter)("X-A", f"1{character}2")
    assert str(caught.value) == (
        f"header X-A has {character!r} in its value; allowed are visible Latin-1 characters, spaces, tabs"
    )
    assert headers.items() == []


@pytest.mark.parametrize("value", [5, None, b"1", ["a"]])
def test_a_value_that_is_no_text_is_refused(value: Any) -> None:
    with pytest.raises(ValueError) as caught:
        MutableHeaders({"Retry-After": value})
    assert str(caught.value) == f"header Retry-After has the value {value!r}; a str is expected"


@given(st.text(), st.text())
def test_whatever_is_set_never_ends_its_line(name: str, value: str) -> None:
    headers = MutableHeaders()
    try:
        headers[name] = value
    except ValueError:
        return
    ((name, value),) = headers.items()
    line = f"{name}: {value}".encode("latin-1")
    assert not {b"\r", b"\n", b"\0"} & {line[i : i + 1] for i in range(len(line))}


@pytest.mark.parametrize(
    ("text", "answer"), [("GET", True), ("x-y_z.1~!#", True), ("", False), ("a b", False), ("a\n", False), ("ü", False)]
)
def test_a_token_has_neither_space_nor_separator(text: str, answer: bool) -> None:
    assert is_token(text) is answer
