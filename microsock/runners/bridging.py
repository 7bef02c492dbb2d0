"""The process beside preforked workers that carries what is published to Redis and back: the parent must not wait.

It has nothing of the parent's but one end of a socket, and ends when the other end is closed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable, Iterable
from functools import partial

from ..adapters.redis_bridge import Bridge
from ..adapters.redis_client import RedisPlace
from .forking import Seat, fork_worker

__all__ = ["BridgeProcess"]

# For it to take leave of the other machines.
_LAST_SECONDS, _LOOK_SECONDS = 0.5, 0.01


class BridgeProcess:
    """Forks it, also anew, and reaps it.

    Args:
        release: called in the new process, to close what belongs to the parent.
    """

    def __init__(self, release: Callable[[], None]) -> None:
        self._release = release
        self._pid: int | None = None

    def start(self, end: socket.socket, place: RedisPlace, host: str, forget: Callable[[], None]) -> None:
        """As ``redis_bus.Start``. Raises ``OSError`` where there is no process to be had."""
        self._reap(os.WNOHANG)
        self._pid = fork_worker(Seat(0, 0, end), partial(_each, [forget, self._release]), partial(_carry, place, host))

    def close(self) -> None:
        """Wait a little for its end, when its socket has been closed; then end it."""
        until = time.monotonic() + _LAST_SECONDS
        while self._pid is not None and time.monotonic() < until:
            self._reap(os.WNOHANG)
            time.sleep(_LOOK_SECONDS)
        if self._pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            self._reap(0)

    def _reap(self, how: int) -> None:
        if self._pid is not None:
            try:
                ended = os.waitpid(self._pid, how)[0]
            except ChildProcessError:
                ended = self._pid
            if ended:
                self._pid = None


def _carry(place: RedisPlace, host: str, seat: Seat) -> int:
    # An init system sends it to all; but there is work until the parent has none.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Bridge(place, host).run(seat.sock)
    return 0


def _each(calls: Iterable[Callable[[], None]]) -> None:
    for call in calls:
        call()
