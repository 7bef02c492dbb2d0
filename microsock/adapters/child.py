"""A forked process and the two pipes between it and its parent: what the child reports, and whether the parent lives.

Knows nothing of what the child does. The parent must have no threads.
"""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import signal
import time

from ..server.after_fork import fork_process, let_go_in_children
from ..server.signals import left_to_parent
from .init import is_init, reap_all
from .outlet import flush_printed

__all__ = ["MAKE_ROOM", "Child", "Departure", "Origin", "fork"]

# A pipe takes so much without anybody reading, so that a child need not wait for its parent.
_LONGEST_REPORT = 32 << 10
MAKE_ROOM = signal.SIGHUP
"""Tells a child, before it is asked to stop, that another one takes its place."""
# For a child that is to go: until it is told again, to stop at once, and then until it is killed.
_HURRY_SECONDS = 1.0


def fork() -> Child | Origin:
    """Fork: gives a ``Child`` in the parent, an ``Origin`` in the child. There, signals wait until it begins."""
    report, report_end = os.pipe()
    life_end, life = os.pipe()
    # What is buffered would be written twice.
    flush_printed()
    # The parent's handlers must not run in the child, not even for an instant.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    pid = fork_process()
    if not pid:
        os.close(report)
        os.close(life)
        return Origin(report_end, life_end, mask)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    os.close(report_end)
    os.close(life_end)
    return Child(pid, report, life)


class Child:
    """The parent's side."""

    def __init__(self, pid: int, report: int, life: int) -> None:
        os.set_blocking(report, False)
        self.pid = pid
        self._report: int | None = report
        self._life = life
        self._reported = b""
        self._ended: int | None = None  # its wait status

    def fileno(self) -> int:
        """Readable when the child reports or ends; -1 once its end of the pipe is closed."""
        return -1 if self._report is None else self._report

    def receive(self) -> None:
        """Take what it has reported since."""
        data = None
        while self._report is not None and data != b"":
            try:
                data = os.read(self._report, _LONGEST_REPORT)
            except BlockingIOError:
                return
            # No more is ever reported; but a library there could write on.
            self._reported = (self._reported + data)[:_LONGEST_REPORT]
            if not data:
                self._close_report()

    @property
    def reported(self) -> str:
        """What it has reported so far."""
        return self._reported.decode(errors="replace")

    def send(self, signum: signal.Signals) -> None:
        """Signal it; nothing happens once it has been reaped."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signum)

    def reap(self) -> int | None:
        """Its exit status if it has ended, as ``os.waitstatus_to_exitcode`` gives it; None while it runs."""
        if self._ended is None and not self._has_ended():
            return None
        assert self._ended is not None
        self.receive()
        # One of its own children may hold the other end for ever.
        self._close_report()
        os.close(self._life)
        return os.waitstatus_to_exitcode(self._ended)

    def _has_ended(self) -> bool:
        # As a container's first process we inherit other people's orphans too.
        for pid, status in reap_all() if is_init() else [os.waitpid(self.pid, os.WNOHANG)]:
            if pid == self.pid:
                self._ended = status
        return self._ended is not None

    def _close_report(self) -> None:
        if self._report is not None:
            os.close(self._report)
            self._report = None


class Departure:
    """A child's way out: asked, told to stop at once, killed."""

    def __init__(self, child: Child) -> None:
        self.due = math.inf
        """When the next step is."""
        self._child = child
        self._steps: list[tuple[signal.Signals, ...]] = [
            (MAKE_ROOM, signal.SIGTERM),
            (signal.SIGTERM,),
            (signal.SIGKILL,),
        ]

    @property
    def begun(self) -> bool:
        """Whether it is on its way."""
        return self.due < math.inf

    def begin(self) -> None:
        """Ask it. One that reports a failure ends by itself, unless a thread of the app keeps it."""
        self.due = time.monotonic() + (_HURRY_SECONDS if self._child.reported else 0.0)
        self.urge()

    def urge(self) -> None:
        """Take the next step if it is time."""
        if time.monotonic() >= self.due:
            for signum in self._steps.pop(0) if self._steps else (signal.SIGKILL,):
                self._child.send(signum)
            self.due = time.monotonic() + _HURRY_SECONDS


class Origin:
    """The child's side."""

    def __init__(self, report: int, life: int, mask: set[signal.Signals | int]) -> None:
        self._report: int | None = report
        self._life = life
        self._mask = mask

    def begin(self) -> None:
        """Take signals from here on; to be called once the parent's handlers are gone.

        SIGINT does nothing: Ctrl+C comes to both, and the parent tells the child by SIGTERM. It is not blocked, or the
        programs that the app starts would have it so.
        """
        signal.signal(signal.SIGINT, left_to_parent)
        _signal_at_end_of(self._life)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
        let_go_in_children(self, Origin._let_go)

    def _let_go(self) -> None:
        os.close(self._life)
        self._close_report()

    def report(self, text: str) -> None:
        """Tell the parent, once; a longer text is cut."""
        if self._report is not None:
            with contextlib.suppress(BrokenPipeError):
                os.write(self._report, text.encode(errors="replace")[:_LONGEST_REPORT])
            self._close_report()

    def _close_report(self) -> None:
        if self._report is not None:
            os.close(self._report)
            self._report = None


def _signal_at_end_of(pipe: int) -> None:
    # The kernel sends SIGTERM when the parent's end goes, however the parent ended: no thread needs to wait for it.
    if hasattr(fcntl, "F_SETSIG"):
        fcntl.fcntl(pipe, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(pipe, fcntl.F_SETSIG, signal.SIGTERM)
        fcntl.fcntl(pipe, fcntl.F_SETFL, fcntl.fcntl(pipe, fcntl.F_GETFL) | os.O_ASYNC)
