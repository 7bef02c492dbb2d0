"""Who holds the loop, for how long, and how many wait meanwhile."""

from __future__ import annotations

import http.client
import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from microsock import App, Request, Server
from microsock.server.loop import Loop
from microsock.server.watchdog import Watchdog
from microsock.tally import Cell, Tally

from .clock import Clock


class Watched:
    """A loop on a clock of its own and a watchdog that looks when it is told to."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.loop = Loop(self.clock)
        self.tally = Tally()
        self.calls = 0
        self.clients = 0
        self.dog = Watchdog(
            self.loop,
            self.tally,
            queued_calls=lambda: self.calls,
            queued_clients=lambda: self.clients,
            now=self.clock,
        )

    def turn(self, during: Callable[[], object]) -> None:
        """A turn in which this happens."""
        self.loop.call_soon(during)
        self.loop.step(0)


@pytest.fixture
def watched() -> Iterator[Watched]:
    watched = Watched()
    yield watched
    watched.loop.close()


def test_a_turn_over_a_second_is_reported_by_the_handlers_name_and_again_when_it_ends(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    def slow_handler() -> None:
        watched.dog.look()
        watched.clock.now += 0.9
        watched.dog.look()
        assert caplog.messages == []
        watched.clock.now += 0.6
        watched.dog.look()
        watched.dog.look()

    watched.turn(slow_handler)
    assert len(caplog.messages) == 1
    assert "slow_handler' (" in caplog.messages[0]
    assert "test_watchdog.py:" in caplog.messages[0]
    assert "has held the loop for 1.5 s; 0 sockets wait. It is here:" in caplog.messages[0]
    assert "in slow_handler\n    watched.dog.look()" in caplog.messages[0]
    watched.dog.look()
    assert "held the loop for 1.5 s in all; 0 sockets waited" in caplog.messages[1]
    watched.dog.look()
    assert len(caplog.messages) == 2


def test_a_turn_that_goes_on_is_reported_at_ten_times_as_long(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    def endless() -> None:
        for _ in range(300):
            watched.clock.now += 0.5
            watched.dog.look()

    watched.turn(endless)
    assert [message.split("held the loop for ")[1].split(";")[0] for message in caplog.messages] == [
        "1.0 s",
        "10.0 s",
        "100.0 s",
    ]


def test_short_turns_are_not_reported(watched: Watched, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(20):
        watched.turn(lambda: setattr(watched.clock, "now", watched.clock.now + 0.4))
        watched.dog.look()
    assert caplog.messages == []


def test_sockets_with_news_and_clients_in_the_backlog_are_counted(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    pairs = [socket.socketpair() for _ in range(3)]
    for ours, _ in pairs:
        watched.loop.watch(ours.fileno(), lambda readable, writable: None).want(True, False)

    def slow() -> None:
        watched.dog.look()
        pairs[0][1].send(b"a")
        watched.clock.now += 1.1
        watched.dog.look()
        pairs[1][1].send(b"b")
        watched.clients = 5
        watched.dog.look()

    watched.turn(slow)
    watched.dog.look()
    assert "; 1 socket waits." in caplog.messages[0]
    assert "; 6 sockets waited." in caplog.messages[1]
    watched.loop.step(0)
    for ours, theirs in pairs:
        ours.close()
        theirs.close()


def test_a_turn_that_held_the_watchdog_up_too_is_reported_without_a_name(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    watched.turn(lambda: setattr(watched.clock, "now", 3.0))
    watched.dog.look()
    assert "something held the loop for 3.0 s" in caplog.text


def test_the_lag_is_the_longest_turn_of_the_last_ten_seconds(watched: Watched) -> None:
    watched.turn(lambda: setattr(watched.clock, "now", 0.25))
    watched.dog.look()
    assert watched.tally.cells[Cell.LOOP_LAG] == 250_000
    watched.turn(lambda: setattr(watched.clock, "now", watched.clock.now + 0.1))
    for _ in range(39):
        watched.dog.look()
    assert watched.tally.cells[Cell.LOOP_LAG] == 250_000
    watched.dog.look()
    assert watched.tally.cells[Cell.LOOP_LAG] == pytest.approx(100_000, abs=1)
    assert watched.tally.cells[Cell.LOOP_BUSY] == 350_000


def test_a_lag_is_seen_while_it_lasts(watched: Watched) -> None:
    def slow() -> None:
        watched.clock.now += 7
        watched.dog.look()
        assert watched.tally.cells[Cell.LOOP_LAG] == 7_000_000

    watched.turn(slow)


def test_blocking_calls_that_wait_are_noted(watched: Watched) -> None:
    watched.calls = 9
    watched.dog.look()
    assert watched.tally.cells[Cell.QUEUED_CALLS] == 9


def test_its_thread_ends_with_it() -> None:
    watched = Watched()
    watched.dog.stop()
    watched.dog.start()
    threads = threading.active_count()
    watched.dog.stop()
    assert threading.active_count() <= threads
    assert not [thread for thread in threading.enumerate() if thread is watched.dog._thread]
    watched.loop.close()


# A real server.


@pytest.mark.server
def test_a_server_names_the_handler_that_held_it_and_those_who_waited(caplog: pytest.LogCaptureFixture) -> None:
    app = App()

    @app.get("/nap")
    def nap(request: Request) -> str:
        time.sleep(1.6)
        return "awake"

    app.status()
    caplog.set_level(logging.WARNING, "microsock")
    threads = threading.active_count()
    with Server(app, port=0) as server:
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        napping = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        napping.request("GET", "/nap")
        time.sleep(0.2)
        waiting = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(3)]
        for sock in waiting:
            sock.sendall(b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert napping.getresponse().read() == b"awake"
        napping.request("GET", "/_status")
        figures = json.loads(napping.getresponse().read())
        napping.close()
        for sock in waiting:
            sock.close()
        end = time.monotonic() + 10
        while len(caplog.messages) < 2 and time.monotonic() < end:
            time.sleep(0.05)
        server.shutdown()
        thread.join(20)
    assert threading.active_count() <= threads
    held, over = caplog.messages[:2]
    assert "nap' (" in held
    assert "has held the loop for 1." in held
    assert "time.sleep(1.6)" in held
    assert "; 3 sockets waited" in over
    assert 1.0 < figures["loop"]["lag_seconds"] < 10
