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

from ..adapters.logstream import LogStream
from ..app import App
from ..log import printable
from ..server.server import Server
from ..settings import Settings

__all__ = [
    "announce",
    "console",
    "open_standard_streams",
    "reopen_logs",
    "say",
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
    except (AttributeError, OSError, ValueError):  # none, closed, or in memory
        return
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    if poll.poll(0):
        with contextlib.suppress(OSError):
            os.write(fd, line)


def write_banner(about: Sequence[str], urls: Sequence[str]) -> None:
    """Say what serves, and where."""
    say(
        " · ".join(filter(None, [f"microsock {version()}", *about])),
        f"Listening on {' and '.join(urls)} (pid {os.getpid()})",
        "Press Ctrl+C to stop.",
    )


def say(*lines: str) -> None:
    """Tell the person at the terminal; what standard error does not take now is dropped."""
    stream = _standard_error or LogStream(sys.stderr, "standard error")
    stream.write("".join(f"{line}\n" for line in lines))
    if stream is not _standard_error:
        stream.hand_over()
        stream.leave()


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
    coloured = settings.access_log_format == "dev" and _takes_colours(sys.stdout)
    level = "debug" if settings.debug else settings.log_level
    with (
        _standard_error_for_all() as errors,
        contextlib.closing(LogStream(sys.stdout, "standard output", errors)) as lines,
        _handled(server_log, LineHandler(errors, _ServerLines()), level.upper()),
        _handled(access_log, LineHandler(lines, _Coloured() if coloured else _Plain()), "INFO"),
    ):
        yield


# That of the console that is set up, which others write to as well.
_standard_error: LogStream | None = None


@contextlib.contextmanager
def _standard_error_for_all() -> Iterator[LogStream]:
    global _standard_error
    before = _standard_error
    with contextlib.closing(LogStream(sys.stderr, "standard error")) as stream:
        _standard_error = stream
        try:
            yield stream
        finally:
            _standard_error = before


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


def _takes_colours(stream: TextIO | None) -> bool:
    # NO_COLOR counts when it is there and not empty (no-color.org).
    try:
        is_terminal = stream is not None and stream.isatty()
    except ValueError:  # closed
        return False
    return is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


class _ServerLines(logging.Formatter):
    """Lines of the server's own log. Those that follow the first one, of a traceback mostly, are indented.

    So each line that is not has a time in front, and nothing that a client has said, in the message of an exception
    perhaps, looks like one of them.
    """

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        return "\n    ".join(map(printable, super().format(record).rstrip("\n").split("\n")))


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


class LineHandler(logging.Handler):
    """Writes records to a ``LogStream``."""

    def __init__(self, stream: LogStream, formatter: logging.Formatter) -> None:
        super().__init__()
        self.formatter = formatter
        self._stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        try:
            line = self.format(record)
        except Exception:
            self.handleError(record)
        else:
            self._stream.write(f"{line}\n")
