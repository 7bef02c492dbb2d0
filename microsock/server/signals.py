"""SIGINT and SIGTERM while a server runs: the first asks it to stop, a second one stops it at once."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

__all__ = ["StoppedAtOnce", "stop_signals"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class StoppedAtOnce(KeyboardInterrupt):
    """A second signal came; ``signum`` says which.

    Raised wherever the program is at the moment, so that even a handler that never returns is left.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by a second signal, {signal.Signals(signum).name}")
        self.signum = signum


@contextlib.contextmanager
def stop_signals(stop: Callable[[], object], wakeup_fd: int) -> Iterator[None]:
    """Handle the two signals in a ``with`` block, and put back what handled them before.

    Outside the main thread, where Python allows no signal handlers, nothing changes.

    Args:
        stop: called in the signal handler for the first signal; it must only leave a note.
        wakeup_fd: the loop's. A signal that comes just before ``select`` would not end it (PEP 475); the byte
            that ``signal.set_wakeup_fd`` has written here does. It must stay open in the whole block.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked = False

    def received(signum: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise StoppedAtOnce(signum)
        asked = True
        stop()

    fd_before = signal.set_wakeup_fd(wakeup_fd, warn_on_full_buffer=False)
    before = [(signum, signal.signal(signum, received)) for signum in _SIGNALS]
    try:
        yield
    finally:
        for signum, handler in before:
            # None is a handler that was not set from Python; it cannot be put back.
            signal.signal(signum, signal.SIG_DFL if handler is None else handler)
        signal.set_wakeup_fd(fd_before)
