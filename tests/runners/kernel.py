"""A kernel for the parent of workers, in the hands of a test: processes that are none, and the time."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
from collections.abc import Callable

import pytest
from server.clock import Clock

from microsock.adapters.channel import framed
from microsock.runners.forking import Seat
from microsock.server.loop import Loop

__all__ = ["KILLED", "Kernel", "VirtualLoop"]

KILLED = int(signal.SIGKILL)
"""What ``waitpid`` says of one that was."""


class Kernel:
    """Children of this process that are no processes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.alive: set[int] = set()
        self.ended: dict[int, int] = {}
        self.ends: dict[int, socket.socket] = {}
        self.full = False
        self.works: list[Callable[[Seat], int]] = []
        self.signals: list[tuple[int, signal.Signals]] = []
        self.on_end: Callable[[], object] = lambda: None
        self.on_signal: Callable[[int, signal.Signals], object] = lambda pid, signum: None
        self.on_wait: Callable[[int], object] = lambda pid: None
        monkeypatch.setattr(os, "waitpid", self.waitpid)
        monkeypatch.setattr("microsock.runners.brood.fork_worker", self.fork_worker)
        for module in ("brood", "vigil", "supervisor"):
            monkeypatch.setattr(f"microsock.runners.{module}.send_signal", self.send_signal)

    def fork_worker(self, seat: Seat, release: Callable[[], None], work: Callable[[Seat], int]) -> int:
        if self.full:
            seat.sock.close()
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        pid = 501 + len(self.ends)
        self.alive.add(pid)
        self.works.append(work)
        self.ends[pid] = seat.sock
        return pid

    def end(self, pid: int, status: int = 0) -> None:
        """A child ends."""
        self.alive.discard(pid)
        self.ended[pid] = status
        self.ends[pid].close()
        self.on_end()

    def send_signal(self, pid: int, signum: signal.Signals) -> None:
        """Note it. Only KILL has consequences."""
        self.signals.append((pid, signum))
        self.on_signal(pid, signum)
        if signum == signal.SIGKILL and pid in self.alive:
            self.end(pid, KILLED)

    def waitpid(self, pid: int, options: int) -> tuple[int, int]:
        if not (self.ended or self.alive if pid == -1 else pid in self.ended or pid in self.alive):
            raise ChildProcessError
        found = next(iter(self.ended), 0) if pid == -1 else pid * (pid in self.ended)
        self.on_wait(pid)
        return found, self.ended.pop(found, 0)

    def say(self, pid: int, message: bytes) -> None:
        """A child says something to its parent."""
        self.ends[pid].sendall(framed(message))

    def heard(self, pid: int) -> list[bytes]:
        """What its parent has said to a child since it was last asked."""
        end, data = self.ends[pid], b""
        end.setblocking(False)
        with contextlib.suppress(BlockingIOError, ConnectionError):
            while part := end.recv(65536):
                data += part
        end.setblocking(True)
        return messages(data)

    def close(self) -> None:
        """End all children."""
        self.alive.clear()
        for end in self.ends.values():
            end.close()


def messages(data: bytes) -> list[bytes]:
    """What came over a channel, message by message."""
    found, size = [], len(framed(b""))
    while data:
        end = size + int.from_bytes(data[:size], "big")
        found.append(data[size:end])
        data = data[end:]
    return found


class VirtualLoop(Loop):
    """Waits for nothing: where there is no news the clock moves on to what is due next."""

    def __init__(self) -> None:
        self.clock = Clock()
        super().__init__(self.clock)

    def step(self, timeout: float | None = 0.0) -> int:
        count = super().step(0.0)
        if not count:
            due = self.timers.next_due()
            assert due is not None, "it waits for ever"
            self.clock.now = max(self.clock.now, due)
        return count
