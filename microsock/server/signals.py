"""Signals while a server runs: the first SIGINT or SIGTERM asks it to stop, a second one stops it at once."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from types import FrameType

__all__ = ["StoppedAtOnce", "caught_signals", "stop_signals"]

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
    asked = False

    def received(signum: int) -> None:
        nonlocal asked
        if asked:
            raise StoppedAtOnce(signum)
        asked = True
        stop()

    with caught_signals(dict.fromkeys(_SIGNALS, received), wakeup_fd):
        yield


@contextlib.contextmanager
def caught_signals(handlers: Mapping[signal.Signals, Callable[[int], object]], wakeup_fd: int = -1) -> Iterator[None]:
    """Have functions called for signals in a ``with`` block, and put back what handled them before.

    Outside the main thread nothing changes.

    Args:
        handlers: called with the signal's number, in the signal handler: they must only leave a note.
        wakeup_fd: as above; -1 to leave that as it is.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def received(signum: int, frame: FrameType | None) -> None:
        handlers[signal.Signals(signum)](signum)

    fd_before = signal.set_wakeup_fd(wakeup_fd, warn_on_full_buffer=False) if wakeup_fd != -1 else -1
    before = [(signum, signal.signal(signum, received)) for signum in handlers]
    try:
        yield
    finally:
        for signum, handler in before:
            # None is a handler that was not set from Python; it cannot be put back.
            signal.signal(signum, signal.SIG_DFL if handler is None else handler)
        if wakeup_fd != -1:
            signal.set_wakeup_fd(fd_before)
