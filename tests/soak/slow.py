"""Debian's slowhttptest against a server, and a normal client beside it.

    PYTHONPATH=tests python -m tests.soak.slow

runs the long form: 300 connections of each kind, one kind after the other, against the deadlines that are the default.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from running import running
from tools import needed

__all__ = ["KINDS", "Outcome", "besiege"]

APP = """
from microsock import App

app = App(access_log=False)
LARGE = b"x" * (1 << 20)

@app.get("/")
def index(request):
    return "hello"

@app.post("/")
def take(request):
    return "taken"

@app.get("/large")
def large(request):
    return LARGE
"""
# What slowhttptest does: a header line, or some bytes of a body, each second; a window of under a kilobyte, of which
# 32 bytes are read each second. It does not know an idle connection.
KINDS: dict[str, tuple[str, ...]] = {
    "slow header": ("-H", "-i", "1", "-u", "http://127.0.0.1:{port}/"),
    "slow body": ("-B", "-i", "1", "-s", "100000", "-x", "10", "-u", "http://127.0.0.1:{port}/"),
    "slow read": ("-X", "-w", "512", "-y", "1024", "-n", "1", "-z", "32", "-u", "http://127.0.0.1:{port}/large"),
    "idle": (),
}
_PATIENCE = 30.0
_ASK = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@dataclass
class Outcome:
    """What the siege and the normal client came to.

    Attributes:
        most: connections that the server held at once.
        first_cut: seconds from the beginning until it held fewer than before.
        all_cut: seconds from the beginning until it held none of them; None if it still did at the end.
        milliseconds: of each of the normal client's requests, in rising order; each was answered.
        errors: what the server wrote to standard error.
    """

    most: int = 0
    first_cut: float | None = None
    all_cut: float | None = None
    milliseconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def p99(self) -> float:
        """What 99 of 100 of the normal client's requests take at most, in milliseconds."""
        return self.milliseconds[int(len(self.milliseconds) * 0.99)]


def besiege(folder: Path, kinds: Sequence[str], each: int, flags: Sequence[str], seconds: float) -> Outcome:
    """Open so many connections of each of these kinds, and watch until all are cut.

    Args:
        folder: for the app.
        kinds: of ``KINDS``.
        each: connections of each kind.
        flags: for the server.
        seconds: how long to watch at most.
    """
    outcome = Outcome()
    (folder / "app.py").write_text(APP)
    with running("--no-access-log", *flags, str(folder / "app.py")) as server:
        _ask(server.port)
        quiet = _quiet(server.process.pid)
        with _normal_client(server.port, outcome), _attackers(server.port, kinds, each, seconds):
            _watch(server.process.pid, quiet, each * len(kinds), seconds, outcome)
        _ask(server.port)
    outcome.milliseconds.sort()
    outcome.errors = server.errors[3:]
    return outcome


def _watch(pid: int, quiet: int, expected: int, seconds: float, outcome: Outcome) -> None:
    began = time.monotonic()
    while outcome.all_cut is None and (passed := time.monotonic() - began) < seconds:
        # The normal client has one at most.
        held = _descriptors(pid) - quiet - 1
        outcome.most = max(outcome.most, held)
        if outcome.most >= expected * 0.9:
            if outcome.first_cut is None and held < outcome.most - 2:
                outcome.first_cut = passed
            if held <= 0:
                outcome.all_cut = passed
        time.sleep(0.05)


@contextmanager
def _attackers(port: int, kinds: Sequence[str], each: int, seconds: float) -> Iterator[None]:
    with ExitStack() as stack:
        for kind in kinds:
            if not KINDS[kind]:
                for _ in range(each):
                    stack.enter_context(socket.create_connection(("127.0.0.1", port), _PATIENCE))
                continue
            program, rate, length = needed("slowhttptest"), str(each), str(int(seconds) + 10)
            command = [program, "-c", str(each), "-r", rate, "-l", length, "-p", "5", *KINDS[kind]]
            attacker = stack.enter_context(
                subprocess.Popen([part.format(port=port) for part in command], stdout=subprocess.DEVNULL)
            )
            stack.callback(attacker.kill)
        yield


@contextmanager
def _normal_client(port: int, outcome: Outcome) -> Iterator[None]:
    over = threading.Event()
    failed: list[BaseException] = []

    def ask() -> None:
        try:
            while not over.wait(0.02):
                outcome.milliseconds.append(_ask(port))
        except (OSError, AssertionError) as error:
            failed.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(_PATIENCE)
    assert failed == []


def _ask(port: int) -> float:
    """The milliseconds that a whole request takes, over a connection of its own."""
    began = time.perf_counter()
    with socket.create_connection(("127.0.0.1", port), _PATIENCE) as sock:
        sock.sendall(_ASK)
        answer = b"".join(iter(lambda: sock.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 200 "), answer
    assert answer.endswith(b"hello"), answer
    return (time.perf_counter() - began) * 1000


def _quiet(pid: int) -> int:
    """How many it has once all its workers are there: when the number stands still."""
    seen = [0]
    while len(seen) < 10 or len(set(seen[-10:])) > 1:
        seen.append(_descriptors(pid))
        time.sleep(0.1)
    return seen[-1]


def _descriptors(pid: int) -> int:
    """How many descriptors a server has, its workers' among them."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return sum(len(list(Path(f"/proc/{each}/fd").iterdir())) for each in (pid, *children))


def _main() -> int:
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as folder:
            found = besiege(Path(folder), [kind], 300, [], 60.0)
        sys.stdout.write(
            f"{kind}: {found.most} at once, first cut after {found.first_cut or 0:.1f} s, all after "
            f"{found.all_cut or 0:.1f} s; a normal client's {len(found.milliseconds)} requests: "
            f"p99 {found.p99:.1f} ms, longest {found.milliseconds[-1]:.1f} ms; {len(found.errors)} lines of log\n"
        )
    return 0


if __name__ == "__main__":
    sys.exit(_main())
