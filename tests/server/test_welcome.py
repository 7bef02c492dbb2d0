"""A new worker lets nobody in before it has what was published before."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from microsock import App, envelope
from microsock.server import service as service_module
from microsock.server.binding import bind_all
from microsock.server.parts import Parts
from microsock.server.service import Service
from microsock.settings import resolve
from microsock.worker_bus import WorkerBus

pytestmark = pytest.mark.server


class Worker:
    """A service whose relay is the test."""

    def __init__(self) -> None:
        settings = resolve()
        (self.bound,) = bind_all(["127.0.0.1"], settings, port=0)
        self.buses: list[WorkerBus] = []
        self.said: list[bytes] = []
        parts = Parts(worker=1, workers=2, bus=lambda site, loop: self.make_bus(WorkerBus(site, self.say, birth="a")))
        self.service = Service(App(), settings, [self.bound], parts)

    def make_bus(self, bus: WorkerBus) -> WorkerBus:
        self.buses.append(bus)
        return bus

    def say(self, message: bytes) -> bool:
        self.said.append(message)
        return True

    def turns(self, seconds: float = 0.0) -> int:
        """How many are in after that."""
        self.service.run_until(self.service.loop.timers.now() + seconds)
        for _ in range(5):
            self.service.step(0)
        return self.service.listener.connections


@pytest.fixture
def worker() -> Iterator[Worker]:
    made = Worker()
    yield made
    made.service.stop_at_once()
    made.service.loop.close()


def test_clients_wait_in_the_backlog_until_the_relay_has_welcomed_the_worker(worker: Worker) -> None:
    with socket.create_connection(worker.bound.sock.getsockname()):
        assert worker.turns() == 0
        assert worker.said[0] == envelope.join_message(0)
        worker.buses[0].receive(envelope.WELCOME)
        assert worker.turns() == 1


def test_but_not_for_ever(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_module, "_WELCOME_SECONDS", 0.05)
    with socket.create_connection(worker.bound.sock.getsockname()):
        assert worker.turns() == 0
        assert worker.turns(0.1) == 1


def test_a_worker_that_is_told_to_stop_before_its_welcome_still_lets_in_who_waits(worker: Worker) -> None:
    with socket.create_connection(worker.bound.sock.getsockname()):
        assert worker.turns() == 0
        worker.service.ask_to_stop(5)
        assert worker.turns() == 1
