"""What large bodies and answers leave free in the C library's heap goes back to the system.

``free`` gives back the top of the heap only: one small block that was allocated above hundreds of megabytes of freed
bodies keeps them all in the process (measured with glibc: 260 of 340 MB, for good). ``malloc_trim`` gives back what
is free below as well, in some 0.1 ms for each megabyte.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..buffered import Buffered

__all__ = ["Heap", "give_back"]

# Less is not worth the call: the next bodies use it again.
_MUCH = 16 << 20


class Heap:
    """Sees when much of what connections held has become free.

    Args:
        buffered: the account of what they hold.
    """

    def __init__(self, buffered: Buffered) -> None:
        self._buffered = buffered
        self._high = 0  # the most that was held since memory was last given back

    def look(self) -> bool:
        """Give memory back if much less is held than was; to be called some times a second, from any thread.

        Compares what was held at most between two looks, so that memory in steady use stays.
        """
        buffered = self._buffered
        peak, buffered.peak = buffered.peak, buffered.total
        if peak >= self._high:
            self._high = peak
        elif self._high - peak >= _MUCH:
            self._high = peak
            return give_back()
        return False


def give_back() -> bool:
    """Give free memory back to the system; tells whether there was any. False where the C library has no such call."""
    try:
        import ctypes  # only where there was much: it takes a megabyte itself

        return bool(ctypes.CDLL(None).malloc_trim(0))
    except (ImportError, OSError, AttributeError):
        return False
