"""How other threads and signals reach the loop: a bounded queue of calls, and a socket that ends its wait.

Takes no lock: a signal handler runs on the loop's own thread and would wait for itself.
"""

from __future__ import annotations

import signal
import socket
import threading
from collections import deque
from collections.abc import Callable

from ..errors import Overloaded

__all__ = ["Mailbox", "Wakeup"]

Callback = Callable[[], object]


class Wakeup:
    """A pair of connected sockets: a byte into one makes the selector see the other."""

    def __init__(self) -> None:
        self._receiver, self._sender = socket.socketpair()
        self._receiver.setblocking(False)
        self._sender.setblocking(False)

    def fileno(self) -> int:
        """The end to watch for reading."""
        return self._receiver.fileno()

    def signal_fileno(self) -> int:
        """The end into which ``signal.set_wakeup_fd`` may write."""
        return self._sender.fileno()

    def wake(self) -> None:
        """End the loop's wait; from any thread or signal handler. Without effect once the loop is closed."""
        try:
            self._sender.send(b"\0")
        except BlockingIOError:
            return  # Full: the loop has not come to the wake-ups before this one.
        except OSError:
            if self._sender.fileno() != -1:
                raise

    def drain(self) -> None:
        """Take what woke the loop, so that it can wait again."""
        # One read holds thousands of wake-ups; of more, the rest wakes the loop once more.
        self._receiver.recv(4096)

    def close(self) -> None:
        """Close both ends. A signal that comes meanwhile, or later, finds nothing to write into and is no error."""
        if threading.current_thread() is threading.main_thread():
            told = signal.set_wakeup_fd(-1)
            if told not in (-1, self._sender.fileno()):
                signal.set_wakeup_fd(told, warn_on_full_buffer=False)
        # Not the other end first: a wake-up in between would be a broken pipe.
        self._sender.close()
        self._receiver.close()


class Mailbox:
    """Calls that other threads leave for the loop's thread.

    Args:
        limit: how many may wait; past it the thread that brings more is refused, and never held up.
    """

    def __init__(self, limit: int = 10_000) -> None:
        self._limit = limit
        self._calls: deque[Callback] = deque()

    def put(self, callback: Callback) -> None:
        """Leave a call; from any thread. Raises ``Overloaded`` if the box is full."""
        # Threads between the test and the append can exceed the limit by their own number, no more.
        if len(self._calls) >= self._limit:
            raise Overloaded(f"{self._limit} calls wait for the loop already; it is busy or stopped")
        self._calls.append(callback)

    def put_always(self, callback: Callback) -> None:
        """Leave a call even if the box is full; for those whose number has a bound of its own."""
        self._calls.append(callback)

    def drain(self) -> list[Callback]:
        """Take the calls that are here now, oldest first."""
        return [self._calls.popleft() for _ in range(len(self._calls))]

    def __len__(self) -> int:
        return len(self._calls)
