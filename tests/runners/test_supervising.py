"""What the parent of workers does, told by signals and by what workers say; its kernel and its time are the test's.

The same with real processes is in test_supervisor.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from typing import Any

import pytest

from microsock.runners import words
from microsock.runners.forking import Seat
from microsock.runners.household import Failure, Household, Ready
from microsock.runners.roster import Plan
from microsock.runners.supervisor import NO_WORKER, Supervisor
from microsock.server import after_fork

from .kernel import KILLED, Kernel, VirtualLoop

GRACE = 5.0
# From the end of its channel to its own end, for a worker that is killed.
LAST_SECONDS = 0.2


class Home(Household):
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []

    def begins(self, number: int) -> None:
        self.told.append(("begins", number))

    def started(self, ready: Ready) -> None:
        self.told.append(("started", ready))

    def received(self, number: int, message: bytes) -> None:
        self.told.append(("received", number, message))

    def dismissed(self, number: int) -> None:
        self.told.append(("dismissed", number))

    def ended(self, number: int, restarts: bool) -> None:
        self.told.append(("ended", number, restarts))

    def reloading(self) -> None:
        self.told.append(("reloading",))

    def reloaded(self, new: bool) -> None:
        self.told.append(("reloaded", new))

    def stopping(self) -> None:
        self.told.append(("stopping",))

    def reopen(self) -> None:
        self.told.append(("reopen",))


class Listening:
    """A listening socket."""

    closed = False

    def close(self) -> None:
        self.closed = True


def work(seat: Seat) -> int:
    """What no worker comes to, since none is forked."""
    return 0


class Parent:
    """A supervisor, and what is to happen to it when."""

    def __init__(self, kernel: Kernel, loop: VirtualLoop, workers: int = 2, capacity: int = 6, **options: bool) -> None:
        self.kernel, self.home, self.loop, self.sock = kernel, Home(), loop, Listening()
        self.kernel.on_end = lambda: os.kill(os.getpid(), signal.SIGCHLD)
        self.server = Supervisor(
            work, workers=workers, capacity=capacity, timeout=30, grace=GRACE, loop=self.loop,
            sockets=[self.sock], household=self.home, **options,
        )  # fmt: skip
        self.left = False

    @property
    def now(self) -> float:
        return round(self.loop.clock.now, 3)

    def at(self, seconds: float, *calls: Callable[[], object]) -> None:
        """Something happens so long after the beginning."""
        for call in calls:
            self.loop.timers.call_at(seconds, call)

    def signal(self, signum: signal.Signals) -> Callable[[], None]:
        return lambda: os.kill(os.getpid(), signum)

    def ready(self, *pids: int, grace: float = 1.0, warnings: tuple[str, ...] = ()) -> Callable[[], None]:
        """These workers serve."""
        said = words.READY + json.dumps(Ready("2 routes", grace, list(warnings))._asdict()).encode()
        return partial(_each, self.kernel.say, pids, said)

    def says(self, pid: int, message: bytes) -> Callable[[], None]:
        return lambda: self.kernel.say(pid, message)

    def ends(self, *pids: int, status: int = 0) -> Callable[[], None]:
        return partial(_each, self.kernel.end, pids, status)

    def run(self) -> int:
        """Until it ends, at the latest when the test gives it up."""
        self.at(10_000, lambda: setattr(self, "left", True), lambda: self.server.stop(at_once=True))
        status = self.server.run()
        assert not self.left, "it did not end"
        return status

    def run_until(self, seconds: float) -> None:
        """Until then, and everything after it at once."""
        self.at(seconds, lambda: self.server.stop(at_once=True))
        self.server.run()

    def told(self, kind: str) -> list[tuple[Any, ...]]:
        return [each[1:] for each in self.home.told if each[0] == kind]


def _each(call: Callable[..., object], pids: tuple[int, ...], argument: object) -> None:
    for pid in pids:
        call(pid, argument)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kernel]:
    made = Kernel(monkeypatch)
    yield made
    made.close()


@pytest.fixture
def loop() -> Iterator[VirtualLoop]:
    made = VirtualLoop()
    yield made
    made.close()


@pytest.fixture
def parent(kernel: Kernel, loop: VirtualLoop) -> Parent:
    return Parent(kernel, loop)


# Beginning.


def test_all_workers_begin_at_once_and_the_first_to_be_ready_is_told(
    parent: Parent, caplog: pytest.LogCaptureFixture
) -> None:
    begun: list[list[int]] = []
    parent.at(0.0, lambda: begun.append(parent.server.pids()))
    parent.at(1, parent.ready(502, warnings=("mind the gap",)))
    parent.at(2, parent.ready(501, warnings=("mind the gap",)))
    parent.run_until(3)
    assert begun == [[501, 502]]
    assert parent.kernel.works == [work, work]
    assert parent.told("begins") == [(1,), (2,)]
    assert parent.told("started") == [(Ready("2 routes", 1.0, ["mind the gap"]),)]
    assert caplog.messages == ["mind the gap"]
    assert {member.ready_at for member in parent.server.roster.members.values()} == {1.0, 2.0}


def test_pids_come_by_the_workers_numbers(parent: Parent) -> None:
    found: list[list[int]] = []
    parent.at(1, parent.ready(501, 502))
    parent.at(3, parent.ends(501))
    parent.at(4, lambda: found.append(parent.server.pids()))
    parent.run_until(5)
    assert found == [[503, 502]]


def test_no_process_to_be_had_is_told_and_tried_again_soon(parent: Parent, caplog: pytest.LogCaptureFixture) -> None:
    tries: list[float] = []
    parent.home.begins = lambda number: tries.append(parent.now)  # type: ignore[method-assign]
    parent.kernel.full = True
    parent.run_until(1.0)
    # Later and later, but no sooner than a fifth of a second.
    assert tries[0] == 0.0
    assert all(0.2 <= after - before < 1 for before, after in pairwise(tries))
    assert len(tries) >= 3
    assert caplog.messages[0] == "cannot begin a worker: Resource temporarily unavailable; trying again"
    assert parent.server.roster.members == {}


def test_one_that_ends_right_after_it_was_ready_is_replaced_a_little_later(parent: Parent) -> None:
    begun: list[float] = []
    parent.home.begins = lambda number: begun.append(parent.now)  # type: ignore[method-assign]
    parent.at(1, parent.ready(501, 502))
    parent.at(1.5, parent.ends(501))
    parent.run_until(3)
    assert begun == [0.0, 0.0, 1.6]


def test_where_nothing_happens_nothing_is_arranged(parent: Parent) -> None:
    arranged: list[float] = []
    plan = parent.server.roster.plan

    def noted(now: float) -> Plan:
        arranged.append(now)
        return plan(now)

    parent.server.roster.plan = noted  # type: ignore[method-assign]
    parent.at(1, parent.ready(501, 502))
    for second in range(2, 20):
        parent.at(second, parent.says(501, words.HEARTBEAT), parent.says(502, words.HEARTBEAT))
    parent.run_until(20)
    assert set(arranged) == {0.0, 1.0}


def test_a_signal_wakes_its_loop_and_a_child_of_the_app_lets_go_of_what_is_open(parent: Parent) -> None:
    found: list[object] = []

    def look() -> None:
        fd = signal.set_wakeup_fd(-1)
        signal.set_wakeup_fd(fd)
        found.extend([fd, after_fork._owners[parent.server]])

    parent.at(1, look)
    parent.run_until(2)
    assert found == [parent.loop.signal_fileno(), Supervisor._let_go]


# What workers say.


def test_what_is_for_the_bus_goes_on_and_what_nobody_knows_does_not(parent: Parent) -> None:
    parent.at(1, parent.ready(501, 502), parent.says(502, b"Published"), parent.says(501, b"?"), parent.says(501, b""))
    parent.run_until(2)
    assert parent.told("received") == [(2, b"Published")]


def test_what_is_not_understood_is_named_in_the_log(parent: Parent, caplog: pytest.LogCaptureFixture) -> None:
    parent.at(1, parent.ready(501, 502))
    parent.at(2, parent.ready(501))
    parent.at(30, parent.says(502, b"?what"))
    parent.run_until(31)
    told = "a message from worker {} (pid {}) is not understood: {}"
    assert caplog.messages == [
        told.format(1, 501, "it has said before that it is ready"),
        told.format(2, 502, "no word of a worker: b'?what'"),
    ]


def test_one_that_is_ready_and_does_not_say_how_is_killed(parent: Parent, caplog: pytest.LogCaptureFixture) -> None:
    parent.at(1, parent.ready(501), parent.says(502, words.READY + b"nonsense"))
    parent.run_until(2)
    assert parent.kernel.signals[0] == (502, signal.SIGKILL)
    assert parent.told("ended")[0] == (2, True)
    assert caplog.messages[0].startswith("a message from worker 2 (pid 502) is not understood: ")


def test_warnings_are_logged_word_by_word(parent: Parent, caplog: pytest.LogCaptureFixture) -> None:
    parent.at(1, parent.ready(501, warnings=("100 % of it", "%s")))
    parent.run_until(2)
    assert caplog.messages == ["100 % of it", "%s"]
    assert [record.msg for record in caplog.records] == ["%s", "%s"]


def test_whatever_it_says_a_worker_was_heard_of(parent: Parent) -> None:
    heard: list[float] = []
    parent.at(1, parent.ready(501, 502))
    for number in range(20):
        parent.at(10 * number + 5, parent.says(501, words.HEARTBEAT), parent.says(502, words.HEARTBEAT))
    parent.at(196, lambda: heard.extend(member.heard_at for member in parent.server.roster.members.values()))
    parent.run_until(197)
    assert heard == [195.0, 195.0]
    assert parent.kernel.signals[:-2] == []


def test_one_that_is_not_heard_of_is_killed_and_replaced(parent: Parent, caplog: pytest.LogCaptureFixture) -> None:
    parent.at(1, parent.ready(501, 502))
    for number in range(10):
        parent.at(10 * number + 5, parent.says(501, words.HEARTBEAT))
    parent.run_until(35)
    assert parent.kernel.signals[:2] == [(502, signal.SIGUSR1), (502, signal.SIGKILL)]
    assert parent.told("ended")[0] == (2, True)
    assert parent.told("begins") == [(1,), (2,), (2,)]
    assert "worker 2 (pid 502) was killed by SIGKILL; another takes its place" in caplog.messages


def test_one_that_closes_its_channel_has_a_second_to_end_before_it_is_killed(parent: Parent) -> None:
    parent.at(1, parent.ready(501, 502))
    parent.at(3, lambda: parent.kernel.ends[501].close())
    killed: list[tuple[float, int, signal.Signals]] = []
    parent.kernel.on_signal = lambda pid, signum: killed.append((parent.now, pid, signum))
    parent.run_until(5)
    assert killed[0] == (4.0 + LAST_SECONDS, 501, signal.SIGKILL)


def test_one_that_has_done_its_share_is_replaced_before_it_leaves(parent: Parent) -> None:
    parent.at(1, parent.ready(501, 502), parent.says(501, words.REPLACE))
    parent.at(2, parent.ready(503))
    said: list[list[bytes]] = []
    parent.at(3, lambda: said.append(parent.kernel.heard(501)), parent.ends(501))
    parent.run_until(4)
    assert said == [[words.LEAVE]]
    assert parent.told("begins") == [(1,), (2,), (3,)]
    assert parent.told("dismissed") == [(1,)]
    assert parent.told("ended")[0] == (1, False)
    assert parent.told("reloaded") == []


def test_one_that_does_not_take_what_is_sent_is_killed_and_named(
    parent: Parent, caplog: pytest.LogCaptureFixture
) -> None:
    parent.at(1, parent.ready(501, 502))
    parent.at(2, lambda: parent.server.overrun(9), lambda: parent.server.overrun(2))
    parent.run_until(3)
    assert parent.kernel.signals[0] == (502, signal.SIGKILL)
    assert caplog.messages[0] == "worker 2 (pid 502) is too far behind the bus; it is replaced"


def test_messages_go_to_the_worker_of_that_number(parent: Parent) -> None:
    heard: list[list[bytes]] = []
    sent: list[bool] = []
    parent.at(1, lambda: sent.extend(parent.server.send(number, b"for two") for number in (2, 9)))
    parent.at(2, lambda: heard.extend(parent.kernel.heard(pid) for pid in (501, 502)))
    parent.run_until(3)
    assert heard == [[], [b"for two"]]
    # One that has just ended misses nothing.
    assert sent == [True, True]


# Workers that end.


def test_if_none_begins_that_is_status_3_and_says_why(parent: Parent) -> None:
    failure = Failure("no such module", "line 1")
    parent.at(1, parent.says(501, words.FAILED + json.dumps(failure._asdict()).encode()))
    parent.at(2, parent.ends(501, 502, status=3 << 8))
    assert parent.run() == NO_WORKER == 3
    assert parent.server.failure == failure
    # Nobody takes the place of the last.
    assert parent.told("ended") == [(1, True), (2, False)]


def test_if_what_it_says_of_why_is_not_understood_that_is_why(parent: Parent) -> None:
    parent.at(1, parent.says(501, words.FAILED + b"[]"))
    parent.at(2, parent.ends(501, 502, status=3 << 8))
    assert parent.run() == 3
    failure = parent.server.failure
    assert failure is not None
    assert failure.message == "worker 1 cannot begin, and what it says of that is not understood"
    assert failure.details not in ("", "None")


def test_if_none_begins_and_none_says_why_the_log_says_how_the_first_ended(parent: Parent) -> None:
    parent.at(2, parent.ends(501, 502, status=KILLED))
    assert parent.run() == 3
    assert parent.server.failure == Failure("worker 1 (pid 501) was killed by SIGKILL before it was ready", "")


def test_one_that_ends_before_it_is_ready_is_named_so_where_others_were(
    parent: Parent, caplog: pytest.LogCaptureFixture
) -> None:
    parent.at(1, parent.ready(501))
    parent.at(2, parent.ends(502, status=9 << 8))
    parent.run_until(3)
    how = "worker 2 (pid 502) exited with status 9"
    assert caplog.messages == [f"{how}; another takes its place\n{how} before it was ready"]
    assert parent.server.failure is None


# Reloading.


def reload_all(parent: Parent) -> list[str]:
    """Two workers, and at 10 s the word to replace them; the new ones are ready after a second each."""
    said: list[str] = []
    parent.at(1, parent.ready(501, 502))
    parent.at(10, lambda: said.append(parent.server.reload()))
    parent.at(11, parent.ready(503))
    parent.at(12, parent.ready(504))
    return said


def test_a_reload_replaces_one_worker_after_the_other(parent: Parent, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "microsock")
    said, heard = reload_all(parent), dict[float, list[list[bytes]]]()
    for when in (9.9, 11.5, 12.5):
        parent.at(when, lambda: heard.update({parent.now: [parent.kernel.heard(pid) for pid in (501, 502)]}))
    parent.at(13, parent.ends(501, 502))
    parent.run_until(14)
    assert said == ["the workers are being replaced"]
    assert heard == {9.9: [[], []], 11.5: [[words.LEAVE], []], 12.5: [[], [words.LEAVE]]}
    steps = ("reloading", "dismissed", "reloaded", "ended")
    assert [each for each in parent.home.told if each[0] in steps][:6] == [
        ("reloading",), ("dismissed", 1), ("dismissed", 2), ("reloaded", True),
        ("ended", 1, False), ("ended", 2, False),
    ]  # fmt: skip
    assert parent.told("reloaded") == [(True,)]
    assert [text for text in caplog.messages if "left" in text] == [
        "worker 1 (pid 501) has left",
        "worker 2 (pid 502) has left",
    ]
    assert "reload: the workers are being replaced" in caplog.messages


def test_hup_reloads(parent: Parent) -> None:
    parent.at(1, parent.ready(501, 502))
    parent.at(2, parent.signal(signal.SIGHUP))
    parent.run_until(3)
    assert parent.told("reloading") == [()]


def test_where_the_parent_has_the_app_a_reload_says_that_the_code_stays_the_same(
    kernel: Kernel, loop: VirtualLoop
) -> None:
    parent = Parent(kernel, loop, same_code=True)
    said = reload_all(parent)
    parent.run_until(11)
    assert said == [
        "the workers are being replaced; their code stays the same, since it was loaded before the workers were forked"
    ]


def test_a_reload_before_any_is_ready_waits_for_the_first(parent: Parent, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "microsock")
    said: list[str] = []
    parent.at(1, lambda: said.append(parent.server.reload()))
    parent.at(2, lambda: parent.home.told.append(("still waiting",)))
    parent.at(3, parent.ready(501))
    parent.at(4, parent.ready(503))
    parent.at(5, parent.ready(504))
    parent.run_until(6)
    assert said == ["the workers are replaced as soon as the first one is ready"]
    steps = ("still waiting", "started", "reloading", "reloaded")
    assert [each[0] for each in parent.home.told if each[0] in steps] == list(steps)
    assert "worker 1 (pid 501) is ready" in caplog.messages


def test_a_reload_is_not_over_before_the_new_worker_of_each_is_ready(parent: Parent) -> None:
    reload_all(parent)
    when: list[tuple[float, bool]] = []
    parent.home.reloaded = lambda new: when.append((parent.now, new))  # type: ignore[method-assign]
    parent.run_until(14)
    assert when == [(12.0, True)]


def test_without_a_word_none_is_replaced(parent: Parent) -> None:
    parent.at(1, parent.ready(501))
    parent.at(2, parent.ready(502))
    parent.run_until(3)
    assert parent.told("reloading") == []
    assert parent.told("dismissed") == []


def test_one_that_is_not_ready_when_it_is_dismissed_has_the_word_and_then_the_signal(parent: Parent) -> None:
    parent.at(1, parent.ready(501))
    parent.at(2, parent.signal(signal.SIGHUP))
    heard: list[tuple[list[bytes], signal.Signals]] = []
    parent.kernel.on_signal = lambda pid, signum: heard.append((parent.kernel.heard(pid), signum))
    parent.run_until(2.5)
    assert heard[0] == ([words.LEAVE], signal.SIGTERM)
    assert parent.kernel.signals[0] == (502, signal.SIGTERM)


def test_a_reload_that_does_not_come_up_leaves_the_workers_that_there_are(
    parent: Parent, caplog: pytest.LogCaptureFixture
) -> None:
    parent.at(1, parent.ready(501, 502))
    parent.at(10, parent.signal(signal.SIGHUP))
    failure = Failure("no such module", "line 1")
    parent.at(11, parent.says(503, words.FAILED + json.dumps(failure._asdict()).encode()))
    parent.at(12, parent.ends(503, status=3 << 8))
    found: list[list[int]] = []
    parent.at(20, lambda: found.append(parent.server.pids()))
    parent.run_until(21)
    assert parent.told("reloaded") == [(False,)]
    assert parent.told("ended")[0] == (3, False)
    assert found == [[501, 502]]
    assert caplog.messages == [
        "reload: the new app does not come up; the workers from before stay\nno such module\nline 1"
    ]


def test_while_it_stops_nothing_is_reloaded(parent: Parent) -> None:
    said: list[str] = []
    parent.at(1, parent.ready(501, 502))
    parent.at(2, parent.server.stop, lambda: said.append(parent.server.reload()))
    parent.run_until(3)
    assert said == ["the server is stopping"]
    assert parent.told("reloading") == []


# Other things that it can be told.


def test_ttin_and_ttou_make_one_worker_more_or_fewer_within_bounds(
    parent: Parent, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "microsock")
    parent.at(1, parent.ready(501, 502))
    parent.at(2.5, parent.ready(503))
    for second, signum in enumerate([signal.SIGTTIN] * 3 + [signal.SIGTTOU] * 4, 2):
        parent.at(second, parent.signal(signum))
    parent.run_until(20)
    # No more than half the seats, or a reload would have no room; never none.
    wanted = [text for text in caplog.messages if "wanted" in text]
    assert wanted == [f"workers wanted: {count}" for count in (3, 3, 3, 2, 1, 1, 1)]
    assert parent.told("begins") == [(1,), (2,), (3,)]
    assert parent.told("dismissed") == [(3,), (2,)]


def test_ttin_makes_one_worker_more_and_no_two(
    kernel: Kernel, loop: VirtualLoop, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "microsock")
    parent = Parent(kernel, loop, 2, 20)
    parent.at(1, parent.signal(signal.SIGTTIN))
    parent.run_until(2)
    assert "workers wanted: 3" in caplog.messages
    assert parent.told("begins") == [(1,), (2,), (3,)]


@pytest.mark.parametrize("capacity", [1, 2, 3])
def test_there_may_always_be_one(kernel: Kernel, loop: VirtualLoop, capacity: int) -> None:
    parent = Parent(kernel, loop, 1, capacity)
    parent.at(1, lambda: parent.server.add(-1), lambda: parent.server.add(5))
    parent.run_until(2)
    assert parent.server.roster.wanted == 1


def test_usr1_has_every_worker_dump_and_usr2_reopen_its_logs(parent: Parent) -> None:
    heard: list[list[bytes]] = []
    parent.at(1, parent.ready(501, 502))
    parent.at(2, parent.signal(signal.SIGUSR1))
    parent.at(3, lambda: heard.extend(parent.kernel.heard(pid) for pid in (501, 502)))
    parent.at(4, parent.signal(signal.SIGUSR2))
    parent.at(5, lambda: heard.extend(parent.kernel.heard(pid) for pid in (501, 502)))
    parent.run_until(6)
    assert heard == [[words.DUMP]] * 2 + [[words.REOPEN]] * 2
    assert parent.told("reopen") == [()]


def test_what_fails_in_the_parent_is_logged_and_the_next_is_done(
    parent: Parent, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[str] = []

    def fail() -> None:
        raise ValueError("what nobody has thought of")

    parent.server.note(fail)
    parent.server.note(lambda: done.append("next"))
    parent.run_until(1)
    assert done == ["next"]
    assert caplog.messages == ["unexpected error in the parent of the workers"]
    assert caplog.records[0].exc_info is not None


# Stopping.


def test_term_has_all_drain_and_it_ends_when_they_have(parent: Parent) -> None:
    heard: list[object] = []
    parent.at(1, parent.ready(501, 502))
    parent.at(2, parent.signal(signal.SIGTERM))
    parent.at(3, lambda: heard.extend([parent.kernel.heard(501), parent.kernel.heard(502), parent.sock.closed]))
    parent.at(4, parent.ends(501))
    parent.at(5, parent.ends(502))
    assert parent.run() == 0
    assert parent.now == 5
    assert heard == [[words.STOP], [words.STOP], True]
    assert parent.kernel.signals == []
    assert parent.told("stopping") == [()]
    assert parent.told("ended") == [(1, False), (2, False)]
    assert parent.told("begins") == [(1,), (2,)]


def test_one_that_is_to_stop_before_it_has_begun_never_begins(parent: Parent) -> None:
    parent.server.stop()
    assert parent.run() == 0
    assert parent.now == 0
    assert parent.home.told == [("stopping",)]


def test_those_that_are_not_ready_yet_are_signalled_as_well(parent: Parent) -> None:
    parent.at(1, parent.ready(502))
    parent.at(2, parent.signal(signal.SIGINT))
    parent.at(3, parent.ends(501, 502))
    assert parent.run() == 0
    assert parent.kernel.signals == [(501, signal.SIGTERM)]


@pytest.mark.parametrize("within", [None, 2.0])
@pytest.mark.parametrize("longer", [1.0, 8.0])
def test_who_has_not_ended_half_a_second_behind_its_time_is_killed(
    parent: Parent, within: float | None, longer: float, caplog: pytest.LogCaptureFixture
) -> None:
    parent.at(1, parent.ready(501), parent.ready(502, grace=longer))
    parent.at(2, lambda: parent.server.stop(within=within))
    parent.at(3, parent.ends(501))
    assert parent.run() == 0
    # A worker may tell that it has longer than the grace time.
    assert parent.now == 2 + (max(GRACE, longer) if within is None else within) + 0.5 + LAST_SECONDS
    assert parent.kernel.signals == [(502, signal.SIGKILL)]
    assert caplog.messages == ["worker 2 (pid 502) has not ended in its time; it is killed"]


@pytest.mark.parametrize(
    ("first", "second", "status"),
    [
        (signal.SIGINT, signal.SIGINT, 130), (signal.SIGTERM, signal.SIGINT, 130), (signal.SIGINT, signal.SIGTERM, 0),
        (signal.SIGTERM, signal.SIGTERM, 0),
    ],
)  # fmt: skip
def test_a_second_signal_kills_all_at_once(
    parent: Parent, first: signal.Signals, second: signal.Signals, status: int
) -> None:
    parent.at(1, parent.ready(501, 502))
    parent.at(2, parent.signal(first))
    parent.at(3, parent.signal(second))
    assert parent.run() == status
    assert parent.now == 3
    assert sorted(parent.kernel.signals) == [(501, signal.SIGKILL), (502, signal.SIGKILL)]


def test_to_stop_at_once_is_status_0_and_kills_all(parent: Parent) -> None:
    parent.at(1, parent.ready(501, 502))
    parent.at(2, lambda: parent.server.stop(at_once=True, status=7))
    assert parent.run() == 0
    assert parent.now == 2
    assert sorted(parent.kernel.signals) == [(501, signal.SIGKILL), (502, signal.SIGKILL)]
    assert parent.sock.closed


def test_a_group_that_is_signalled_before_any_is_ready_ends_with_0(parent: Parent) -> None:
    # The workers may end by the signal before their parent comes to its own.
    parent.at(1, parent.ends(501, 502, status=signal.SIGTERM), parent.signal(signal.SIGTERM))
    assert parent.run() == 0


def test_workers_that_end_while_it_stops_are_not_told_of(parent: Parent, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "microsock")
    parent.at(1, parent.ready(501, 502))
    parent.at(2, parent.server.stop)
    parent.at(3, parent.ends(501, status=9 << 8), parent.ends(502))
    assert parent.run() == 0
    assert caplog.messages == []
