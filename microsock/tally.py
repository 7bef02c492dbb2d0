"""What one worker counts: a row of whole numbers, and the verbs that move them.

The numbers lie in memory that is handed in: this process's own, or what processes share. One writer each.
Knows no process and no clock.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TypeAlias

__all__ = ["BOUNDS", "CELLS", "Cell", "Cells", "Tally", "private_cells"]

Cells: TypeAlias = "memoryview[int]"
"""Unsigned numbers of 64 bits each (format ``Q``)."""


def private_cells(count: int) -> Cells:
    """So many numbers, all zero, that nobody shares."""
    return memoryview(bytearray(8 * count)).cast("Q")


class Cell:
    """The numbers by name: an Enum's would cost ten times as much to look up. Times are in microseconds."""

    # Who writes here.
    PID = 0
    WORKER = 1
    STARTED = 2
    """On the clock that all workers share."""
    # How it is now.
    CONNECTIONS = 3
    WEBSOCKETS = 4
    EVENT_STREAMS = 5
    QUEUED_CALLS = 6
    """Blocking calls that wait for a thread."""
    LOOP_LAG = 7
    """The longest turn of the loop of late."""
    SEEN = 8
    """When the two above were looked at last, on the clock that all share."""
    BUFFERED = 9
    """Bytes of bodies and queues that connections hold."""
    # What there was, added up. A worker's end adds it to the past.
    CONNECTIONS_TOTAL = 10
    WEBSOCKETS_TOTAL = 11
    EVENT_STREAMS_TOTAL = 12
    MESSAGES_RECEIVED = 13
    """Of WebSockets that have closed."""
    MESSAGES_SENT = 14
    GIVEN_UP = 15
    """Requests whose client left before the answer's head."""
    RATE_LIMITED = 16
    DROPPED = 17
    """Pushed messages that slow readers did not get."""
    LOOP_BUSY = 18
    """How long the loop did anything but wait."""
    LATENCY_SUM = 19
    CONNECTIONS_REFUSED = 20
    """Past ``max_connections_per_address``."""
    BODIES_REFUSED = 21
    """Past ``max_buffered_bytes``."""
    CLIENTS_DROPPED = 22
    """Marks of connected clients that had to make room for others."""
    LATENCY = 32
    """The first of the histogram's buckets: how many answers took no longer than each of ``BOUNDS``, and the rest."""
    STATUS = 64
    """The first of 500: answers by status, from 100 on."""


FIRST_SUM = Cell.CONNECTIONS_TOTAL
"""From here on numbers only grow, so that those of several workers can be added."""
CELLS = Cell.STATUS + 500
"""How many there are."""

BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""The upper bounds of the histogram's buckets, in seconds."""

_QUICK = BOUNDS[0]
_FIRST_STATUS = Cell.STATUS - 100
_LATENCY, _LATENCY_SUM = Cell.LATENCY, Cell.LATENCY_SUM


class Tally:
    """One worker's figures; to be written by one thread.

    Args:
        cells: at least ``CELLS`` numbers.
    """

    __slots__ = ("cells",)

    def __init__(self, cells: Cells | None = None) -> None:
        self.cells = private_cells(CELLS) if cells is None else cells

    def add(self, cell: int, count: int = 1) -> None:
        """Count something that happened."""
        self.cells[cell] += count

    def answered(self, status: int, seconds: float) -> None:
        """A request was answered, ``seconds`` after it had come; 0 for one whose client left before."""
        cells = self.cells
        if status:
            cells[_FIRST_STATUS + status] += 1
            cells[_LATENCY + bisect_left(BOUNDS, seconds) if seconds > _QUICK else _LATENCY] += 1
            cells[_LATENCY_SUM] += int(seconds * 1e6)
        else:
            cells[Cell.GIVEN_UP] += 1

    def answered_endless(self, status: int) -> None:
        """A request was answered by what has no end of its own: its time would say nothing."""
        self.cells[_FIRST_STATUS + status] += 1

    def opened(self, gauge: int, total: int) -> None:
        """One more of something is open."""
        self.cells[gauge] += 1
        self.cells[total] += 1

    def closed(self, gauge: int) -> None:
        """One of them has closed."""
        self.cells[gauge] -= 1
