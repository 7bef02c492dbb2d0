"""How the parent watches over its workers, on a clock that stands still until it is moved."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from server.clock import Clock

from microsock.runners.roster import Member, Roster
from microsock.runners.vigil import Vigil
from microsock.server.loop import Loop

TIMEOUT = 10.0
TICK = 1 / 16


class Parent:
    """A parent of two workers that are ready, and the signals that it sends."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, timeout: float = TIMEOUT) -> None:
        self.clock = Clock(1000.0)
        self.loop = Loop(self.clock)
        self.roster = Roster(2, capacity=4)
        self.first, self.second = (self.roster.born(pid, self.clock.now) for pid in (501, 502))
        for member in (self.first, self.second):
            self.roster.ready(member, self.clock.now)
        self.signals: list[tuple[float, int, signal.Signals]] = []
        monkeypatch.setattr("microsock.runners.vigil.send_signal", self.note)
        self.looks: list[float] = []
        self.vigil = Vigil(self.roster, self.loop, timeout, lambda: self.looks.append(self.now()), self.kill)
        self.vigil.begin()

    def now(self) -> float:
        """Seconds since it began."""
        return round(self.clock.now - 1000, 3)

    def note(self, pid: int, signum: signal.Signals) -> None:
        self.signals.append((self.now(), pid, signum))

    def kill(self, member: Member) -> None:
        self.note(member.pid, signal.SIGKILL)

    def let_pass(self, seconds: float, *heard: Member) -> None:
        """So much time, with the parent at its place and these workers heard of all the time."""
        for _ in range(round(seconds / TICK)):
            self.clock.now += TICK
            for member in heard:
                member.heard_at = self.clock.now
            self.loop.step(0)

    def stand_still(self, seconds: float) -> None:
        """So much time in which nobody runs; then the parent goes on."""
        self.clock.now += seconds
        self.loop.step(0)


@pytest.fixture
def parent(monkeypatch: pytest.MonkeyPatch) -> Iterator[Parent]:
    made = Parent(monkeypatch)
    yield made
    made.loop.close()


def test_who_is_heard_of_is_left_alone(parent: Parent) -> None:
    parent.let_pass(60, parent.first, parent.second)
    assert parent.signals == []


def test_one_that_hangs_shows_its_stack_and_is_killed(parent: Parent, caplog: pytest.LogCaptureFixture) -> None:
    parent.let_pass(12, parent.second)
    (shown_at, *shown), (killed_at, *killed) = parent.signals
    assert (shown, killed) == ([501, signal.SIGUSR1], [501, signal.SIGKILL])
    assert TIMEOUT <= shown_at <= TIMEOUT + 1.1
    assert killed_at - shown_at == pytest.approx(0.3, abs=TICK)
    assert "worker 1 (pid 501) has not turned its loop for 10." in caplog.text


def test_one_that_does_not_end_is_killed_again_but_not_at_once(parent: Parent) -> None:
    parent.let_pass(23, parent.second)
    assert [signum for _, _, signum in parent.signals] == [signal.SIGUSR1, signal.SIGKILL] * 2


def test_who_has_ended_meanwhile_is_not_killed_nor_is_who_has_its_place(parent: Parent) -> None:
    while not parent.signals:
        parent.let_pass(TICK, parent.second)
    parent.roster.died(parent.first, parent.clock.now)
    parent.let_pass(0.1, parent.second)
    heir = parent.roster.born(503, parent.clock.now)
    assert heir.number == parent.first.number
    parent.let_pass(1, parent.second)
    assert [signum for _, _, signum in parent.signals] == [signal.SIGUSR1]


def test_one_that_is_not_ready_may_take_its_time_and_is_told_of(
    parent: Parent, caplog: pytest.LogCaptureFixture
) -> None:
    parent.roster.born(503, parent.clock.now)
    parent.let_pass(62, parent.first, parent.second)
    assert parent.signals == []
    assert caplog.messages == ["worker 3 (pid 503) is not ready after 30 s"] * 2


def test_a_parent_that_was_suspended_blames_nobody(parent: Parent) -> None:
    parent.stand_still(3600)
    assert parent.signals == []
    # From then on they have all of their time again, and no more than that.
    parent.let_pass(TIMEOUT - 0.5)
    assert parent.signals == []
    parent.let_pass(2)
    assert {pid for _, pid, _ in parent.signals} == {501, 502}


def test_a_parent_that_was_held_up_for_a_moment_still_tells_who_hangs(parent: Parent) -> None:
    parent.let_pass(9.5, parent.second)
    parent.second.heard_at = parent.clock.now + 1.5
    parent.stand_still(1.5)
    assert [pid for _, pid, _ in parent.signals] == [501]


def test_one_whose_channel_is_closed_has_a_second_to_end(parent: Parent) -> None:
    parent.vigil.silent(parent.first)
    parent.let_pass(0.9, parent.second)
    assert parent.signals == []
    parent.let_pass(0.2, parent.second)
    assert [(pid, signum) for _, pid, signum in parent.signals] == [(501, signal.SIGKILL)]


@pytest.mark.parametrize(("timeout", "every"), [(30.0, 1.0), (2.0, 0.5)])
def test_it_looks_at_least_four_times_within_a_workers_time_and_each_second(
    timeout: float, every: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = Parent(monkeypatch, timeout)
    parent.let_pass(3, parent.first, parent.second)
    parent.loop.close()
    assert parent.looks == [number * every for number in range(round(3 / every) + 1)]


def test_whatever_fails_it_looks_again(parent: Parent, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        parent.looks.append(parent.now())
        raise OSError("what nobody has thought of")

    parent.vigil._reap = fail
    parent.let_pass(3, parent.first, parent.second)
    assert len(parent.looks) >= 3
    assert "unexpected error in a timer" in caplog.text
