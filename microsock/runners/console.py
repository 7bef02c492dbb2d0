"""What a server tells the person who started it: banner and log on standard error, access lines on standard output."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from functools import partial

from ..app import App
from ..log import load, prepared
from ..server.server import Server
from ..settings import Settings

__all__ = ["announce", "console", "open_standard_streams", "reopen_logs", "summary", "version", "write_banner"]


def reopen_logs() -> None:
    """Open every log file anew under its name, after somebody has moved it away."""
    from ..adapters import logfiles

    logfiles.reopen_logs()


def open_standard_streams() -> None:
    """Put the null device where the process was started with its standard streams closed, as daemons may be.

    Else the first sockets would have their numbers, and Python would have no ``sys.stdout`` to write to.
    """
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest that is free: this one
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


def version() -> str:
    """The version of this package."""
    return str(sys.modules[__name__.partition(".")[0]].__version__)


def summary(app: App) -> str:
    """What an app has, as ``14 routes, 2 websockets``."""
    counts = [(len(app.router.routes), "route"), (len(app.router.websockets), "websocket")]
    return ", ".join(f"{count} {thing}{'' if count == 1 else 's'}" for count, thing in counts)


def announce(server: Server, name: str = "") -> None:
    """Write the banner; for when the server serves."""
    write_banner([name, summary(server.app), "sequential"], server.urls)


def write_banner(about: Sequence[str], urls: Sequence[str]) -> None:
    """Say what serves, and where."""
    sys.stderr.write(" · ".join(filter(None, [f"microsock {version()}", *about])) + "\n")
    sys.stderr.write(f"Listening on {' and '.join(urls)} (pid {os.getpid()})\n")
    sys.stderr.write("Press Ctrl+C to stop.\n")
    sys.stderr.flush()


@contextlib.contextmanager
def console(settings: Settings) -> Iterator[None]:
    """Send the logs to the terminal in a ``with`` block, or where the ``log_config`` file says.

    Without that file, a program that has set up logging keeps its own way. Raises ``BadSetting`` for a bad one.
    """
    if settings.log_config is not None:
        from ..adapters.logfiles import configure_logging

        configure_logging(settings.log_config)
        yield
        return
    with contextlib.ExitStack() as ready, prepared(partial(_send_to_terminal, settings, ready)):
        if settings.access_log:
            load()  # it has something to say at the first answer
        yield


def _send_to_terminal(settings: Settings, ready: contextlib.ExitStack) -> None:
    from .terminal import on_terminal

    ready.enter_context(on_terminal(settings))
