"""Errors that somebody else can repeat as often as they like, in a log that does not grow by that."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ..log import logger

if TYPE_CHECKING:
    from ..server.loop import Loop
    from ..server.timers import Timer

__all__ = ["LimitedLog"]

_SECONDS = 10.0


class LimitedLog:
    """Logs the first at once, and those of the next ten seconds as one line with their number.

    Args:
        loop: whose clock it goes by.
        about: what they are, for that line: "messages of worker 3 that were passed over".
        level: of all of its lines.
    """

    def __init__(self, loop: Loop, about: str, level: int = logging.ERROR) -> None:
        self._loop = loop
        self._about = about
        self._level = level
        self._held_back = 0
        self._timer: Timer | None = None

    def log(self, message: str, *args: object, count: int = 1, traceback: bool = False) -> None:
        """Log one, or ``count`` of them that have come together; with ``traceback`` within an ``except``."""
        if self._timer is not None:
            self._held_back += count
            return
        self._timer = self._loop.timers.call_at(self._loop.timers.now() + _SECONDS, self._tell)
        logger.log(self._level, message, *args, exc_info=traceback or None)

    def close(self) -> None:
        """Tell at once of what has not been told yet."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._held_back:
            logger.log(self._level, "%s: %d more in the last %g s", self._about, self._held_back, _SECONDS)
            self._held_back = 0

    def _tell(self) -> None:
        again = bool(self._held_back)
        self.close()
        if again:  # it goes on, perhaps
            self._timer = self._loop.timers.call_at(self._loop.timers.now() + _SECONDS, self._tell)
