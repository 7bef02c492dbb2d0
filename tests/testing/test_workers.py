"""Several workers in memory, on one clock: what is published, counted and led over them, and a worker's death."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from wire import received

from microsock import App, EventStream, Request, SetupError, WebSocket, sleep
from microsock.testing import EventStreamEnded, StillWaiting, TestClient


def make_app(**settings: Any) -> App:
    app = App(**settings)

    @app.websocket("/rooms/{room}")
    def rooms(ws: WebSocket, message: str, room: str) -> None:
        app.publish(room, message, exclude=ws if message == "not me" else None)

    @rooms.on_open
    def joined(ws: WebSocket, room: str) -> None:
        ws.subscribe(room)

    @app.get("/events/{topic}")
    def events(request: Request, topic: str) -> EventStream:
        return EventStream(topic)

    @app.get("/count/{topic}")
    def count(request: Request, topic: str) -> dict[str, int]:
        return {"here": len(app.websockets), "all": app.topic(topic).count()}

    @app.get("/slow")
    def slow(request: Request) -> Iterator[Any]:
        yield from sleep(10)
        yield "done"

    return app


@pytest.fixture
def app() -> App:
    return make_app()


@pytest.fixture
def client(app: App) -> Iterator[TestClient]:
    with app.test_client(workers=3) as client:
        yield client


# The bus.


def test_a_stream_without_an_event_yet_goes_on_in_another_worker(app: App, client: TestClient) -> None:
    app.publish("a", "before anybody came")
    for number, other in ((1, 2), (2, 3), (3, 1)):
        with client.worker(number).events("/events/a") as events:
            assert events.received() == []
            last = events.last_event_id
        app.publish("a", f"while away from {number}")
        client.world.settle()
        client.kill_worker(number)
        with client.worker(other).events("/events/a", headers={"Last-Event-ID": last}) as events:
            assert [event.data for event in events.received()] == [f"while away from {number}"]
        client.start_worker(number)
        with client.worker(number).events("/events/a", headers={"Last-Event-ID": last}) as events:
            assert [event.data for event in events.received()] == [f"while away from {number}"]


def test_one_publish_reaches_everybody_in_every_worker(app: App, client: TestClient) -> None:
    sockets = [client.websocket("/rooms/a") for _ in range(24)]
    assert [client.worker(number).get("/count/a").json() for number in (1, 2, 3)] == [{"here": 8, "all": 24}] * 3
    sockets[0].send("hello")
    app.publish("a", "from outside")
    client.world.settle()
    assert [received(ws) for ws in sockets] == [["hello", "from outside"]] * 24
    assert len(app.websockets) == app.topic("a").count() == 24


def test_all_see_one_order_whoever_publishes(client: TestClient) -> None:
    sockets = [client.worker(number).websocket("/rooms/a") for number in (1, 2, 3)]
    for number in range(9):
        sockets[number % 3].send(str(number))
    assert [received(ws) for ws in sockets] == [[str(number) for number in range(9)]] * 3


def test_the_one_that_is_left_out_is_left_out_in_its_own_worker(client: TestClient) -> None:
    sockets = [client.websocket("/rooms/a") for _ in range(6)]
    sockets[2].send("not me")
    assert [received(ws) for ws in sockets] == [["not me"]] * 2 + [[]] + [["not me"]] * 3


def test_websockets_of_all_workers_have_ids_of_their_own(app: App, client: TestClient) -> None:
    for _ in range(6):
        client.websocket("/rooms/a")
    assert len({ws.id for ws in app.websockets}) == 6


def test_a_topic_is_closed_in_every_worker(app: App, client: TestClient) -> None:
    sockets = [client.websocket("/rooms/a") for _ in range(3)]
    other = client.websocket("/rooms/b")
    with client.events("/events/a") as events:
        app.topic("a").close(4000, "over")
        client.world.settle()
        assert [ws.closed for ws in sockets] == [(4000, "over")] * 3
        assert events.ended
    assert other.closed is None
    assert app.topic("a").count() == 0


def test_a_retained_value_is_there_in_every_worker(app: App, client: TestClient) -> None:
    app.publish("a", "old", retain=True)
    app.publish("a", "state", retain=True)
    app.publish("a", "passing")
    client.world.settle()
    assert [received(client.worker(number).websocket("/rooms/a")) for number in (1, 2, 3)] == [["state"]] * 3


def test_an_event_stream_is_resumed_in_another_worker(app: App, client: TestClient) -> None:
    with client.worker(1).events("/events/news") as events:
        for number in range(3):
            app.publish("news", str(number))
        ids = [event.id for event in events.received()]
    assert ids == ["bus-1", "bus-2", "bus-3"]
    app.publish("news", "3")
    for number in (2, 3):
        with client.worker(number).events("/events/news", headers={"Last-Event-ID": "bus-2"}) as events:
            assert [event.data for event in events.received()] == ["2", "3"]
            assert events.last_event_id == "bus-4"


def test_any_thread_may_publish(app: App, client: TestClient) -> None:
    sockets = [client.websocket("/rooms/a") for _ in range(3)]
    thread = threading.Thread(target=app.publish, args=("a", "from a thread"))
    thread.start()
    thread.join()
    assert [received(ws) for ws in sockets] == [["from a thread"]] * 3


# What is one over all workers.


def test_a_rate_limit_counts_over_all_workers() -> None:
    app = make_app(rate_limit="10/minute")
    with app.test_client(workers=4) as client:
        answers = [client.worker(number % 4 + 1).get("/count/a").status_code for number in range(100)]
    assert answers == [200] * 10 + [429] * 90


def test_connected_clients_are_connected_in_all_workers_and_say_goodbye_once() -> None:
    app, left = App(connection_required=True), list[str]()

    @app.get("/")
    def index(request: Request) -> str:
        return "hello"

    app.connect(lambda client, clients: None)

    @app.disconnect
    def gone(client: Any) -> None:
        left.append(client.key)

    with app.test_client(workers=3) as client:
        assert client.worker(2).get("/").status_code == 400
        assert client.worker(1).get("/connect").is_success
        assert [client.worker(number).get("/").text for number in (1, 2, 3)] == ["hello"] * 3
    assert left == ["127.0.0.1"]


# By the clock.


class Turns:
    """A job, and which worker made it when."""

    def __init__(self, app: App) -> None:
        self.at: list[tuple[float, int]] = []
        self.client: TestClient | None = None
        self.app = app

    def __call__(self) -> None:
        assert self.client is not None
        current = self.client.world.crew._current
        assert current is not None
        self.at.append((round(self.client.world.now(), 6), current.number))

    def serve(self, workers: int = 3) -> TestClient:
        self.client = self.app.test_client(workers=workers)
        return self.client


@pytest.fixture
def turns(app: App) -> Turns:
    return Turns(app)


def test_a_job_runs_in_one_worker_and_moves_when_that_dies(turns: Turns) -> None:
    turns.app.every(10)(turns)
    with turns.serve() as client:
        client.advance(25)
        client.kill_worker(1)
        client.advance(10)
        client.start_worker(1)
        client.advance(10)
        client.kill_worker(2)
        client.advance(15)
    # In step with what was before, neither twice nor left out.
    assert turns.at == [(10, 1), (20, 1), (30, 2), (40, 2), (50, 3), (60, 3)]


def test_a_job_of_each_worker_runs_in_each(turns: Turns) -> None:
    turns.app.every(10, each_worker=True)(turns)
    with turns.serve() as client:
        client.advance(10)
        client.kill_worker(2)
        client.advance(10)
        client.advance(5)
        client.start_worker(2)
        client.advance(10)
    assert turns.at == [(10, 1), (10, 2), (10, 3), (20, 1), (20, 3), (30, 1), (30, 3), (35, 2)]


def test_a_job_of_a_start_hook_is_one_job_however_many_workers_start(turns: Turns) -> None:
    @turns.app.on_start
    def start() -> None:
        turns.app.every(10)(turns)

    with turns.serve() as client:
        client.kill_worker(2)
        client.start_worker(2)
        client.advance(20)
    assert turns.at == [(10, 1), (20, 1)]


def test_a_job_for_later_runs_in_the_worker_that_asked_and_dies_with_it(turns: Turns) -> None:
    @turns.app.get("/later")
    def later(request: Request) -> str:
        turns.app.after(10, turns)
        return "ok"

    with turns.serve() as client:
        client.worker(2).get("/later")
        client.worker(3).get("/later")
        turns.app.after(10, turns)
        client.kill_worker(3)
        client.advance(20)
    assert sorted(turns.at) == [(10, 1), (10, 2)]


def test_a_job_that_a_test_adds_runs_in_one_worker(turns: Turns) -> None:
    with turns.serve() as client:
        turns.app.every(10)(turns)
        client.advance(20)
    assert turns.at == [(10, 1), (20, 1)]


# A worker's death.


def test_only_the_connections_of_a_killed_worker_break(app: App, client: TestClient) -> None:
    sockets = [client.worker(number).websocket("/rooms/a") for number in (1, 2, 3)]
    pending = [client.worker(number).start("GET", "/slow") for number in (1, 2)]
    with client.worker(2).events("/events/a") as events:
        client.kill_worker(2)
        with pytest.raises(EventStreamEnded):
            events.receive()
    assert [ws.closed for ws in sockets] == [None, (1006, ""), None]
    assert app.topic("a").count() == 2
    sockets[0].send("still here")
    assert received(sockets[2]) == ["still here"]
    client.advance(10)
    assert pending[0].result().text == "done"
    with pytest.raises(httpx.RemoteProtocolError):
        pending[1].result()


def test_nothing_of_a_killed_worker_runs_any_more(app: App) -> None:
    said: list[str] = []

    @app.websocket("/talk")
    def talk(ws: WebSocket, message: str) -> None: ...

    @talk.on_close
    def closed(ws: WebSocket, code: int, reason: str) -> None:
        said.append("closed")

    app.on_stop(lambda: said.append("stopped"))
    with app.test_client(workers=2) as client:
        client.worker(1).websocket("/talk")
        client.kill_worker(1)
        client.advance(100)
        assert said == []
    assert said == ["stopped"]


def test_requests_go_round_and_pass_over_a_worker_that_is_gone(client: TestClient) -> None:
    def here() -> list[int]:
        with client.websocket("/rooms/a"):
            return [
                client.worker(number).get("/count/a").json()["here"] for number in sorted(client.world.crew.workers)
            ]

    assert [here() for _ in range(4)] == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]]
    client.kill_worker(2)
    assert [here() for _ in range(2)] == [[0, 1], [1, 0]]


def test_a_worker_that_starts_anew_takes_part_at_once(app: App, client: TestClient) -> None:
    app.publish("a", "state", retain=True)
    client.kill_worker(2)
    app.publish("a", "newer state", retain=True)
    with client.worker(1).events("/events/news"):
        app.publish("news", "one")
        client.start_worker(2)
        app.publish("news", "two")
    ws = client.worker(2).websocket("/rooms/a")
    assert received(ws) == ["newer state"]
    assert client.worker(2).get("/count/a").json() == {"here": 1, "all": 1}
    with client.worker(2).events("/events/news", headers={"Last-Event-ID": "bus-0"}) as events:
        assert [event.data for event in events.received()] == ["one", "two"]


def test_who_asks_a_worker_that_is_gone_is_told(client: TestClient) -> None:
    client.kill_worker(2)
    with pytest.raises(RuntimeError, match=r"no worker 2 now; alive: \[1, 3\]"):
        client.worker(2).get("/count/a")
    with pytest.raises(RuntimeError, match="no worker 2"):
        client.kill_worker(2)
    with pytest.raises(ValueError, match="workers 1 to 3"):
        client.worker(4)
    with pytest.raises(ValueError, match="worker 1 is there"):
        client.start_worker(1)


def test_all_workers_may_die_and_come_again(app: App, client: TestClient) -> None:
    for number in (1, 2, 3):
        client.kill_worker(number)
    with pytest.raises(RuntimeError, match="alive: none"):
        client.get("/count/a")
    client.start_worker(3)
    assert client.get("/count/a").json() == {"here": 0, "all": 0}


def test_the_only_worker_may_die_too(app: App) -> None:
    with app.test_client() as client:
        ws = client.websocket("/rooms/a")
        client.kill_worker(1)
        assert ws.closed == (1006, "")
        client.start_worker(1)
        assert client.get("/count/a").json() == {"here": 0, "all": 0}
    assert app._sites == []


def test_a_worker_kills_none(app: App, client: TestClient) -> None:
    @app.get("/kill")
    def kill(request: Request) -> str:
        with pytest.raises(RuntimeError, match="would stand still"):
            client.kill_worker(1)
        return "alive"

    assert client.get("/kill").text == "alive"


# The clients of the workers.


def test_the_workers_clients_share_cookies_and_options(app: App) -> None:
    @app.get("/cookies")
    def cookies(request: Request) -> dict[str, str]:
        return dict(request.cookies) | {"from": request.headers["X-From"]}

    with app.test_client(workers=2, headers={"X-From": "test"}) as client:
        client.cookies.set("seen", "yes", domain="testserver.local")
        assert client.worker(2).get("/cookies").json() == {"seen": "yes", "from": "test"}
        assert client.worker(2) is client.worker(2)


def test_closing_the_client_of_one_worker_leaves_the_others(app: App, client: TestClient) -> None:
    with client.worker(2) as second:
        second.get("/count/a")
    assert client.get("/count/a").is_success


def test_all_workers_drain_together(client: TestClient) -> None:
    sockets = [client.websocket("/rooms/a") for _ in range(3)]
    client.drain()
    assert [ws.closed for ws in sockets] == [(1001, "the server is going away")] * 3


def test_start_and_stop_hooks_run_in_each_worker(app: App) -> None:
    log: list[str] = []
    app.on_start(lambda: log.append("start"))
    app.on_stop(lambda: log.append("stop"))
    with app.test_client(workers=3) as client:
        client.kill_worker(1)
        client.start_worker(1)
    assert log == ["start"] * 4 + ["stop"] * 3
    assert app._sites == []


def test_what_a_start_hook_raises_leaves_nothing_behind(app: App) -> None:
    @app.on_start
    def start() -> None:
        raise ValueError("on purpose")

    with pytest.raises(ValueError, match="on purpose"):
        app.test_client(workers=2)
    assert app._sites == []
    with pytest.raises(SetupError, match="nothing serves this app"):
        app.after(1, start)


def test_a_start_hook_publishes_to_all(app: App) -> None:
    app.on_start(lambda: app.publish("a", "hello", retain=True))
    with app.test_client(workers=2) as client:
        ws = client.worker(2).websocket("/rooms/a")
        assert received(ws) == ["hello"]
        with pytest.raises(StillWaiting):
            ws.receive()


def test_an_app_may_be_served_by_workers_and_alone_at_once(app: App, client: TestClient) -> None:
    with app.test_client() as other:
        here, there = client.websocket("/rooms/a"), other.websocket("/rooms/a")
        app.publish("a", "to both")
        client.world.settle()
        assert app.topic("a").count() == 2
        assert (received(here), received(there)) == (["to both"], ["to both"])
