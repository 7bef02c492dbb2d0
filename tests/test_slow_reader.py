"""Who is a slow reader: a peer that takes nothing of what is queued for it, not one that gets much at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from running import running
from serving import served
from websockets.sync.client import connect
from wire import received

from microsock import App, EventStream, Request, Server, WebSocket
from microsock.slow_reader import SlowReader
from microsock.testing import TestClient

PATIENCE = 10.0


def bursting(**settings: Any) -> App:
    """Publishes so many messages of a size by one call of a handler."""
    app = App(access_log=False, **settings)

    @app.post("/{count:int}/{size:int}")
    def burst(request: Request, count: int, size: int) -> tuple[str, int]:
        for _ in range(count):
            app.publish("news", "x" * size)
        return "", 204

    @app.websocket("/ws")
    def listen(ws: WebSocket, message: str) -> None:
        pass

    @listen.on_open
    def opened(ws: WebSocket) -> None:
        ws.subscribe("news")

    @app.get("/events")
    def events(request: Request) -> EventStream:
        return EventStream("news")

    return app


BURSTS = [(1, 3_000_000), (30, 100_000), (999, 3_000)]


@pytest.mark.parametrize(("count", "size"), BURSTS)
@pytest.mark.parametrize("workers", [1, 3])
def test_a_burst_reaches_all_who_read(count: int, size: int, workers: int) -> None:
    with bursting().test_client(workers=workers) as client, client.events("/events") as events:
        sockets = [client.websocket("/ws") for _ in range(4)]
        client.post(f"/{count}/{size}")
        assert [len(received(ws)) for ws in sockets] == [count] * 4
        assert len(events.received()) == count
        assert not events.was_cut


@pytest.mark.parametrize("bursts", [1, 2, 5])
def test_a_burst_ends_who_takes_nothing_once_it_is_over(bursts: int) -> None:
    with bursting().test_client() as client, client.events("/events") as events:
        ws = client.websocket("/ws")
        ws.pause()
        events.pause()
        for _ in range(bursts):
            client.post("/30/100000")
        ws.resume()
        events.resume()
        assert ws.closed == (1013, "too slow a reader")
        assert events.received() is not None
        assert events.was_cut


def test_who_takes_nothing_loses_what_comes_behind_a_burst_where_the_app_says_so() -> None:
    with bursting(slow_reader="drop").test_client() as client:
        ws = client.websocket("/ws")
        ws.pause()
        client.post("/30/100000")
        client.post("/7/100000")
        assert client.world.site.dropped == 7
        ws.resume()
        assert len(received(ws)) == 30
        client.post("/30/100000")
        assert len(received(ws)) == 30


# On a clock that is moved, with a queue that is read by hand.


class Queue:
    """An outlet."""

    def __init__(self) -> None:
        self.size = self.taken = 0

    def queued(self) -> int:
        return self.size

    def acknowledged(self) -> int:
        return self.taken

    def take(self, size: int) -> None:
        self.size -= size
        self.taken += size


class Desk:
    """A reader that is watched."""

    def __init__(self, **settings: Any) -> None:
        self.client: TestClient = App(max_queued_bytes=1000, write_timeout=20, **settings).test_client()
        self.site = self.client.world.site
        self.site.reader_grace = 1.0
        self.queue = Queue()
        self.cuts = 0
        self.reader = SlowReader(self.site, self.queue, self.cut)

    def cut(self) -> None:
        self.cuts += 1

    def push(self, size: int) -> bool:
        admitted = self.reader.admits(size)
        if admitted:
            self.queue.size += size
        return admitted

    def after(self, seconds: float) -> int:
        self.client.advance(seconds)
        return self.cuts


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    with desk.client:
        yield desk


def test_up_to_the_bound_nobody_is_watched(desk: Desk) -> None:
    assert desk.push(600)
    assert desk.push(400)
    assert desk.after(60) == 0


def test_past_it_a_reader_has_a_second_to_take_something(desk: Desk) -> None:
    assert desk.push(1000)
    assert desk.push(1)
    assert desk.push(5000)
    assert desk.after(0.9) == 0
    assert desk.after(0.4) == 1
    assert desk.after(60) == 1


def test_who_takes_something_has_another_second(desk: Desk) -> None:
    desk.push(10_000)
    desk.push(1)
    for _ in range(8):
        assert desk.after(0.9) == 0
        desk.queue.take(1)
    assert desk.after(2) == 1


def test_who_has_caught_up_is_watched_no_more(desk: Desk) -> None:
    desk.push(10_000)
    desk.push(1)
    desk.after(0.5)
    desk.queue.take(9_500)
    assert desk.after(60) == 0
    assert desk.push(10_000)
    assert desk.after(2) == 1


def test_who_takes_too_little_for_twenty_seconds_is_slow_too(desk: Desk) -> None:
    desk.push(10_000)
    desk.push(1)
    for _ in range(38):
        assert desk.after(0.5) == 0
        desk.queue.take(1)
        desk.push(100)
    desk.queue.take(1)
    desk.after(0.5)
    desk.queue.take(1)
    assert desk.after(1) == 1


def test_far_behind_a_reader_has_less_time_and_gets_no_more(desk: Desk) -> None:
    desk.push(1000)
    desk.push(8000)
    assert desk.after(0.2) == 0
    assert desk.push(1)
    assert desk.after(0.1) == 0
    assert not desk.push(1)
    assert desk.cuts == 1


def test_nobody_looks_after_one_that_has_gone(desk: Desk) -> None:
    desk.push(1000)
    desk.push(1)
    desk.after(0.3)
    desk.reader.close()
    assert desk.after(60) == 0


# Over real sockets, whose peers read while their processor lets them.


def told(url: str, sizes: list[tuple[int, int]]) -> None:
    for count, size in sizes:
        httpx.post(f"{url}/{count}/{size}", timeout=PATIENCE).raise_for_status()


def heard(url: str, sizes: list[tuple[int, int]]) -> list[int]:
    """How many messages each of four followers gets of some bursts, one right behind the other."""
    due, got = sum(count for count, _ in sizes), [0] * 4

    def follow(number: int) -> None:
        with connect(f"{url.replace('http', 'ws', 1)}/ws", max_size=None, compression=None) as ws:
            ready.wait()
            while got[number] < due and ws.recv(timeout=PATIENCE):
                got[number] += 1

    ready = threading.Barrier(5)
    threads = [threading.Thread(target=follow, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    ready.wait(PATIENCE)
    told(url, sizes)
    for thread in threads:
        thread.join(PATIENCE)
    return got


@pytest.mark.server
@pytest.mark.parametrize("sizes", [[(100, 100_000)], [(1, 8_000_000)], [(30, 100_000)] * 4])
def test_readers_that_keep_up_get_bursts_whole(sizes: list[tuple[int, int]]) -> None:
    with served(Server(bursting(), port=0)) as server:
        assert heard(server.urls[0], sizes) == [sum(count for count, _ in sizes)] * 4


@pytest.mark.server
def test_readers_of_several_workers_get_bursts_whole() -> None:
    with running("--workers", "2", "tests/test_slow_reader.py:bursting", "--factory") as server:
        assert heard(server.url, [(100, 100_000)] * 2) == [200] * 4
