"""How a process of ours ends: as Python ends a program, but in a bounded time, and from wherever it is.

Python waits for threads that are no daemons and for the jobs of ``concurrent.futures``, then calls what ``atexit``
knows, which waits for the processes of ``multiprocessing``. Here all of that has so many seconds.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from ..log import logger
from .outlet import flush_printed

__all__ = [
    "INTERRUPTED",
    "allow",
    "end_at_once",
    "end_child",
    "end_process",
    "finish_threads",
    "kill_pool_processes",
    "time_left",
]

_USUAL_SECONDS = 10.0
# Beyond its time, for what waits for the processes that have been killed then.
_LAST_SECONDS = 0.3
# What a shell expects of a program that Ctrl+C has ended: 128 and SIGINT's number.
INTERRUPTED = 130


_until: float | None = None  # on the monotonic clock


def allow(seconds: float) -> None:
    """Say how long this process may take to end, from now on."""
    global _until
    _until = time.monotonic() + seconds


def time_left() -> float:
    """What is left of that; the usual grace time where nobody has said."""
    return _USUAL_SECONDS if _until is None else max(0.0, _until - time.monotonic())


def end_process(status: int, within: float) -> NoReturn:
    """Finish jobs and threads, call the exit functions, write out what is buffered, and end.

    Args:
        status: the exit status.
        within: how long all of that may take. Then the processes of ``multiprocessing`` are killed.
    """
    try:
        guard = threading.Thread(target=_cut, args=(status, within), name="microsock-end", daemon=True)
        guard.start()
        finish_threads(within)
        atexit._run_exitfuncs()
    except KeyboardInterrupt as error:  # told again while it waits
        end_at_once(status, error)
    finally:
        _exit(status)


def end_at_once(status: int, error: KeyboardInterrupt) -> NoReturn:
    """End without waiting for anything, since a signal says so."""
    try:
        kill_pool_processes()
    finally:
        # A second TERM changes nothing about how it went.
        _exit(getattr(error, "status", INTERRUPTED) or status)


def finish_threads(within: float) -> None:
    """Wait for jobs that were handed to ``concurrent.futures`` and for threads that are no daemons; not for ever."""
    calls: list[Callable[[], object]] = getattr(threading, "_threading_atexits", [])
    if not calls and not _waited_for():
        return
    # In a thread of its own, since neither can be told how long to wait.
    waiting = threading.Thread(target=_finish, args=(calls,), name="microsock-threads", daemon=True)
    waiting.start()
    waiting.join(min(within, threading.TIMEOUT_MAX))
    if waiting.is_alive():
        names = ", ".join(thread.name for thread in _waited_for())
        logger.warning("the time to stop is over; jobs and threads that still run are cut%s", names and f": {names}")


def kill_pool_processes() -> None:
    """Kill what ``multiprocessing`` and ``ProcessPoolExecutor`` have started here and would wait for."""
    started = sys.modules.get("multiprocessing.process")
    for process in list(getattr(started, "_children", ())):
        with contextlib.suppress(Exception):  # of another process, or ended meanwhile
            process.kill()


def end_child(error: BaseException | None) -> NoReturn:
    """End a child that the app has forked, as the app meant it: as Python would with this exception uncaught."""
    status = 1
    try:
        status = _status(error)
        _disown_processes()
        finish_threads(threading.TIMEOUT_MAX)
        atexit._run_exitfuncs()
    finally:
        _exit(status)


def _status(error: BaseException | None) -> int:
    if error is None:
        return 0
    if isinstance(error, SystemExit):
        if error.code is None or isinstance(error.code, int):
            return (error.code or 0) & 0xFF
        sys.stderr.write(f"{error.code}\n")
        return 1
    sys.excepthook(type(error), error, error.__traceback__)
    return INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1


def _disown_processes() -> None:
    # The exit function of multiprocessing would end the parent's daemons, which are no children of ours.
    started = sys.modules.get("multiprocessing.process")
    processes: set[Any] = getattr(started, "_children", set())
    processes -= {process for process in processes if process._parent_pid != os.getpid()}


def _finish(calls: Sequence[Callable[[], object]]) -> None:
    # As threading._shutdown does, which in this thread would wait for the main thread too.
    for call in reversed(calls):
        call()
    while threads := _waited_for():
        threads[0].join()


def _waited_for() -> list[threading.Thread]:
    main = threading.main_thread()
    return [thread for thread in threading.enumerate() if thread is not main and not thread.daemon]


def _cut(status: int, within: float) -> None:
    time.sleep(within)
    kill_pool_processes()
    time.sleep(_LAST_SECONDS)
    os._exit(status)  # nothing is written out any more: that may be what it hangs in


def _exit(status: int) -> NoReturn:
    while True:
        try:
            flush_printed()
            os._exit(status)
        except KeyboardInterrupt:  # told once more
            continue
