"""The parent with workers that do next to nothing: what becomes of it when much or something odd happens to them."""

from __future__ import annotations

import json
import os
import posix
import resource
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microsock.adapters.channel import framed
from microsock.runners import words
from microsock.runners.forking import Seat
from microsock.runners.household import Failure, Household, Ready, read_failure, read_ready
from microsock.runners.supervisor import Supervisor
from microsock.server.loop import Loop

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc"),
]

READY = framed(words.READY + json.dumps(Ready("no routes", 1.0, [])._asdict()).encode())


@pytest.fixture(autouse=True)
def workers_end_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where coverage is measured, `os._exit` writes down all that these tests have run so far, in each worker anew."""
    monkeypatch.setattr(os, "_exit", posix._exit)


class Home(Household):
    """Notes what it is told; tests put functions in the place of what is to happen then."""

    def __init__(self) -> None:
        self.ends: list[int] = []
        self.messages: list[bytes] = []
        self.on_started: Callable[[], object] = lambda: None
        self.on_ended: Callable[[], object] = lambda: None
        self.on_reloaded: Callable[[], object] = lambda: None

    def started(self, ready: Ready) -> None:
        self.on_started()

    def ended(self, number: int, restarts: bool) -> None:
        self.ends.append(number)
        self.on_ended()

    def received(self, number: int, message: bytes) -> None:
        self.messages.append(message)

    def reloaded(self, new: bool) -> None:
        self.on_reloaded()


def obedient(seat: Seat) -> int:
    """Serves nobody, and leaves when it is told anything, or its parent is gone."""
    seat.sock.sendall(READY)
    seat.sock.recv(1)
    return 0


def supervised(home: Home, work: Callable[[Seat], int] = obedient, workers: int = 2) -> Supervisor:
    loop = Loop()
    made = Supervisor(
        work, workers=workers, capacity=24, timeout=30, grace=5, loop=loop, sockets=[], household=home
    )  # fmt: skip
    # Whatever goes wrong, the test ends.
    loop.timers.call_at(loop.timers.now() + 120, lambda: made.stop(at_once=True))
    return made


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def children() -> str:
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text()


def test_after_a_hundred_workers_no_descriptor_and_no_zombie_is_left() -> None:
    home, before, during = Home(), (descriptors(), children()), set[int]()
    server = supervised(home)
    most = 100

    def again() -> None:
        if len(children().split()) > 2:  # they leave slowly where coverage is measured
            server.loop.timers.call_at(server.loop.timers.now() + 0.01, again)
            return
        during.add(descriptors())
        if len(home.ends) < most:
            server.note(server.reload)
        else:
            server.note(server.stop)

    home.on_started = lambda: server.note(server.reload)
    home.on_reloaded = again
    assert server.run() == 0
    server.loop.close()
    assert len(home.ends) >= most
    assert max(during) - min(during) <= 2
    assert (descriptors(), children()) == before


def test_a_worker_that_is_replaced_before_it_is_ready_has_the_word_before_the_signal(tmp_path: Path) -> None:
    home, first, slow, found = Home(), tmp_path / "first", tmp_path / "slow", tmp_path / "found"

    def work(seat: Seat) -> int:
        if not first.exists() or slow.exists():
            first.touch()
            return obedient(seat)
        # The second of three is never ready.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        slow.touch()
        signal.sigwait({signal.SIGTERM})
        seat.sock.setblocking(False)
        found.write_bytes(seat.sock.recv(100))
        return 0

    def reload_again() -> None:
        if slow.exists():
            server.reload()
        else:
            server.loop.timers.call_at(server.loop.timers.now() + 0.01, reload_again)

    server = supervised(home, work, workers=1)
    home.on_started = lambda: server.note(server.reload)
    server.note(reload_again)
    home.on_reloaded = lambda: server.note(server.stop)
    assert server.run() == 0
    server.loop.close()
    assert found.read_bytes().startswith(framed(words.LEAVE))


def test_a_worker_that_is_ready_only_when_the_server_stops_is_no_start(tmp_path: Path) -> None:
    home, late = Home(), list[str]()

    def work(seat: Seat) -> int:
        (tmp_path / "begun").touch()
        signal.signal(signal.SIGTERM, lambda *_: None)
        seat.sock.recv(100)
        seat.sock.sendall(READY)
        return 0

    def stop() -> None:
        if (tmp_path / "begun").exists():
            server.stop()
        else:
            server.loop.timers.call_at(server.loop.timers.now() + 0.01, stop)

    server = supervised(home, work, workers=1)
    home.on_started = lambda: late.append("the banner names addresses that are closed")
    server.note(stop)
    assert server.run() == 0
    server.loop.close()
    assert late == []


def test_what_a_killed_worker_had_sent_by_half_is_no_message(tmp_path: Path) -> None:
    marker = tmp_path / "died"

    def work(seat: Seat) -> int:
        if marker.exists():
            return obedient(seat)
        marker.touch()
        seat.sock.sendall(READY + framed(b"Pwhole") + framed(b"P" + bytes(1000))[:500])
        os.kill(os.getpid(), signal.SIGKILL)
        return 1

    home = Home()
    server = supervised(home, work, workers=1)
    home.on_ended = lambda: server.loop.timers.call_at(server.loop.timers.now() + 0.5, server.stop)
    assert server.run() == 0
    server.loop.close()
    assert home.messages == [b"Pwhole"]
    assert home.ends[0] == 1


def test_a_worker_that_somebody_else_has_waited_for_is_replaced_all_the_same() -> None:
    home = Home()
    server = supervised(home, workers=1)
    reborn: list[int] = []

    def bury() -> None:
        (pid,) = server.pids()
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

    def look() -> None:
        reborn.extend(server.pids())
        server.stop()

    home.on_started = lambda: server.note(bury)
    home.on_ended = lambda: server.loop.timers.call_at(server.loop.timers.now() + 0.5, look)
    assert server.run() == 0
    server.loop.close()
    assert len(reborn) == 1


def test_an_error_in_the_parent_does_not_end_the_workers(caplog: pytest.LogCaptureFixture) -> None:
    home = Home()
    server = supervised(home)

    def fail() -> None:
        server.note(server.stop)
        raise ValueError("what nobody has thought of")

    home.on_started = lambda: server.note(fail)
    assert server.run() == 0
    server.loop.close()
    assert "unexpected error in the parent of the workers" in caplog.text


def test_with_no_descriptor_to_be_had_it_tries_again_and_keeps_the_workers_it_has(
    caplog: pytest.LogCaptureFixture,
) -> None:
    home = Home()
    server = supervised(home, workers=1)
    hoard: list[socket.socket] = []
    counts: list[int] = []

    limits = resource.getrlimit(resource.RLIMIT_NOFILE)

    def more_than_there_is_room_for() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors() + 20, limits[1]))
        with pytest.raises(OSError, match="Too many open files"):
            while True:
                hoard.append(socket.socket())
        server.add(1)
        server.loop.timers.call_at(server.loop.timers.now() + 0.5, relent)

    def relent() -> None:
        counts.append(len(server.pids()))
        while hoard:
            hoard.pop().close()
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        server.loop.timers.call_at(server.loop.timers.now() + 2, look)

    def look() -> None:
        counts.append(len(server.pids()))
        server.stop()

    home.on_started = lambda: server.note(more_than_there_is_room_for)
    try:
        assert server.run() == 0
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    server.loop.close()
    assert counts == [1, 2]
    assert 1 <= caplog.text.count("cannot begin a worker: Too many open files") <= 4


# Workers that have gone bad.

READ = [read_ready, read_failure]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
SAID = st.dictionaries(st.sampled_from(["summary", "grace", "warnings", "message", "details"]), JSON)


@pytest.mark.parametrize("read", READ)
@given(said=st.binary() | SAID.map(lambda value: json.dumps(value).encode()))
def test_what_a_worker_says_is_of_the_kind_that_is_expected_or_an_error(
    read: Callable[[bytes], Ready | Failure], said: bytes
) -> None:
    try:
        found = read(said)
    except ValueError:
        return
    if isinstance(found, Ready):
        assert 0 <= found.grace <= 1e9
        assert found.summary.isprintable()
        assert all(each.isprintable() for each in found.warnings)
    else:
        assert "".join(found).translate({9: "", 10: ""}).isprintable()


def ready(**said: object) -> bytes:
    return json.dumps({"summary": "1 route", "grace": 2.0, "warnings": [], **said}).encode()


@pytest.mark.parametrize(
    "said",
    [
        ready(grace=float("nan")),
        ready(grace=float("inf")),
        ready(grace=-1),
        ready(grace=True),
        ready(grace="2"),
        ready(warnings=[7]),
        ready(warnings="7"),
        ready(summary=None),
        b"[" * 100_000,
        b"{}",
        b"",
        b"[1, 2, 3]",
        ready().replace(b"2.0", b"9" * 5000),
        ready(grace=None),
        ready().replace(b"route", b"\xff"),
    ],
    ids=range(15),
)
def test_a_worker_that_is_ready_says_so_in_so_many_words(said: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_ready(said)
    assert read_ready(ready()) == Ready("1 route", 2.0, [])
    assert read_ready(ready(future="field")).grace == 2.0
    assert read_ready(ready(grace=1e300)).grace == 1e9


def test_of_a_long_traceback_the_end_is_kept() -> None:
    found = read_failure(json.dumps({"message": "a\n\x1b[1m", "details": "x" * 100_000 + "\tthe end"}).encode())
    assert found.message == "a\n\\x1b[1m"
    assert found.details.endswith("x\tthe end")
    assert len(found.details) == 65536


BAD_WORDS = [
    b"", b"r", b"r{}", words.READY + ready(grace=-1), b"f[]", b"q", b"h", b"m" * 9, b"\xff" * 50, b"P", b"L\1",
]  # fmt: skip


def test_the_nonsense_that_a_worker_says_is_passed_over_and_all_serve_on(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    home, gone_bad = Home(), tmp_path / "bad"

    def work(seat: Seat) -> int:
        if not gone_bad.exists():
            gone_bad.touch()
            seat.sock.sendall(READY)
            seat.sock.sendall(b"".join(framed(word) for word in BAD_WORDS) * 100)
        return obedient(seat)

    server = supervised(home, work)

    def stop_at_last() -> None:
        # Each time around, two of those are for the bus.
        done = len(home.messages) >= 200 and server.roster.is_settled
        server.note(server.stop) if done else server.loop.call_soon(stop_at_last)

    home.on_started = stop_at_last
    assert server.run() == 0
    assert len(home.ends) == 2
    server.loop.close()
    told = [record.getMessage() for record in caplog.records]
    assert sum("is not understood" in line for line in told) == 1
    assert sum("that were passed over" in line for line in told) == 1
    assert len(told) < 8


def test_a_worker_that_cannot_say_that_it_is_ready_does_not_keep_its_place(caplog: pytest.LogCaptureFixture) -> None:
    def work(seat: Seat) -> int:
        seat.sock.sendall(framed(words.READY + b"{}"))
        signal.pause()
        return 0

    server = supervised(Home(), work)
    assert server.run() == 3
    server.loop.close()
    assert server.failure is not None
    assert "was killed by SIGKILL before it was ready" in server.failure.message


def test_a_failure_that_cannot_be_read_is_told_as_one() -> None:
    def work(seat: Seat) -> int:
        seat.sock.sendall(framed(words.FAILED + b'["no", "object"]'))
        return 3

    server = supervised(Home(), work, workers=1)
    assert server.run() == 3
    server.loop.close()
    assert server.failure is not None
    assert server.failure.message == "worker 1 cannot begin, and what it says of that is not understood"
