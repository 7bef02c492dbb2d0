"""The worker processes of a parent whose kernel is the test: who is forked, and who is waited for when."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from microsock.adapters.channel import framed
from microsock.runners.brood import Brood
from microsock.runners.household import Household
from microsock.runners.roster import Member, Roster
from microsock.server.loop import Loop

from .kernel import KILLED, Kernel

pytestmark = pytest.mark.server


class Home(Household):
    """Notes who begins and ends."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def begins(self, number: int) -> None:
        self.told.append(("begins", number))

    def ended(self, number: int, restarts: bool) -> None:
        self.told.append(("ended", number, restarts))


class Parent:
    """Has two workers."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.kernel, self.home, self.loop, self.roster = Kernel(monkeypatch), Home(), Loop(), Roster(2, 4)
        self.heard: list[tuple[int, bytes]] = []
        self.ended: list[tuple[int, str]] = []
        self.brood = Brood(
            lambda seat: 0, self.roster, self.loop, self.home, heard=self.hear, silent=lambda member: None,
            ended=self.bury,
        )  # fmt: skip
        self.brood.begin(0.0)
        self.brood.begin(0.0)

    def hear(self, member: Member, message: bytes) -> None:
        self.heard.append((member.number, message))

    def bury(self, member: Member, how: str) -> None:
        self.ended.append((member.number, how))
        self.roster.died(member, 0.0)

    def close(self) -> None:
        self.brood.end()
        self.kernel.close()
        self.loop.close()


@pytest.fixture
def parent(monkeypatch: pytest.MonkeyPatch) -> Iterator[Parent]:
    made = Parent(monkeypatch)
    yield made
    made.close()


def test_who_has_ended_is_buried_and_told_of_as_it_ended(parent: Parent) -> None:
    parent.kernel.end(501, KILLED)
    parent.brood.reap()
    parent.kernel.end(502, 3 << 8)
    parent.brood.reap()
    parent.brood.reap()
    assert parent.ended == [(1, "was killed by SIGKILL"), (2, "exited with status 3")]


def test_what_one_has_said_before_its_end_is_heard(parent: Parent) -> None:
    parent.kernel.ends[501].sendall(framed(b"last words"))
    parent.kernel.end(501)
    parent.brood.reap()
    assert parent.heard == [(1, b"last words")]


def test_one_that_somebody_else_has_waited_for_has_ended_all_the_same(parent: Parent) -> None:
    parent.kernel.alive.discard(502)
    parent.brood.reap()
    assert parent.ended == [(2, "has ended")]


def test_one_that_has_ended_misses_nothing_that_is_sent(parent: Parent) -> None:
    parent.kernel.end(501)
    parent.brood.reap()
    assert parent.brood.send(1, b"x")


def test_children_that_are_no_workers_are_for_others_to_wait_for(parent: Parent) -> None:
    parent.kernel.ended[77] = 0
    parent.brood.reap()
    assert parent.kernel.ended == {77: 0}


def test_as_pid_1_orphans_of_others_are_waited_for_too(parent: Parent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getpid", lambda: 1)
    parent.kernel.ended |= {77: 0, 78: 0}
    parent.kernel.end(501)
    parent.brood.reap()
    assert parent.kernel.ended == {}
    assert parent.ended == [(1, "exited with status 0")]
    # Nor is it an error if there is no child at all.
    parent.kernel.alive.clear()
    parent.brood.reap()
    assert len(parent.ended) == 2


def test_as_pid_1_a_worker_that_ends_while_orphans_are_waited_for_is_buried(
    parent: Parent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getpid", lambda: 1)
    parent.kernel.ended[77] = 0

    def end_one(pid: int) -> None:
        # Both workers have been asked for by then.
        if pid == -1 and 502 in parent.kernel.alive:
            parent.kernel.end(502, KILLED)

    parent.kernel.on_wait = end_one
    parent.brood.reap()
    assert parent.ended == [(2, "was killed by SIGKILL")]


def test_where_no_process_is_to_be_had_the_seat_stays_free(parent: Parent) -> None:
    parent.kernel.full = True
    with pytest.raises(BlockingIOError):
        parent.brood.begin(0.0)
    assert parent.roster.next_number() == 3
    assert parent.home.told[-2:] == [("begins", 3), ("ended", 3, False)]
    parent.kernel.full = False
    parent.brood.begin(0.0)
    assert parent.brood.send(3, b"x")
