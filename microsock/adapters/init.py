"""What a container's first process has to do: reap the orphans of others, which the kernel gives to it.

A process that runs an app must not wait for all of its children: it would take the exit status of those that the app
has started and asks for. So, as docker-init and tini do, it forks, and the first process does nothing else.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from typing import NoReturn

from ..server.after_fork import fork_process

__all__ = ["is_init", "leave_init_behind", "reap_all"]

# It has those of the terminal by the terminal itself, as the foreground group.
_PASSED_ON = {
    signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2,
    signal.SIGTTIN, signal.SIGTTOU, signal.SIGWINCH,
}  # fmt: skip


def is_init() -> bool:
    """Whether this is the first process of a container."""
    return os.getpid() == 1


def reap_all() -> Iterator[tuple[int, int]]:
    """Reap all children that have ended, and give the process id and wait status of each."""
    with contextlib.suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            yield ended


def leave_init_behind() -> None:
    """In a container's first process: go on in a child, and stay behind to reap orphans, until that child has ended.

    Does nothing in any other process, and in one that has threads already, which a fork would lose.
    """
    if not is_init() or threading.active_count() > 1:
        return
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {*_PASSED_ON, signal.SIGCHLD})
    pid = fork_process()
    if pid:
        _be_init(pid)
    _become_the_foreground()
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _be_init(child: int) -> NoReturn:
    try:
        while True:
            signum = signal.sigwait({*_PASSED_ON, signal.SIGCHLD})
            if signum != signal.SIGCHLD:
                os.kill(child, signum)
            for pid, ended in reap_all():
                if pid == child:
                    code = os.waitstatus_to_exitcode(ended)
                    # As a shell tells of a program that a signal has ended.
                    os._exit(code if code >= 0 else 128 - code)
    finally:
        os._exit(1)


def _become_the_foreground() -> None:
    # Else Ctrl+C would come twice: from the terminal, and from the first process.
    with contextlib.suppress(OSError):
        terminal = os.tcgetpgrp(0) == os.getpgrp()
        os.setpgid(0, 0)
        if terminal:
            os.tcsetpgrp(0, os.getpgrp())
