"""A worker process: forked, with nothing of its parent's but what it is handed, and ended without the parent's habits.

Knows nothing of what it works on.
"""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import NoReturn

from .. import forked
from ..adapters.ending import end_process, kill_pool_processes, time_left
from ..adapters.outlet import flush_printed, never_waiting
from ..log import logger
from ..server.after_fork import fork_process, let_go_in_children
from ..server.signals import left_to_parent
from ..startup import NamedTuple

__all__ = ["Seat", "fork_worker", "how_it_ended", "send_signal"]

# The terminal and an init system send these to the whole group; for workers, the parent decides.
_NOT_FOR_WORKERS = (signal.SIGINT, signal.SIGHUP, signal.SIGUSR2, signal.SIGTTIN, signal.SIGTTOU)
_DEFAULT_IN_WORKERS = (signal.SIGTERM, signal.SIGCHLD)
# How long a worker may take to end once its parent is gone.
_ORPHAN_SECONDS = 0.5
_RDHUP = getattr(select, "POLLRDHUP", 0)


class Seat(NamedTuple):
    """What a worker is handed: its number from 1, how many there are in all, and its end of the channel."""

    number: int
    workers: int
    sock: socket.socket


def fork_worker(seat: Seat, release: Callable[[], None], work: Callable[[Seat], int]) -> int:
    """Fork a worker and give its process id; in the worker this does not return.

    Args:
        seat: its socket is closed in the parent.
        release: called in the worker first, to close what belongs to the parent.
        work: what it does, and its exit status.

    Raises ``OSError`` where there is no process to be had.
    """
    # What is buffered would be written twice.
    flush_printed()
    signals = {*_NOT_FOR_WORKERS, *_DEFAULT_IN_WORKERS, signal.SIGUSR1}
    # The parent's handlers must not run in the worker, not even for an instant.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        pid = fork_process()
        if pid == 0:
            _live(seat, release, work, before)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        seat.sock.close()
    return pid


def send_signal(pid: int, signum: signal.Signals) -> None:
    """Signal a child that has not been waited for, so that the number is still its own; it may have ended."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signum)


def how_it_ended(status: int) -> str:
    """In words, what ``os.waitpid`` said of a process."""
    if os.WIFSIGNALED(status):
        return f"was killed by {signal.Signals(os.WTERMSIG(status)).name}"
    return f"exited with status {os.WEXITSTATUS(status)}"


def _live(
    seat: Seat, release: Callable[[], None], work: Callable[[Seat], int], mask: set[signal.Signals | int]
) -> NoReturn:
    status = 1
    try:
        atexit._clear()  # the parent's functions are the parent's to call
        _take_over_signals()
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        release()
        _watch_parent(seat.sock)
        status = work(seat)
    except BaseException as error:
        forked.came_back(error)
        logger.critical("a worker has crashed", exc_info=True)
    finally:
        # Not sys.exit(): that would run on through the frames of the parent that this process was forked in. Told
        # again to stop, it has its time all the same: the parent says when that is over.
        signal.signal(signal.SIGTERM, left_to_parent)
        end_process(status, time_left())


def _take_over_signals() -> None:
    signal.set_wakeup_fd(-1)
    for signum in _NOT_FOR_WORKERS:
        signal.signal(signum, left_to_parent)
    for signum in _DEFAULT_IN_WORKERS:
        signal.signal(signum, signal.SIG_DFL)
    # Works without a turn of the loop, or of Python: it tells where a worker hangs.
    with contextlib.suppress(AttributeError, OSError, ValueError):
        fd = sys.__stderr__.fileno() if sys.__stderr__ is not None else 2
        faulthandler.register(signal.SIGUSR1, file=never_waiting(fd), all_threads=True)


def _watch_parent(sock: socket.socket) -> None:
    # The loop sees the end of the channel as well, and ends in order; but a handler may hold it for long.
    mine = os.dup(sock.fileno())
    watching = threading.Thread(target=_end_with_parent, args=(mine,), name="microsock-parent", daemon=True)
    watching.start()
    let_go_in_children(watching, lambda watching: os.close(mine))


def _end_with_parent(fd: int) -> None:
    news = select.poll()
    # A hang-up is told in any case. The parent ends its side alone where it is about to kill us.
    news.register(fd, _RDHUP)
    while not any(event & (select.POLLHUP | select.POLLERR | _RDHUP) for _, event in news.poll()):
        pass
    # Who is killed cannot end what it has started.
    kill_pool_processes()
    time.sleep(_ORPHAN_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)
