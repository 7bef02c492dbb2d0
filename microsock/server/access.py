"""The access log: one line for each answer and for each WebSocket's end.

Formats what a site reports; where the lines go is for the handlers of the logger ``microsock.access``.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from ..site import AccessEntry, Answered, SocketClosed

__all__ = ["AccessLog", "formatted"]

logger = logging.getLogger("microsock.access")


class AccessLog:
    """Writes an entry when called with it; costs next to nothing while nobody listens to the logger.

    Args:
        clock: the local time as ``10:39:33``.
    """

    def __init__(self, clock: Callable[[], str] = lambda: time.strftime("%H:%M:%S")) -> None:
        self._clock = clock

    def __call__(self, entry: AccessEntry) -> None:
        if logger.isEnabledFor(logging.INFO):
            logger.info("%s %s", self._clock(), formatted(entry))


def formatted(entry: AccessEntry) -> str:
    """An entry as the ``dev`` format has it, without the time of day."""
    if isinstance(entry, Answered):
        request = f"{entry.client} {_printable(entry.method)} {_printable(entry.path)}"
        return f"{request} {entry.status} {entry.size}B {entry.seconds * 1000:.1f}ms"
    return _formatted_socket(entry)


def _formatted_socket(entry: SocketClosed) -> str:
    traffic = f"in {entry.received} out {entry.sent}"
    return f"{entry.client} WS {_printable(entry.path)} closed {entry.code} {entry.seconds:.0f}s {traffic}"


def _printable(text: str) -> str:
    # A client must not be able to write lines, or colours, of its own into the log.
    return text if text.isprintable() else text.encode("unicode_escape").decode("ascii")
