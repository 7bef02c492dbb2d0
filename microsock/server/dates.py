"""The Date line's value, made once a second instead of once an answer."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["HttpDate"]

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


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
            self._text = _written(time.gmtime(second)).encode()
        return self._text


def _written(at: time.struct_time) -> str:
    # Not by strftime, whose names are the locale's, nor by email.utils, which loads half of the email package.
    day, month = _DAYS[at.tm_wday], _MONTHS[at.tm_mon - 1]
    return f"{day}, {at.tm_mday:02} {month} {at.tm_year:04} {at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02} GMT"
