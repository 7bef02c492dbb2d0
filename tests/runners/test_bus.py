"""The bus between real workers: one publish reaches all, in one order; and what a worker's death leaves."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest
from pace import quickest
from running import PATIENCE, Running, running
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

pytestmark = [pytest.mark.server, pytest.mark.timed]

WORKERS = 4


@pytest.fixture
def server() -> Iterator[Running]:
    with running("tests.runners.rooms:app", "--workers", str(WORKERS)) as server:
        yield server


class Guests:
    """WebSockets, and the worker that each has come to."""

    def __init__(self, server: Running, at_end: ExitStack) -> None:
        self._server = server
        self._at_end = at_end

    def enter(self, room: str) -> tuple[ClientConnection, int]:
        """One more, and its worker's PID.

        It takes all that the others' leaving says: the client stops reading behind 16 messages that nobody asked for,
        and would then wait ten seconds for the end of its own connection.
        """
        url = f"{self._server.websocket_url}/rooms/{room}"
        ws = self._at_end.enter_context(connect(url, proxy=None, max_queue=None))
        return ws, int(ws.recv(PATIENCE))

    def fill(self, room: str, at_least: int) -> list[tuple[ClientConnection, int]]:
        """So many, and at least one in each worker: the kernel decides which of them accepts a connection."""
        guests = [self.enter(room) for _ in range(at_least)]
        while len({pid for _, pid in guests}) < WORKERS and len(guests) < 400:
            guests.append(self.enter(room))
        assert len({pid for _, pid in guests}) == WORKERS
        return guests


@pytest.fixture
def guests(server: Running) -> Iterator[Guests]:
    with ExitStack() as at_end:
        yield Guests(server, at_end)


def get(server: Running, path: str) -> httpx.Response:
    return httpx.get(server.url + path, timeout=PATIENCE, trust_env=False)


def wait_for_count(server: Running, topic: str, count: int) -> None:
    """Ask until the worker that answers has heard of so many."""
    deadline = time.monotonic() + PATIENCE
    while (found := get(server, f"/count/{topic}").json()["count"]) != count:
        assert time.monotonic() < deadline, f"{found} follow, not {count}"


def test_one_publish_reaches_24_sockets_over_4_workers_in_one_order(server: Running, guests: Guests) -> None:
    room = guests.fill("lobby", 24)
    for number, (ws, _) in enumerate(room):
        ws.send(f"from {number}")
    heard = [[ws.recv(PATIENCE) for _ in room] for ws, _ in room]
    assert sorted(heard[0]) == sorted(f"from {number}" for number in range(len(room)))
    assert all(each == heard[0] for each in heard)


def test_topics_are_counted_and_closed_over_all_workers(server: Running, guests: Guests) -> None:
    room = guests.fill("lobby", 8)
    wait_for_count(server, "lobby", len(room))
    assert get(server, "/close/lobby").text == "closed"
    for ws, _ in room:
        with pytest.raises(ConnectionClosed) as closed:
            ws.recv(PATIENCE)
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4000, "over")
    wait_for_count(server, "lobby", 0)


def test_a_worker_that_replaces_a_killed_one_has_the_retained_value(server: Running, guests: Guests) -> None:
    room = guests.fill("state", 4)
    workers = {pid for _, pid in room}
    room[0][0].send("value")
    assert {ws.recv(PATIENCE) for ws, _ in room} == {"value"}
    killed = room[0][1]
    os.kill(killed, signal.SIGKILL)
    left = [(ws, pid) for ws, pid in room if pid != killed]
    wait_for_count(server, "state", len(left))
    left[0][0].send("newer")
    assert {ws.recv(PATIENCE) for ws, _ in left} == {"newer"}
    while (entered := guests.enter("state"))[1] in workers:
        assert entered[0].recv(PATIENCE) == "newer"
    assert entered[0].recv(PATIENCE) == "newer"


def test_a_job_runs_in_one_worker_and_moves_when_that_is_killed(server: Running, guests: Guests) -> None:
    def seconds_without_a_job() -> float:
        listener, own = guests.enter("ticks")
        leader = str(listener.recv(PATIENCE))
        assert {listener.recv(PATIENCE) for _ in range(10)} == {leader}
        if own == int(leader):
            # This connection is to outlive the leader.
            listener = next(ws for ws, pid in guests.fill("ticks", 1) if pid != own)
        os.kill(int(leader), signal.SIGKILL)
        began, heard = time.monotonic(), [str(listener.recv(PATIENCE))]
        while heard[-1] == leader:
            heard.append(str(listener.recv(PATIENCE)))
        seconds = time.monotonic() - began
        later = {listener.recv(PATIENCE) for _ in range(10)}
        assert later == {heard[-1]}
        return seconds

    assert quickest(seconds_without_a_job, 2) < 2


def test_what_a_worker_publishes_last_still_reaches_the_others(server: Running, guests: Guests) -> None:
    hall = guests.fill("left", 4)
    leaving = hall[0][1]
    mine = [ws for ws, pid in hall if pid == leaving]
    os.kill(leaving, signal.SIGTERM)
    expected = sorted([f"{leaving} 1001"] * len(mine) + [f"{leaving} stopped"])
    for ws, pid in hall:
        if pid != leaving:
            assert sorted(str(ws.recv(PATIENCE)) for _ in expected) == expected


def test_a_worker_that_does_not_take_what_is_published_is_replaced_and_the_others_go_on(
    server: Running, guests: Guests
) -> None:
    room = guests.fill("lobby", 4)
    stuck = room[0][1]
    os.kill(stuck, signal.SIGSTOP)
    awake = [(ws, pid) for ws, pid in room if pid != stuck]
    with httpx.Client(base_url=server.url, timeout=PATIENCE, trust_env=False) as client:
        for _ in range(20):
            assert int(client.post("/publish/large", content=bytes(1 << 20)).text) != stuck
    wait_for_count(server, "lobby", len(awake))
    awake[0][0].send("still here")
    assert {ws.recv(PATIENCE) for ws, _ in awake} == {"still here"}
    with pytest.raises(ConnectionClosed):
        room[0][0].recv(PATIENCE)
    assert any("too far behind" in line for line in server.errors)
