"""How the log reaches a terminal: what goes wrong on standard error, access lines on standard output.

Loaded with ``logging``, which a start may do without; `console` says when.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sys
from collections.abc import Iterator
from typing import TextIO

from ..log import logger
from ..settings import Settings

__all__ = ["on_terminal"]

# The status of a dev line stands before size and time, behind what the client has written.
_STATUS = r"\d{3}(?= \d+B \d+\.\dms$)"
_COLOURS = {"2": 32, "3": 36, "4": 33, "5": 31}


@contextlib.contextmanager
def on_terminal(settings: Settings) -> Iterator[None]:
    """Send the logs to the terminal in a ``with`` block. A program that has set up logging keeps its own way."""
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
    """Access lines as they are: they have nothing to be filled in."""

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
