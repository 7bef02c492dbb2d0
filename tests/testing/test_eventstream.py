"""The client's end of an event stream."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from microsock import App, Event, Request, Response
from microsock.testing import EventStreamEnded, EventStreamRefused, ReceivedEvent, TestClient
from microsock.testing.eventstream import EventParser

STREAMS = [
    (b"data: a\n\n", [ReceivedEvent("a")]),
    (b"data:a\r\rdata: b\r\n\r\n", [ReceivedEvent("a"), ReceivedEvent("b")]),
    (b"data\ndata\n\n", [ReceivedEvent("\n")]),
    (b"data:  two spaces\n\n", [ReceivedEvent(" two spaces")]),
    (
        b": note\nevent: tick\nid: 1\ndata: a\n\ndata: b\n\n",
        [ReceivedEvent("a", "tick", "1"), ReceivedEvent("b", id="1")],
    ),
    (b"retry: 500\nretry: soon\nid: a\0b\nunknown: x\ndata: a\n\n", [ReceivedEvent("a", retry=500)]),
    (b"event: lost\n\ndata: a\n\n", [ReceivedEvent("a")]),
    (b"data: incomplete\n", []),
]


@pytest.mark.parametrize(("raw", "events"), STREAMS)
def test_events_are_read_as_a_browser_reads_them_however_they_are_cut(raw: bytes, events: list[ReceivedEvent]) -> None:
    assert EventParser().feed(raw + b":") == events
    parser = EventParser()
    assert [event for byte in raw + b":" for event in parser.feed(bytes([byte]))] == events


def test_an_id_counts_from_the_end_of_its_block_also_without_data() -> None:
    parser = EventParser()
    assert parser.feed(b"id: 1\n") == []
    assert parser.last_event_id == ""
    assert parser.feed(b"\nid: 2\n") == []
    assert parser.last_event_id == "1"
    assert parser.feed(b"id\n\n") == []
    assert parser.last_event_id == ""


def test_comments_are_kept_apart() -> None:
    parser = EventParser()
    parser.feed(b": one\n:two\n\n")
    assert parser.comments == ["one", "two"]


@pytest.fixture
def client() -> Iterator[TestClient]:
    app = App()

    @app.get("/three")
    def three(request: Request) -> Iterator[Event]:
        for number in range(3):
            yield Event(str(number), id=str(number))

    @app.get("/page")
    def page(request: Request) -> str:
        return "a page"

    @app.get("/large")
    def large(request: Request) -> Iterator[Event]:
        for _ in range(20):
            yield Event("x" * 1_000_000)

    @app.get("/cookie")
    def cookie(request: Request) -> Response:
        response = Response(three(request))
        response.set_cookie("a", request.args["value"])
        return response

    with app.test_client() as client:
        yield client


def test_a_stream_is_read_event_by_event_to_its_end(client: TestClient) -> None:
    with client.events("/three") as events:
        assert [events.receive().data for _ in range(3)] == ["0", "1", "2"]
        assert events.last_event_id == "2"
        with pytest.raises(EventStreamEnded, match="the stream has ended"):
            events.receive()
        assert events.ended
        assert not events.was_cut


def test_what_is_no_event_stream_is_refused_as_a_browser_would(client: TestClient) -> None:
    with pytest.raises(EventStreamRefused, match="no event stream: 200 OK, text/html; charset=utf-8") as page:
        client.events("/page")
    assert page.value.response.text == "a page"
    with pytest.raises(EventStreamRefused, match="404 Not Found"):
        client.events("/nothing")


def test_headers_query_and_cookies_are_those_of_a_client(client: TestClient) -> None:
    with client.events("/cookie", params={"value": "7"}) as events:
        assert events.response.request.headers["Accept"] == "text/event-stream"
    assert client.cookies["a"] == "7"


def test_a_reader_that_does_not_take_its_events_stops_reading(client: TestClient) -> None:
    with client.events("/large") as events:
        assert not events.ended
        received = 0
        with pytest.raises(EventStreamEnded):
            while events.receive():
                received += 1
        assert received == 20
