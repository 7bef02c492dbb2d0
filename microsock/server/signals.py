"""Signals while a server runs: the first SIGINT or SIGTERM asks it to stop, a second one stops it at once.

A process that the app forks has none of these handlers, but those that the program had before.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from types import FrameType

from .after_fork import is_our_own_fork

__all__ = [
    "StoppedAtOnce", "StoppedBeforeServing", "catch_signals_early", "caught_signals", "interruptible", "left_to_parent",
    "stop_signals", "stopping_at_once",
]  # fmt: skip

_STOP = (signal.SIGINT, signal.SIGTERM)
# What the documentation gives a meaning to, in one runner or another: none of them may end or suspend a process that
# is not ready for it.
_OURS = (*_STOP, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTTIN, signal.SIGTTOU)

# Of those that come before they can be handled.
_MOST_KEPT = 64

Handler = Callable[[int], object]


class StoppedAtOnce(KeyboardInterrupt):
    """A second signal came; ``signum`` says which.

    Raised wherever the program is at the moment, so that even a handler that never returns is left.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by a second signal, {signal.Signals(signum).name}")
        self.signum = signum

    @property
    def status(self) -> int:
        """The exit status for that: 128 and the number of SIGINT, as a shell expects, but 0 for SIGTERM."""
        return 0 if self.signum == signal.SIGTERM else 128 + self.signum


class StoppedBeforeServing(KeyboardInterrupt):
    """A signal asked to stop while the app was imported: there is nothing to drain."""

    status = 0


def left_to_parent(signum: int, frame: FrameType | None) -> None:
    """The handler for signals that a terminal or an init system sends to a whole group, and the parent decides on.

    It does nothing, and ``stop_signals`` leaves it in its place. Programs that the app starts would inherit SIG_IGN.
    """


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

    heeded = [signum for signum in _STOP if signal.getsignal(signum) is not left_to_parent]
    with caught_signals(dict.fromkeys(heeded, received), wakeup_fd):
        yield


@contextlib.contextmanager
def stopping_at_once() -> Iterator[None]:
    """In a ``with`` block that ends a server, have SIGINT and SIGTERM raise ``StoppedAtOnce``: it was told before."""

    def received(signum: int) -> None:
        raise StoppedAtOnce(signum)

    # One that came just before, when the server was done already, is handled first.
    with caught_signals(dict.fromkeys(_STOP, received)):
        yield


@contextlib.contextmanager
def caught_signals(handlers: Mapping[signal.Signals, Handler], wakeup_fd: int = -1) -> Iterator[None]:
    """Have functions called for signals in a ``with`` block, and put back what handled them before.

    Those that came while the process was not ready for them (see ``catch_signals_early``) are handled first. Outside
    the main thread nothing changes.

    Args:
        handlers: called with the signal's number, in the signal handler: they must only leave a note.
        wakeup_fd: as above; -1 to leave that as it is.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    block = _Block(handlers, wakeup_fd)
    try:
        for signum in _early.taken(handlers) if _early is not None else ():
            handlers[signum](signum)
        yield
    finally:
        block.put_back()


class _Block:
    """Handlers of one ``with`` block, and what there was before."""

    def __init__(self, handlers: Mapping[signal.Signals, Handler], wakeup_fd: int) -> None:
        self._handlers = handlers
        self._wakeup_fd = wakeup_fd
        self.pid = os.getpid()
        self._fd_before = signal.set_wakeup_fd(wakeup_fd, warn_on_full_buffer=False) if wakeup_fd != -1 else -1
        _blocks.append(self)
        self._before = {signum: signal.signal(signum, self._received) for signum in handlers}

    def put_back(self) -> None:
        for signum, handler in self._before.items():
            # None is a handler that was not set from Python; it cannot be put back.
            signal.signal(signum, signal.SIG_DFL if handler is None else handler)
        if self._wakeup_fd != -1:
            signal.set_wakeup_fd(self._fd_before)
        if self in _blocks:
            _blocks.remove(self)

    def _received(self, signum: int, frame: FrameType | None) -> None:
        if os.getpid() != self.pid:
            # Forked by something that calls no hooks of Python's.
            _put_all_back()
            os.kill(os.getpid(), signum)
        else:
            self._handlers[signal.Signals(signum)](signum)


_blocks: list[_Block] = []


# Before a server is there to be told.


class _Early:
    """What came before there was a server to be told, and how to leave what holds it up."""

    def __init__(self) -> None:
        self.importing = False
        self._came: deque[signal.Signals] = deque(maxlen=_MOST_KEPT)

    def received(self, signum: int) -> None:
        # Also where it is raised: if that is lost on its way, as in a destructor, the server is told later.
        self._came.append(signal.Signals(signum))
        self._leave(signum)

    def taken(self, wanted: Mapping[signal.Signals, Handler]) -> list[signal.Signals]:
        found = [signum for signum in self._came if signum in wanted]
        self._came = deque((signum for signum in self._came if signum not in wanted), _MOST_KEPT)
        return found

    def begin_anew(self) -> None:
        self.importing = False
        self._came.clear()

    def _leave(self, signum: int) -> None:
        if self.importing and signum in _STOP:
            self.importing = False  # once
            raise StoppedBeforeServing

    @contextlib.contextmanager
    def may_be_left(self) -> Iterator[None]:
        self.importing = True
        try:
            for signum in tuple(self._came):
                self._leave(signum)
            yield
        except StoppedBeforeServing:
            self._came.clear()
            raise
        finally:
            self.importing = False


_early: _Early | None = None


@contextlib.contextmanager
def catch_signals_early() -> Iterator[None]:
    """Let no signal end or suspend this process in a ``with`` block: those that come are kept for ``caught_signals``.

    For the whole life of a command, and of a runner. May be entered again within the block, without effect.
    """
    global _early
    if _early is not None or threading.current_thread() is not threading.main_thread():
        yield
        return
    _early = early = _Early()
    try:
        with caught_signals(dict.fromkeys(_OURS, early.received)):
            yield
    finally:
        _early = None


def interruptible() -> contextlib.AbstractContextManager[None]:
    """A ``with`` block around what may take for ever (an import): SIGINT and SIGTERM raise ``StoppedBeforeServing``."""
    return contextlib.nullcontext() if _early is None else _early.may_be_left()


# In a process that the app forks. Signals wait as long as it has the handlers of its parent.

_masks: dict[int, set[signal.Signals]] = {}


def _before_fork() -> None:
    if _blocks and not is_our_own_fork():
        _masks[threading.get_ident()] = signal.pthread_sigmask(signal.SIG_BLOCK, _OURS)  # type: ignore[assignment]


def _after_fork_in_parent() -> None:
    mask = _masks.pop(threading.get_ident(), None)
    if mask is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _after_fork_in_child() -> None:
    if is_our_own_fork():
        # It goes on with them until it has handlers of its own; what has come before was for its parent.
        for block in _blocks:
            block.pid = os.getpid()
        if _early is not None:
            _early.begin_anew()
    else:
        _put_all_back()
        _after_fork_in_parent()
        _masks.clear()


def _put_all_back() -> None:
    while _blocks:
        _blocks[-1].put_back()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
