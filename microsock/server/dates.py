"""The Date line's value, made once a second instead of once an answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from email.utils import formatdate

__all__ = ["HttpDate"]


class HttpDate:
    """Gives the current time as ``Sun, 06 Nov 1994 08:49:37 GMT`` when called (RFC 9110 section 5.6.7).

    Args:
        clock: seconds since 1970.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._second = -1
        self._text = b""

    def __call__(self) -> bytes:
        second = int(self._clock())
        if second != self._second:
            self._second = second
            self._text = formatdate(second, usegmt=True).encode()
        return self._text
