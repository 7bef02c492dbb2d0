"""Other processes: whether one lives, whose it is, when it began, and how to signal that one and no other.

Reads Linux's /proc; elsewhere, and of other users' processes, some of it stays unknown.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import time
from collections.abc import Iterator
from pathlib import Path

__all__ = ["MAX_PID", "Handle", "begun", "command_of", "handle_of", "is_alive", "owner_of", "parent_of"]

MAX_PID = (1 << 31) - 1
"""What a pid_t has room for. A number below 1 is no process: to signal it is to signal many (kill(2))."""

_PROC = Path("/proc")
_LONGEST_COMMAND = 120
_POLL_SECONDS = 0.05
# Of the fields behind the name in /proc/PID/stat (proc(5)), from 0: state, parent, …, start time.
_STATE, _PARENT, _BEGUN = 0, 1, 19


class Handle:
    """A process, even after its number has been given to another; close it by ``handle_of``'s ``with``."""

    def __init__(self, pid: int, descriptor: int | None) -> None:
        self.pid = pid
        self._descriptor = descriptor
        self._begun = begun(pid)

    def send(self, signum: int) -> None:
        """Signal it.

        Raises ``ProcessLookupError`` if it has ended, ``PermissionError`` if it is somebody else's, or the first
        process of the machine or container, which is never signalled: all others would end with it.
        """
        if self.pid <= 1:
            raise PermissionError(errno.EPERM, f"pid {self.pid} is never signalled")
        if self._descriptor is not None:
            signal.pidfd_send_signal(self._descriptor, signum)
        elif self.ended(0):
            raise ProcessLookupError(self.pid)
        else:
            os.kill(self.pid, signum)

    def ended(self, within: float) -> bool:
        """Wait until it ends, for so many seconds at most; says whether it has."""
        if self._descriptor is not None:
            poll = select.poll()
            poll.register(self._descriptor, select.POLLIN)
            return bool(poll.poll(within * 1000))
        deadline = time.monotonic() + within
        while is_alive(self.pid) and begun(self.pid) == self._begun:
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_SECONDS)
        return True


@contextlib.contextmanager
def handle_of(pid: int) -> Iterator[Handle | None]:
    """A process to signal in a ``with`` block; None if there is none.

    What is to be known of it must be asked inside of the block: only from there on its number is sure to mean it.
    """
    if not 1 <= pid <= MAX_PID:
        yield None
        return
    try:
        descriptor = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else None
    except OSError:
        descriptor = None
    if descriptor is None and not is_alive(pid):
        yield None
        return
    try:
        yield Handle(pid, descriptor)
    finally:
        if descriptor is not None:
            os.close(descriptor)


def is_alive(pid: int) -> bool:
    """Whether a process is there and has not ended; one that nobody has waited for yet has."""
    if pid < 1:
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return _stat(pid)[_STATE : _STATE + 1] != ["Z"]


def begun(pid: int) -> int:
    """When a process began, in ticks since the machine did; 0 if it cannot be known."""
    fields = _stat(pid)
    return int(fields[_BEGUN]) if fields else 0


def parent_of(pid: int) -> int:
    """The process that it is a child of; 0 if it cannot be known."""
    fields = _stat(pid)
    return int(fields[_PARENT]) if fields else 0


def owner_of(pid: int) -> int:
    """The user id that it runs under; -1 if it cannot be known."""
    try:
        return (_PROC / str(pid)).stat().st_uid
    except OSError:
        return -1


def command_of(pid: int) -> str:
    """Its command on one short line; empty if it cannot be known."""
    words = _read(_PROC / str(pid) / "cmdline").replace("\0", " ").strip()
    text = "".join(char if char.isprintable() else "?" for char in words)
    return text if len(text) <= _LONGEST_COMMAND else text[: _LONGEST_COMMAND - 1] + "…"


def _stat(pid: int) -> list[str]:
    # The name may have spaces and brackets of its own; the last bracket ends it.
    return _read(_PROC / str(pid) / "stat").rpartition(")")[2].split()


def _read(path: Path) -> str:
    # A process may end while we look: what cannot be read is not known, and no error.
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
