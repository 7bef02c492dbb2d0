"""Events as text, and what an EventStream says of itself."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microsock import Event, EventStream, Response
from microsock.testing.eventstream import EventParser


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (Event("hello"), b"data: hello\n\n"),
        (Event(""), b"data: \n\n"),
        (Event("two\nlines"), b"data: two\ndata: lines\n\n"),
        (Event("one\r\ntwo\rthree\n"), b"data: one\ndata: two\ndata: three\ndata: \n\n"),
        (Event({"a": "ü"}), 'data: {"a":"ü"}\n\n'.encode()),
        (Event([1, 2]), b"data: [1,2]\n\n"),
        (Event("x", event="tick", id="7", retry=500), b"event: tick\nid: 7\nretry: 500\ndata: x\n\n"),
        (Event("x", id=""), b"id: \ndata: x\n\n"),
    ],
)
def test_an_event_is_fields_and_an_empty_line(event: Event, text: bytes) -> None:
    assert event.encode() == text
    assert repr(event).startswith("<Event '")


@pytest.mark.parametrize(
    ("fields", "error", "words"),
    [
        ({"data": b"bytes"}, TypeError, "encode bytes first"),
        ({"data": 5}, TypeError, "str, bytes, dict or list, not 5"),
        ({"data": "\ud800"}, ValueError, "lone surrogate"),
        ({"data": "", "event": "a\nb"}, ValueError, "an event's event is one line without NUL"),
        ({"data": "", "id": "a\r"}, ValueError, "an event's id is one line without NUL"),
        ({"data": "", "id": "a\0"}, ValueError, "an event's id is one line without NUL"),
        ({"data": "", "id": 5}, TypeError, "an event's id is a str, not 5"),
        ({"data": "", "id": "\ud800"}, ValueError, "surrogates not allowed"),
        ({"data": "", "retry": -1}, ValueError, "whole number of milliseconds, not -1"),
        ({"data": "", "retry": 1.5}, ValueError, "whole number of milliseconds, not 1.5"),
        ({"data": "", "retry": True}, ValueError, "whole number of milliseconds, not True"),
    ],
)
def test_what_an_event_cannot_say_is_refused_where_it_is_made(
    fields: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        Event(**fields)


LINES = st.text(st.characters(exclude_categories=["Cs"])).filter(lambda text: "\0" not in text)


@given(LINES, st.lists(st.integers(1, 9)))
def test_whatever_data_comes_through_as_it_was_but_for_its_line_ends(data: str, cuts: list[int]) -> None:
    raw, parser = Event(data).encode(), EventParser()
    events = []
    for cut in cuts:
        events += parser.feed(raw[:cut])
        raw = raw[cut:]
    events += parser.feed(raw)
    assert [event.data for event in events] == [data.replace("\r\n", "\n").replace("\r", "\n")]


def test_an_event_stream_names_each_topic_once() -> None:
    stream = EventStream("a", "b", "a")
    assert (stream.topics, stream.history, stream.keep_alive) == (("a", "b"), 100, 15.0)
    assert repr(stream) == "<EventStream a, b>"


@pytest.mark.parametrize(
    ("topics", "options", "error"),
    [
        ((), {}, TypeError),
        ((7,), {}, TypeError),
        (("a",), {"history": -1}, ValueError),
        (("a",), {"history": 1.5}, ValueError),
        (("a",), {"keep_alive": 0}, ValueError),
        (("a",), {"keep_alive": float("inf")}, ValueError),
    ],
)
def test_an_event_stream_that_cannot_be_followed_is_refused(
    topics: tuple[Any, ...], options: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        EventStream(*topics, **options)


def test_a_response_may_hold_one_and_says_how_it_is_to_be_treated() -> None:
    stream = EventStream("a")
    response = Response(stream, headers={"Cache-Control": "no-cache"})
    assert response.stream is stream
    assert response.headers.items() == [
        ("Cache-Control", "no-cache"),
        ("X-Accel-Buffering", "no"),
        ("Content-Type", "text/event-stream"),
    ]
    with pytest.raises(TypeError, match="EventStream is returned by a handler as it is"):
        list(stream)
