"""What a server tells the person who started it: banner and log on standard error, access lines on standard output."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import sys
from collections.abc import Iterator
from typing import TextIO

from ..app import App
from ..server.addresses import shown
from ..server.server import Server
from ..settings import Settings

__all__ = ["announce", "console", "summary", "version"]


def version() -> str:
    """The version of this package."""
    return str(importlib.import_module(__name__.partition(".")[0]).__version__)


def summary(app: App) -> str:
    """What an app has, as ``14 routes, 2 websockets``."""
    counts = [(len(app.router.routes), "route"), (len(app.router.websockets), "websocket")]
    return ", ".join(f"{count} {thing}{'' if count == 1 else 's'}" for count, thing in counts)


def announce(server: Server, name: str = "") -> None:
    """Write the banner; for when the server serves."""
    parts = [f"microsock {version()}", name, summary(server.app), "sequential"]
    urls = " and ".join(f"http://{shown(address)}" for address in server.addresses)
    sys.stderr.write(" · ".join(filter(None, parts)) + "\n")
    sys.stderr.write(f"Listening on {urls} (pid {os.getpid()})\n")
    sys.stderr.write("Press Ctrl+C to stop.\n")
    sys.stderr.flush()


@contextlib.contextmanager
def console(settings: Settings) -> Iterator[None]:
    """Send the logs to the terminal in a ``with`` block. A program that has set up logging keeps its own way."""
    server_log, access_log = logging.getLogger("microsock"), logging.getLogger("microsock.access")
    if server_log.hasHandlers() or access_log.hasHandlers():
        yield
        return
    errors, lines = logging.StreamHandler(sys.stderr), _OutputLines(sys.stdout)
    errors.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%H:%M:%S"))
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
        logging.getLogger("microsock").warning("nobody reads standard output any more; no access lines from here on")
