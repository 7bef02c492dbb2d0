"""What a server tells the person who started it: banner and log on standard error, access lines on standard output."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import select
import sys
from collections.abc import Iterator, Sequence
from typing import TextIO

from ..app import App
from ..log import logger
from ..server.server import Server
from ..settings import Settings

__all__ = [
    "announce",
    "console",
    "open_standard_streams",
    "reopen_logs",
    "say_stopping",
    "summary",
    "version",
    "write_banner",
]

# The status of a dev line stands before size and time, behind what the client has written.
_STATUS = r"\d{3}(?= \d+B \d+\.\dms$)"
_COLOURS = {"2": 32, "3": 36, "4": 33, "5": 31}


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


def say_stopping() -> None:
    """Say at once, also in a signal handler, that the server was asked to stop.

    Past the buffers, which the handler may have interrupted; and not at all where nobody takes it, which would hold
    everything.
    """
    line = b"Stopping (press Ctrl+C again to stop at once)\n"
    try:
        fd = sys.stderr.fileno()
    except (OSError, ValueError):  # closed, or in memory
        return
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    if poll.poll(0):
        with contextlib.suppress(OSError):
            os.write(fd, line)


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
    server_log, access_log = logging.getLogger("microsock"), logging.getLogger("microsock.access")
    if server_log.hasHandlers() or access_log.hasHandlers():
        yield
        return
    errors, lines = logging.StreamHandler(sys.stderr), _OutputLines(sys.stdout)
    errors.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
    coloured = settings.access_log_format == "dev" and _takes_colours(sys.stdout)
    lines.setFormatter(_Coloured() if coloured else _Plain())
    level = "debug" if settings.debug else settings.log_level
    with _handled(server_log, errors, level.upper()), _handled(access_log, lines, "INFO"):
        yield


@contextlib.contextmanager
def _handled(log: logging.Logger, handler: logging.Handler, level: str) -> Iterator[None]:
    level_before, propagate_before = log.level, log.propagate
    log.addHandler(handler)
    log.setLevel(level)
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level_before)
        log.propagate = propagate_before


def _takes_colours(stream: TextIO) -> bool:
    # NO_COLOR counts when it is there and not empty (no-color.org).
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


class _Plain(logging.Formatter):
    """Access lines as they are: there is nothing to be filled in, and no time to be told."""

    def format(self, record: logging.LogRecord) -> str:
        return record.getMessage()


class _Coloured(_Plain):
    """Access lines of the ``dev`` format with the status in a colour: green, cyan, yellow and red for 2xx to 5xx."""

    def format(self, record: logging.LogRecord) -> str:
        return re.compile(_STATUS).sub(_painted, super().format(record))


def _painted(status: re.Match[str]) -> str:
    return f"\x1b[{_COLOURS.get(status[0][0], 0)}m{status[0]}\x1b[0m"


class _OutputLines(logging.StreamHandler[TextIO]):
    """Access lines on standard output; none any more once nobody reads it (``microsock app | head``)."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's own name
        if not isinstance(sys.exc_info()[1], BrokenPipeError):
            super().handleError(record)
            return
        # What is buffered still goes somewhere: Python would fail to flush it at exit.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.stream.fileno())
        os.close(nowhere)
        logger.warning("nobody reads standard output any more; no access lines from here on")
