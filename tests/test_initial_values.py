"""What is published while nothing serves the app: it is said once, and retained values wait until somebody serves."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from running import PATIENCE, running

from microsock import App, EventStream, Request, Server, WebSocket
from microsock.testing import StillWaiting, TestClient
from microsock.topics import InitialValues


@pytest.fixture
def app() -> App:
    app = App()

    @app.websocket("/{topic}")
    def follow(ws: WebSocket, message: str, topic: str) -> None:
        app.publish(topic, message, retain=True)

    @follow.on_open
    def opened(ws: WebSocket, topic: str) -> None:
        ws.subscribe(topic)

    @app.get("/events/{topic}")
    def events(request: Request, topic: str) -> EventStream:
        return EventStream(topic)

    return app


def value_of(client: TestClient, topic: str) -> Any:
    ws = client.websocket(f"/{topic}")
    try:
        return ws.receive()
    except StillWaiting:
        return None
    finally:
        ws.close()


# What is said.


def test_the_log_says_once_that_nobody_gets_it_and_how_to_reach_a_server(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(100):
        app.publish("news", str(number))
    (record,) = caplog.records
    assert (record.levelno, record.name) == (logging.WARNING, "microsock")
    assert "'news' reaches nobody" in record.message
    assert "microsock.publish(topic, data, server=" in record.message


def test_of_a_retained_value_the_log_says_that_it_is_kept(app: App, caplog: pytest.LogCaptureFixture) -> None:
    app.publish("version", "v1", retain=True)
    assert "'version' is only kept until the app is served in this process" in caplog.text


def test_nothing_is_said_while_something_serves(app: App, caplog: pytest.LogCaptureFixture) -> None:
    with app.test_client():
        app.publish("news", "1")
    assert caplog.text == ""


def test_a_program_without_logging_says_it_on_standard_error() -> None:
    program = "from microsock import App; app = App(); app.publish('news', 'x'); app.publish('news', 'y')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert done.stderr.count("microsock.publish(") == 1


# What is kept.


@pytest.mark.parametrize("workers", [1, 3])
def test_a_value_waits_for_the_server_and_a_message_does_not(app: App, workers: int) -> None:
    app.publish("version", "v0", retain=True)
    app.publish("version", "v1", retain=True)
    app.publish("state", {"on": True}, retain=True)
    app.publish("raw", b"\xff", retain=True)
    app.publish("news", "passing")
    with app.test_client(workers=workers) as client:
        for number in range(workers):
            one = client.worker(number + 1)
            found = [value_of(one, topic) for topic in ("version", "state", "raw", "news")]
            assert found == ["v1", '{"on":true}', b"\xff", None]
            with one.events("/events/version") as events:
                assert [event.data for event in events.received()] == ["v1"]


def test_each_client_of_a_test_run_begins_alike(app: App) -> None:
    app.publish("version", "v1", retain=True)
    for _ in range(3):
        with app.test_client() as client:
            assert value_of(client, "version") == "v1"
            app.publish("version", "v2", retain=True)
            assert value_of(client, "version") == "v2"


def test_a_second_server_of_one_app_begins_with_the_value_of_now(app: App) -> None:
    app.publish("version", "v1", retain=True)
    with app.test_client() as first:
        with app.test_client() as second:
            assert value_of(second, "version") == "v1"
        app.publish("version", "v2", retain=True)
        with app.test_client() as third:
            assert [value_of(each, "version") for each in (first, third)] == ["v2", "v2"]


def test_workers_that_offer_the_same_give_it_to_followers_once(app: App) -> None:
    app.publish("version", "v1", retain=True)
    with app.test_client(workers=3) as client, client.websocket("/version") as ws:
        assert ws.receive() == "v1"
        client.kill_worker(3)
        client.start_worker(3)
        with pytest.raises(StillWaiting):
            ws.receive()


def test_a_worker_that_takes_the_place_of_another_does_not_bring_an_old_value_back(app: App) -> None:
    app.publish("version", "v1", retain=True)
    with app.test_client(workers=2) as client:
        app.publish("version", "v2", retain=True)
        client.world.settle()
        for number in (1, 2):
            client.kill_worker(number)
            client.start_worker(number)
            assert [value_of(client.worker(each), "version") for each in (1, 2)] == ["v2", "v2"]


def test_start_hooks_come_behind_it(app: App) -> None:
    app.publish("version", "of the module", retain=True)

    @app.on_start
    def start() -> None:
        app.publish("version", "of the hook", retain=True)

    for workers in (1, 2):
        with app.test_client(workers=workers) as client:
            assert value_of(client, "version") == "of the hook"


def test_what_is_kept_is_bounded_and_the_oldest_give_way() -> None:
    values = InitialValues()
    for number in range(40):
        values.keep(f"topic {number}", "x" * (1 << 20))
    kept = [topic for topic, _ in values.all()]
    assert kept == [f"topic {number}" for number in range(25, 40)]
    values.keep("topic 30", "small")
    assert [topic for topic, _ in values.all()][-1] == "topic 30"
    for number in range(200_000):
        values.keep(str(number), "")
    assert len(values.all()) < 70_000


def test_a_value_that_is_too_large_for_workers_is_said_and_no_end_of_the_start(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    app.publish("large", "x" * (5 << 20), retain=True)
    app.publish("version", "v1", retain=True)
    with app.test_client(workers=2) as client:
        assert value_of(client, "version") == "v1"
    assert "what was published on 'large' before the app was served is lost" in caplog.text


# Real servers.

MODULE = """
from microsock import App, EventStream
app = App()
@app.get("/events")
def events(request):
    return EventStream("version")
app.publish("version", "v1", retain=True)
"""


def first_event(url: str) -> str:
    with httpx.stream("GET", f"{url}/events", trust_env=False, timeout=PATIENCE) as stream:
        return next(line for line in stream.iter_lines() if line.startswith(("data", "id")))


@pytest.mark.server
@pytest.mark.parametrize("flags", [[], ["--workers", "2"]], ids=["one process", "workers"])
def test_what_a_module_publishes_is_there_for_the_first_client(tmp_path: Path, flags: list[str]) -> None:
    path = tmp_path / "versioned.py"
    path.write_text(MODULE)
    with running(*flags, str(path)) as server:
        for _ in range(4):
            assert first_event(server.url) == "data: v1"


@pytest.mark.server
def test_two_servers_of_one_app_both_have_it(app: App) -> None:
    app.publish("version", "v1", retain=True)
    with Server(app, port=0) as one, Server(app, port=0) as other:
        for server in (one, other):
            server.step()
            assert server._service is not None
            retained = server._service.site.history.retained("version")
            assert retained is not None
            assert retained.data == "v1"
