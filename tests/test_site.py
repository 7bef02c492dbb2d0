"""What the connections of a worker share: topics with retained values, and jobs by the clock."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from microsock import App, SetupError, WebSocket, WebSocketClosed
from microsock.testing import StillWaiting, TestClient


@pytest.fixture
def app() -> App:
    app = App()

    @app.websocket("/rooms/{room}")
    def rooms(ws: WebSocket, message: str, room: str) -> str | None:
        if message == "again":
            ws.subscribe(room)
            return "subscribed again"
        app.publish(room, message, retain=True)
        return None

    @rooms.on_open
    def joined(ws: WebSocket, room: str) -> None:
        ws.send("welcome")
        ws.subscribe(room)
        ws.send("joined")

    return app


@pytest.fixture
def client(app: App) -> Iterator[TestClient]:
    with app.test_client() as client:
        yield client


def everything(receive: Callable[[], object]) -> list[object]:
    messages = []
    try:
        while True:
            messages.append(receive())
    except StillWaiting:
        return messages


# Retained values.


def test_a_new_subscriber_gets_the_last_retained_value_at_once(client: TestClient) -> None:
    first = client.websocket("/rooms/a")
    first.send("1")
    first.send("2")
    assert everything(first.receive) == ["welcome", "joined", "1", "2"]
    with client.websocket("/rooms/a") as second:
        assert everything(second.receive) == ["welcome", "2", "joined"]
    with client.websocket("/rooms/b") as other:
        assert everything(other.receive) == ["welcome", "joined"]


def test_who_is_subscribed_already_does_not_get_it_again(client: TestClient) -> None:
    ws = client.websocket("/rooms/a")
    ws.send("1")
    ws.send("again")
    assert everything(ws.receive) == ["welcome", "joined", "1", "subscribed again"]


def test_what_is_not_retained_leaves_the_retained_value_alone(app: App, client: TestClient) -> None:
    app.publish("a", {"state": 1}, retain=True)
    app.publish("a", "passing")
    assert everything(client.websocket("/rooms/a").receive) == ["welcome", '{"state":1}', "joined"]


def test_a_retained_value_is_an_answer_however_much_is_queued(app: App) -> None:
    large = "x" * 50_000

    @app.websocket("/large")
    def wide(ws: WebSocket, message: str) -> None: ...

    @wide.on_open
    def joined(ws: WebSocket) -> None:
        ws.send(large)
        ws.subscribe("a")

    with app.test_client(max_queued_bytes=1000) as client:
        app.publish("a", large, retain=True)
        ws = client.websocket("/large")
        assert [len(str(message)) for message in everything(ws.receive)] == [50_000, 50_000]


def test_a_subscription_from_outside_the_handler_is_bounded_as_news_is(app: App) -> None:
    with app.test_client(max_queued_bytes=100_000) as client:
        ws = client.websocket("/rooms/a")
        ws.pause()
        for number in range(400):
            app.publish(f"topic {number}", "x" * 1000, retain=True)
        client.world.settle()
        theirs, number = app.websockets[0], 0
        while theirs.close_code is None:
            theirs.subscribe(f"topic {number}")
            client.world.settle()
            number += 1
        assert 260 < number < 400
        ws.resume()
        assert ws.closed == (1013, "too slow a reader")


# Jobs.


class Beats:
    """An app with a job, and when it was called."""

    def __init__(self) -> None:
        self.app = App()
        self.at: list[float] = []
        self.client: TestClient | None = None
        self.fails = False

    def __call__(self) -> None:
        assert self.client is not None
        self.at.append(self.client.world.now())
        if self.fails:
            raise ValueError("on purpose")

    def serve(self) -> TestClient:
        self.client = self.app.test_client()
        return self.client


@pytest.fixture
def beats() -> Beats:
    return Beats()


def test_a_job_comes_again_and_again_without_drift(beats: Beats) -> None:
    beats.app.every(0.1)(beats)
    client = beats.serve()
    client.advance(100)
    assert len(beats.at) == 1000
    assert beats.at[-1] == pytest.approx(100)


def test_turns_that_were_missed_are_passed_over(beats: Beats) -> None:
    app, slow = beats.app, [25.5]

    @app.every(10)
    def beat() -> None:
        beats()
        if slow:
            assert beats.client is not None
            beats.client.world._clock += slow.pop()  # the call takes that long

    client = beats.serve()
    client.advance(10)
    client.advance(30)
    assert beats.at == [10, 35.5, 40, 50, 60]


def test_a_job_that_raises_is_logged_and_comes_again(beats: Beats, caplog: pytest.LogCaptureFixture) -> None:
    beats.fails = True
    beats.app.every(1)(beats)
    client = beats.serve()
    client.advance(3)
    assert beats.at == [1, 2, 3]
    assert [record.message for record in caplog.records] == ["error in job 'Beats'"] * 3
    assert caplog.records[0].exc_info is not None


def test_jobs_stop_with_the_site(beats: Beats) -> None:
    beats.app.every(1)(beats)
    client = beats.serve()
    beats.app.after(5, beats)
    client.close()
    client.world.advance(10)
    assert beats.at == []
    assert len(client.world.timers) == 0


def test_a_job_that_is_added_while_the_app_is_served_starts_then(beats: Beats) -> None:
    client = beats.serve()
    client.advance(5)
    beats.app.every(2)(beats)
    client.advance(4)
    assert beats.at == [7, 9]


def test_a_job_of_a_start_hook_comes_once_a_turn(beats: Beats) -> None:
    @beats.app.on_start
    def start() -> None:
        beats.app.every(2)(beats)
        beats.app.after(1, beats)

    client = beats.serve()
    client.advance(4)
    assert beats.at == [1, 2, 4]


def test_a_function_is_called_once_later(beats: Beats) -> None:
    client = beats.serve()
    beats.app.after(2.5, beats)
    beats.app.after(0, beats)
    client.advance(10)
    assert beats.at == [0, 2.5]


def test_a_function_may_ask_to_be_called_again(beats: Beats) -> None:
    client = beats.serve()

    def again() -> None:
        beats()
        beats.app.after(1, again)

    beats.app.after(1, again)
    client.advance(3)
    assert beats.at == [1, 2, 3]


def test_any_thread_may_ask_for_a_later_call(beats: Beats) -> None:
    client = beats.serve()
    threads = [threading.Thread(target=beats.app.after, args=(seconds, beats)) for seconds in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    client.advance(5)
    assert beats.at == [1, 2]


def test_a_job_publishes(app: App, client: TestClient) -> None:
    app.every(60)(lambda: app.publish("a", "tick"))
    ws = client.websocket("/rooms/a")
    client.advance(120)
    assert everything(ws.receive) == ["welcome", "joined", "tick", "tick"]


def test_nothing_can_be_asked_of_an_app_that_is_served_no_more(beats: Beats) -> None:
    beats.serve().close()
    with pytest.raises(SetupError, match="nothing serves this app"):
        beats.app.after(1, beats)


# Other threads.


def elsewhere(function: Callable[[], object]) -> None:
    """Run this in another thread, and let through what it raises."""
    errors: list[Exception] = []

    def run() -> None:
        try:
            function()
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]


def test_what_another_thread_sends_goes_out_on_the_loop_in_order(app: App, client: TestClient) -> None:
    ws = client.websocket("/rooms/a")
    theirs = app.websockets[0]

    def talk() -> None:
        theirs.send("one")
        app.publish("a", "two")
        theirs.unsubscribe("a")
        app.publish("a", "lost")
        theirs.subscribe("b")
        app.publish("b", "three")
        theirs.ping(b"four")
        theirs.close(4000, "five")

    elsewhere(talk)
    assert theirs.queued_bytes == 0
    assert everything_until_closed(ws.receive) == ["welcome", "joined", "one", "two", "three"]
    assert ws.pongs == []
    assert ws.frames[-2].payload == b"four"
    assert ws.closed == (4000, "five")


def everything_until_closed(receive: Callable[[], object]) -> list[object]:
    messages = []
    try:
        while True:
            messages.append(receive())
    except WebSocketClosed:
        return messages


def test_what_another_thread_sends_behind_the_end_is_dropped(app: App, client: TestClient) -> None:
    ws = client.websocket("/rooms/a")
    theirs = app.websockets[0]
    elsewhere(partial(theirs.send, "late"))
    theirs._link.close(1000, "")
    assert everything_until_closed(ws.receive) == ["welcome", "joined"]
    elsewhere(app.topic("a").close)
    assert app.websockets == []
