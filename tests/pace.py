"""Seconds that something may take, on a machine that does other things as well.

What else runs makes one attempt late, or the next; what the server itself waits for is in every one of them. So a bound
holds if one of several attempts keeps it, and need not be wide. Nothing is tried again where the first one does.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["ATTEMPTS", "quickest"]

ATTEMPTS = 5


def quickest(attempt: Callable[[], float], below: float) -> float:
    """The seconds that the first attempt gives that takes less than ``below``, or else the best of all."""
    best = attempt()
    for _ in range(ATTEMPTS - 1):
        if best < below:
            break
        best = min(best, attempt())
    return best
