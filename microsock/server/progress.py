"""How fast bytes move one way: whether they are stuck, and whether they are a trickle.

Values in, verdicts out; knows no clock.
"""

from __future__ import annotations

__all__ = ["Progress"]


class Progress:
    """Follows a count of bytes that only grows. Times in seconds, rates in bytes a second."""

    __slots__ = ("_at", "_bytes", "_moved_at", "_start", "_start_bytes")

    def __init__(self, now: float, count: int) -> None:
        self._start = self._at = self._moved_at = now
        self._start_bytes = self._bytes = count

    def moved(self, now: float, count: int) -> bool:
        """Take note of the count; tells whether it has grown."""
        self._at = now
        if count <= self._bytes:
            return False
        self._bytes = count
        self._moved_at = now
        return True

    def stuck(self, timeout: float) -> bool:
        """Whether nothing has moved for ``timeout`` seconds, at the last look."""
        return self._at - self._moved_at >= timeout

    def too_slow(self, after: float, rate: float) -> bool:
        """Whether, once ``after`` seconds have passed, the average is below ``rate``."""
        seconds = self._at - self._start
        return seconds >= after and self._bytes - self._start_bytes < rate * seconds
