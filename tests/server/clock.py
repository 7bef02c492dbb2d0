"""A clock that stands still until it is moved."""

from __future__ import annotations


class Clock:
    """Seconds, as ``Timers`` and ``Loop`` want them."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now
