"""Event streams from end to end: generators of events, and EventStreams that follow topics."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from wire import ask, asked, body_of, statuses

from microsock import App, Event, EventStream, Request, Response, WebSocket, sleep
from microsock.testing import EventStreamEnded, EventStreamRefused, ReceivedEvent, StillWaiting, TestClient


class News:
    """An app whose streams follow topics, and generators that notice how they end."""

    def __init__(self, **settings: object) -> None:
        self.app = App(**settings)
        self.notes: list[str] = []

        @self.app.get("/news")
        def news(request: Request) -> EventStream:
            return EventStream("news", "sport", history=5, keep_alive=15)

        @self.app.get("/held")
        def held(request: Request) -> Response:
            return Response(EventStream("news"), headers={"X-A": "1"})

        @self.app.get("/pair")
        def pair(request: Request) -> tuple[EventStream, int, dict[str, str]]:
            return EventStream("news"), 200, {"X-A": "1"}

        @self.app.get("/ticks")
        def ticks(request: Request) -> Any:
            try:
                for number in range(100):
                    yield Event(str(number), id=str(number))
                    yield from sleep(1)
            except GeneratorExit:
                self.notes.append("left")
                raise

        @self.app.get("/written")
        def written(request: Request) -> Response:
            return Response(self.lines(), content_type="text/event-stream; charset=utf-8")

        @self.app.get("/report")
        def report(request: Request) -> Any:
            yield "one "
            yield from sleep(3)
            yield "two"

        @self.app.websocket("/socket")
        def socket(ws: WebSocket, message: str) -> None:
            self.app.publish("news", message, exclude=ws)

        @socket.on_open
        def joined(ws: WebSocket) -> None:
            ws.subscribe("news")

    def lines(self) -> Iterator[Any]:
        try:
            yield ": hello\n\n"
            yield from sleep(100)
        finally:
            self.notes.append("over")


@pytest.fixture
def news() -> News:
    return News()


@pytest.fixture
def client(news: News) -> Iterator[TestClient]:
    with news.app.test_client() as client:
        yield client


def data(events: list[ReceivedEvent]) -> list[str]:
    return [event.data for event in events]


# What follows topics.


def test_what_is_published_comes_as_events_in_order(news: News, client: TestClient) -> None:
    with client.events("/news") as events:
        news.app.publish("news", "a\nb")
        news.app.publish("sport", {"goals": 2})
        news.app.publish("other", "not for this one")
        news.app.publish("news", "c")
        assert events.received() == [
            ReceivedEvent("a\nb", id="bus-1"),
            ReceivedEvent('{"goals":2}', id="bus-2"),
            ReceivedEvent("c", id="bus-4"),
        ]
        with pytest.raises(StillWaiting, match="no event can arrive now"):
            events.receive()


@pytest.mark.parametrize("path", ["/news", "/held", "/pair", "/ticks"])
def test_a_stream_says_that_it_is_one_and_that_nobody_may_hold_it_back(client: TestClient, path: str) -> None:
    with client.events(path) as events:
        headers = events.response.headers
        assert headers["Content-Type"] == "text/event-stream"
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Accel-Buffering"] == "no"
        assert headers.get("X-A") == ("1" if path in ("/held", "/pair") else None)


def test_the_head_comes_before_anything_has_happened(client: TestClient) -> None:
    with client.events("/news") as events:
        assert events.comments == ["open"]
        assert not events.ended


def test_head_gets_the_head_of_a_stream_alone(news: News) -> None:
    for path in ("/news", "/ticks"):
        client, connection = asked(news.app, ask(path, method="HEAD") + ask("/report", method="HEAD"))
        answers = connection.receive()
        assert statuses(answers) == [200, 200]
        assert body_of(answers).startswith(b"HTTP/1.1 200 OK")
        assert b"Content-Type: text/event-stream\r\n" in answers
        assert news.app.topic("news").count() == 0
        client.close()


def test_who_comes_back_misses_nothing_that_the_history_holds(news: News, client: TestClient) -> None:
    with client.events("/news") as events:
        news.app.publish("news", "1")
        news.app.publish("sport", "2")
        assert data(events.received()) == ["1", "2"]
        last = events.last_event_id
    news.app.publish("news", "3")
    news.app.publish("sport", "4")
    with client.events("/news", headers={"Last-Event-ID": last}) as events:
        assert data(events.received()) == ["3", "4"]
        news.app.publish("news", "5")
        assert data(events.received()) == ["5"]
    for number in range(6, 16):
        news.app.publish("news", str(number))
    with client.events("/news", headers={"Last-Event-ID": last}) as events:
        assert data(events.received()) == ["4", "11", "12", "13", "14", "15"]


def test_a_new_follower_gets_the_retained_value_and_not_the_history(news: News, client: TestClient) -> None:
    with client.events("/news"):
        news.app.publish("news", "old", retain=True)
        news.app.publish("news", "state", retain=True)
        news.app.publish("news", "passing")
    with client.events("/news") as events:
        assert data(events.received()) == ["state"]


@pytest.mark.parametrize("before", [0, 1, 7, 150])
def test_who_saw_no_event_yet_misses_nothing_either(news: News, client: TestClient, before: int) -> None:
    for number in range(before):
        news.app.publish("news" if number % 2 else "other", "before")
    with client.events("/news") as events:
        assert events.received() == []
        last = events.last_event_id
    assert last == f"bus-{before}"
    news.app.publish("news", "while away")
    with client.events("/news", headers={"Last-Event-ID": last}) as events:
        assert data(events.received()) == ["while away"]
        assert events.last_event_id == f"bus-{before + 1}"


def test_a_retained_value_carries_no_id_and_the_opening_id_follows_it(news: News, client: TestClient) -> None:
    news.app.publish("news", "state", retain=True)
    for _ in range(3):
        news.app.publish("sport", "passing")
    with client.events("/news") as events:
        assert events.received() == [ReceivedEvent("state")]
        assert events.last_event_id == "bus-4"
    with client.events("/news", headers={"Last-Event-ID": "bus-4"}) as events:
        assert events.received() == []


def test_what_was_missed_carries_its_ids_so_that_a_stream_may_break_in_between(news: News, client: TestClient) -> None:
    with client.events("/news") as events:
        last = events.last_event_id
    news.app.publish("news", "1")
    news.app.publish("news", "2", retain=True)
    news.app.publish("other", "3")
    with client.events("/news", headers={"Last-Event-ID": last}) as events:
        assert events.received() == [ReceivedEvent("1", id="bus-1"), ReceivedEvent("2", id="bus-2")]
        assert events.last_event_id == "bus-3"


def test_a_quiet_client_of_an_earlier_life_gets_what_history_there_is(news: News) -> None:
    with news.app.test_client() as client, client.events("/news") as events:
        last = events.last_event_id
    with news.app.test_client() as client:
        client.world.site.history.birth = "later"
        news.app.publish("news", "right after the start")
        with client.events("/news", headers={"Last-Event-ID": last}) as events:
            assert data(events.received()) == ["right after the start"]
            assert events.last_event_id == "later-1"


def test_an_id_of_an_earlier_life_gets_what_history_there_is(news: News, client: TestClient) -> None:
    news.app.publish("news", "right after the start")
    client.world.settle()
    with client.events("/news", headers={"Last-Event-ID": "0f0f-17"}) as events:
        assert data(events.received()) == ["right after the start"]


def test_binary_messages_are_for_sockets_alone(news: News, client: TestClient) -> None:
    with client.events("/news") as events, client.websocket("/socket") as ws:
        news.app.publish("news", b"\x00\xff")
        news.app.publish("news", "text")
        assert (ws.receive(), ws.receive()) == (b"\x00\xff", "text")
        assert events.received() == [ReceivedEvent("text", id="bus-2")]


def test_sockets_and_streams_follow_the_same_topic_and_count_together(news: News, client: TestClient) -> None:
    topic = news.app.topic("news")
    with client.websocket("/socket") as ws, client.events("/news") as events:
        assert topic.count() == 2
        ws.send("hello")
        assert data(events.received()) == ["hello"]
        with pytest.raises(StillWaiting):
            ws.receive()
        topic.close(4001, "enough")
        with pytest.raises(EventStreamEnded, match="the stream has ended"):
            events.receive()
        assert ws.closed == (4001, "enough")
        assert not events.was_cut
    assert topic.count() == 0


def test_a_topic_that_closes_sends_first_what_was_published_before(news: News, client: TestClient) -> None:
    with client.events("/news") as events:
        news.app.publish("news", "last words")
        news.app.topic("news").close()
        assert data(events.received()) == ["last words"]
        assert events.ended


def test_a_quiet_stream_is_kept_alive_by_comments(news: News, client: TestClient) -> None:
    with client.events("/news") as events:
        client.advance(14.9)
        assert events.comments == ["open"]
        client.advance(0.2)
        assert events.comments == ["open", "keep-alive"]
        client.advance(9)
        news.app.publish("news", "a")
        client.advance(14)
        assert events.comments == ["open", "keep-alive"]
        client.advance(2)
        assert events.comments == ["open", "keep-alive", "keep-alive"]


def test_a_stream_whose_peer_leaves_is_forgotten(news: News, client: TestClient) -> None:
    events = client.events("/news")
    assert news.app.topic("sport").count() == 1
    events.close()
    assert news.app.topic("sport").count() == 0
    client.advance(3600)


def test_a_half_close_ends_a_stream_since_nobody_may_be_there(news: News) -> None:
    _, connection = asked(news.app, ask("/news"))
    connection.half_close()
    raw = connection.receive()
    assert statuses(raw) == [200]
    assert not raw.endswith(b"0\r\n\r\n")
    assert connection.ended
    assert news.app.topic("news").count() == 0


def test_http_1_0_gets_the_events_until_close(news: News) -> None:
    client, connection = asked(news.app, ask("/news", version="1.0"))
    news.app.publish("news", "a")
    assert body_of(connection.receive()) == b": open\n\nid: bus-0\n\nid: bus-1\ndata: a\n\n"
    client.drain()
    assert connection.receive() == b""
    assert connection.ended


def test_on_response_sees_the_stream_and_may_put_something_else_in_its_place(news: News) -> None:
    seen: list[object] = []

    @news.app.on_response
    def watch(request: Request, response: Response) -> Response | None:
        seen.append(response.stream)
        response.headers["X-Seen"] = "yes"
        return Response("full", 503) if len(seen) == 2 else None

    with news.app.test_client() as client:
        with client.events("/news") as events:
            assert events.response.headers["X-Seen"] == "yes"
        assert repr(seen[0]) == "<EventStream news, sport>"
        with pytest.raises(
            EventStreamRefused, match=r"^no event stream: 503 Service Unavailable, text/html"
        ) as refused:
            client.events("/news")
        assert refused.value.response.text == "full"
        assert news.app.topic("news").count() == 0


def test_a_hook_that_wraps_an_event_stream_is_told_that_it_cannot(news: News, caplog: pytest.LogCaptureFixture) -> None:
    @news.app.on_response
    def wrap(request: Request, response: Response) -> None:
        response.body = list(response.stream or ())

    with news.app.test_client() as client:
        assert client.get("/news").status_code == 500
        assert "it cannot be iterated over" in caplog.text


# Slow readers.


def flooded(news: News, count: int, size: int, **settings: object) -> tuple[TestClient, Any]:
    client = news.app.test_client(**settings)
    events = client.events("/news")
    events.pause()
    for _ in range(count):
        news.app.publish("news", "x" * size)
        client.world.settle()
    return client, events


def test_a_reader_that_is_too_slow_is_cut_without_the_last_chunk(news: News) -> None:
    client, events = flooded(news, 600, 1000, max_queued_bytes=100_000)
    assert news.app.topic("news").count() == 0
    events.resume()
    received = len(events.received())
    assert events.ended
    assert events.was_cut
    # What the memory transport and the connection hold; of the rest, nothing is sent.
    assert 260 < received < 600
    with pytest.raises(EventStreamEnded, match="the server cut the stream"):
        events.receive()
    assert client.world.site.dropped == 0


def test_a_reader_that_is_too_slow_may_lose_events_instead(news: News) -> None:
    client, events = flooded(news, 1000, 1000, max_queued_bytes=100_000, slow_reader="drop")
    assert news.app.topic("news").count() == 1
    assert client.world.site.dropped > 500
    events.resume()
    received = len(events.received())
    assert received == 1000 - client.world.site.dropped
    assert not events.ended
    news.app.publish("news", "and on")
    assert data(events.received()) == ["and on"]


def test_one_event_always_fits(news: News) -> None:
    client, events = flooded(news, 1, 500_000, max_queued_bytes=1000)
    events.resume()
    assert len(events.receive().data) == 500_000
    assert client.world.site.dropped == 0


def test_what_was_missed_is_sent_as_there_is_room_and_is_not_bounded_as_news_is(news: News) -> None:
    with news.app.test_client(max_queued_bytes=1000) as client:
        client.events("/news").close()
        for number in range(5):
            news.app.publish("news", str(number) * 200_000)
        client.world.settle()
        with client.events("/news", headers={"Last-Event-ID": "bus-0"}) as events:
            assert [event.data[0] for event in events.received()] == ["0", "1", "2", "3", "4"]
            assert not events.ended


# Generators.


def test_a_generator_of_events_is_an_event_stream(client: TestClient) -> None:
    with client.events("/ticks") as events:
        assert events.receive() == ReceivedEvent("0", id="0")
        client.advance(2)
        assert data(events.received()) == ["1", "2"]


def test_the_generator_sees_generatorexit_when_the_peer_leaves(news: News, client: TestClient) -> None:
    with client.events("/ticks"):
        client.advance(2)
        assert news.notes == []
    assert news.notes == ["left"]


def test_a_generator_may_write_the_stream_itself(client: TestClient) -> None:
    with client.events("/written") as events:
        assert events.comments == ["hello"]


def test_events_may_follow_text(news: News) -> None:
    @news.app.get("/mixed")
    def mixed(request: Request) -> Any:
        yield "first "
        yield Event("second")

    with news.app.test_client() as client:
        answer = client.get("/mixed")
        assert answer.text == "first data: second\n\n"
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"


def test_a_generator_that_forgets_yield_from_is_told_so(news: News, caplog: pytest.LogCaptureFixture) -> None:
    @news.app.get("/forgets")
    def forgets(request: Request) -> Any:
        yield sleep(1)

    with news.app.test_client() as client:
        assert client.get("/forgets").status_code == 500
        assert "not Waitable (sleep); write 'yield from' in front of it" in caplog.text


# Shutdown.


@pytest.mark.parametrize("path", ["/news", "/ticks", "/written"])
def test_an_endless_answer_ends_at_once_when_the_server_stops(news: News, path: str) -> None:
    client, connection = asked(news.app, ask(path))
    assert not connection.receive().endswith(b"0\r\n\r\n")
    client.drain()
    assert connection.receive() == b"0\r\n\r\n"
    assert connection.ended
    assert news.app.topic("news").count() == 0
    assert news.notes == {"/news": [], "/ticks": ["left"], "/written": ["over"]}[path]


@pytest.mark.parametrize("path", ["/news", "/ticks"])
def test_one_that_is_asked_for_while_the_server_stops_ends_at_once_too(news: News, path: str) -> None:
    client, connection = asked(news.app, b"")
    client.drain()
    connection.send(ask(path))
    raw = connection.receive()
    assert statuses(raw) == [200]
    assert b"\r\nConnection: close\r\n" in raw
    assert raw.endswith(b"0\r\n\r\n")
    assert connection.ended


def test_a_finite_generator_finishes_when_the_server_stops(news: News) -> None:
    client, connection = asked(news.app, ask("/report"))
    client.drain()
    assert body_of(connection.receive()) == b"4\r\none \r\n"
    client.advance(3)
    assert connection.receive() == b"3\r\ntwo\r\n0\r\n\r\n"


def test_a_finite_generator_is_cut_when_the_grace_time_ends(news: News) -> None:
    client, connection = asked(news.app, ask("/report"), grace=2)
    client.drain()
    client.advance(2)
    assert not connection.receive().endswith(b"0\r\n\r\n")
    assert connection.closed


def test_a_stream_that_is_kept_by_an_app_ends_where_its_hook_raises(
    news: News, caplog: pytest.LogCaptureFixture
) -> None:
    @news.app.on_response
    def breaks(request: Request, response: Response) -> None:
        raise ValueError("on purpose")

    with news.app.test_client() as client:
        assert client.get("/news").status_code == 500
        assert news.app.topic("news").count() == 0


def test_a_binary_value_that_was_missed_is_passed_over(news: News, client: TestClient) -> None:
    client.events("/news").close()
    for value in ("1", b"2", "3"):
        news.app.publish("news", value)
    with client.events("/news", headers={"Last-Event-ID": "bus-0"}) as events:
        assert data(events.received()) == ["1", "3"]
