from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from microsock.server.timers import Deadlines, Timers

from .clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def timers(clock: Clock) -> Timers:
    return Timers(clock)


@pytest.fixture
def calls() -> list[str]:
    return []


class Told(Deadlines):
    """Deadlines that tell a function."""

    def __init__(self, timers: Timers, fire: Callable[[str], object]) -> None:
        super().__init__(timers)
        self.fire = fire

    def passed(self, name: str) -> None:
        self.fire(name)


class Passing:
    """Deadlines on a clock, and the names of those that have passed."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.timers = Timers(self.clock)
        self.passed: list[str] = []
        self.deadlines = Told(self.timers, self.passed.append)

    def at(self, now: float) -> list[str]:
        """What passes until then."""
        self.passed.clear()
        self.clock.now = now
        self.timers.run_due()
        return self.passed


def test_calls_come_in_the_order_of_their_times(clock: Clock, timers: Timers, calls: list[str]) -> None:
    timers.call_at(2, partial(calls.append, "second"))
    timers.call_at(1, partial(calls.append, "first"))
    clock.now = 3
    assert timers.run_due() == 2
    assert calls == ["first", "second"]


def test_calls_of_one_time_come_in_the_order_they_were_asked_for(
    clock: Clock, timers: Timers, calls: list[str]
) -> None:
    for name in "abc":
        timers.call_at(1, partial(calls.append, name))
    clock.now = 1
    timers.run_due()
    assert calls == ["a", "b", "c"]


def test_what_is_not_due_waits(timers: Timers, calls: list[str]) -> None:
    timers.call_at(0.1, partial(calls.append, "early"))
    assert timers.run_due() == 0
    assert timers.next_due() == 0.1
    assert calls == []


def test_without_calls_nothing_is_due(timers: Timers) -> None:
    assert timers.next_due() is None
    assert timers.run_due() == 0


def test_a_cancelled_call_never_comes(clock: Clock, timers: Timers, calls: list[str]) -> None:
    timer = timers.call_at(1, partial(calls.append, "cancelled"))
    timers.call_at(2, partial(calls.append, "kept"))
    timer.cancel()
    assert not timer.pending
    assert timers.next_due() == 2
    clock.now = 2
    assert timers.run_due() == 1
    assert calls == ["kept"]


def test_cancelling_a_call_that_was_made_or_cancelled_changes_nothing(timers: Timers) -> None:
    made, cancelled = timers.call_at(0, list), timers.call_at(5, list)
    timers.run_due()
    for _ in range(2):
        made.cancel()
        cancelled.cancel()
    assert len(timers) == 0


def test_a_call_that_sleeps_for_no_time_waits_for_the_next_turn(timers: Timers, calls: list[str]) -> None:
    def again() -> None:
        calls.append("again")
        timers.call_at(0, again)

    again()
    assert timers.run_due() == 1
    assert timers.run_due() == 1


def test_a_call_can_cancel_another_that_is_due_in_the_same_turn(timers: Timers, calls: list[str]) -> None:
    timers.call_at(0, lambda: later.cancel())
    later = timers.call_at(0, partial(calls.append, "later"))
    assert timers.run_due() == 1
    assert calls == []
    assert len(timers) == 0


def test_a_call_that_raises_leaves_the_others_due(timers: Timers, calls: list[str]) -> None:
    timers.call_at(0, partial(int, "no number"))
    timers.call_at(0, partial(calls.append, "after"))
    with pytest.raises(ValueError, match="no number"):
        timers.run_due()
    assert timers.next_due() == 0
    assert timers.run_due() == 1
    assert calls == ["after"]


def test_cancelled_calls_do_not_pile_up(timers: Timers) -> None:
    kept = [timers.call_at(1000, list) for _ in range(10)]
    for number in range(10_000):
        timers.call_at(2000 + number, list).cancel()
    assert len(timers) == len(kept)
    assert len(timers._heap) <= 2 * len(kept) + 1


def test_a_deadline_passes_once_and_is_cleared_before_the_call() -> None:
    passing = Passing()
    passing.deadlines.set("head", 10)
    assert passing.at(9.9) == []
    assert passing.at(10) == ["head"]
    assert passing.deadlines.get("head") is None
    assert passing.at(20) == []


def test_a_deadline_can_be_moved_both_ways() -> None:
    passing = Passing()
    passing.deadlines.set("later", 10)
    passing.deadlines.set("later", 20)
    passing.deadlines.set("sooner", 19)
    passing.deadlines.set("sooner", 5)
    assert passing.at(5) == ["sooner"]
    assert passing.at(19) == []
    assert passing.at(20) == ["later"]


def test_deadlines_pass_in_the_order_of_their_times() -> None:
    passing = Passing()
    passing.deadlines.set("second", 2)
    passing.deadlines.set("first", 1)
    assert passing.at(3) == ["first", "second"]


def test_a_cleared_deadline_does_not_pass() -> None:
    passing = Passing()
    passing.deadlines.set("head", 10)
    passing.deadlines.clear("head")
    passing.deadlines.clear("never set")
    assert passing.at(10) == []
    assert len(passing.timers) == 0


def test_moving_a_deadline_to_a_later_time_leaves_the_heap_alone() -> None:
    passing = Passing()
    passing.deadlines.set("idle", 5)
    heap = passing.timers._heap.copy()
    for request in range(1000):
        passing.deadlines.clear("idle")
        passing.deadlines.set("idle", 5 + request / 1000)
    assert passing.timers._heap == heap
    assert passing.at(5.998) == []
    assert passing.at(5.999) == ["idle"]


def test_closed_deadlines_leave_nothing_behind() -> None:
    passing = Passing()
    passing.deadlines.close()
    passing.deadlines.set("head", 10)
    passing.deadlines.close()
    assert len(passing.timers) == 0
    assert passing.deadlines.get("head") is None


def test_a_deadline_that_passes_can_set_itself_anew_without_passing_again_at_once() -> None:
    timers = Timers(Clock(1))
    passed: list[str] = []

    def fire(name: str) -> None:
        passed.append(name)
        deadlines.set(name, 1)

    deadlines = Told(timers, fire)
    deadlines.set("again", 1)
    timers.run_due()
    assert passed == ["again"]
    timers.run_due()
    assert passed == ["again", "again"]


def test_a_deadline_that_passes_can_clear_or_close_the_others() -> None:
    timers = Timers(Clock(3))
    passed: list[str] = []

    def fire(name: str) -> None:
        passed.append(name)
        deadlines.clear("second")
        if name == "third":
            deadlines.close()

    deadlines = Told(timers, fire)
    for when, name in enumerate(("first", "second", "third", "fourth")):
        deadlines.set(name, when)
    timers.run_due()
    assert passed == ["first", "third"]
    assert timers.next_due() is None


def test_after_a_call_that_raises_the_other_deadlines_still_pass() -> None:
    timers = Timers(Clock(2))
    passed: list[str] = []

    def fire(name: str) -> None:
        passed.append(name)
        if name == "broken":
            raise ValueError(name)

    deadlines = Told(timers, fire)
    deadlines.set("broken", 1)
    deadlines.set("fine", 2)
    with pytest.raises(ValueError, match="broken"):
        timers.run_due()
    timers.run_due()
    assert passed == ["broken", "fine"]


def test_a_deadline_set_while_another_passes_does_not_delay_an_earlier_one() -> None:
    clock = Clock(1)
    timers = Timers(clock)
    passed: list[str] = []

    def fire(name: str) -> None:
        passed.append(name)
        deadlines.set("late", 100)

    deadlines = Told(timers, fire)
    deadlines.set("now", 1)
    deadlines.set("soon", 5)
    timers.run_due()
    assert timers.next_due() == 5
