"""Where the figures of all workers stand side by side: one slot for each, and one for those that are gone.

Knows nothing of memory that is shared, and no process: the numbers' place and the clock are handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from .startup import NamedTuple
from .tally import CELLS, FIRST_SUM, Cell, Cells, Tally, private_cells

__all__ = ["Board", "Figures", "board_cells", "private_board"]

# The board's own numbers, in front of the slots.
_EDITION, _RESTARTS, _BORN = 0, 1, 2
_HEAD = 8
_FREE, _CLAIMED = 0, (1 << 64) - 1  # of a slot's PID, until the worker itself has written there
# The past changes for some microseconds, when a worker has ended; whoever looks just then looks again.
_MOST_LOOKS = 100
_MOST = (1 << 64) - 1  # that a number has room for


def board_cells(slots: int) -> int:
    """How many numbers a board with so many slots needs."""
    return _HEAD + (slots + 1) * CELLS


def private_board(now: Callable[[], float], slots: int = 1) -> Board:
    """A board for workers in one process."""
    return Board(private_cells(board_cells(slots)), slots, now)


class Figures(NamedTuple):
    """What a board says at one moment.

    Attributes:
        workers: the numbers of each that lives, by its slot's order.
        past: the sums of those that are gone.
        restarts: how many were replaced because they had died.
        born: when the board was made, in seconds on the shared clock.
    """

    workers: list[list[int]]
    past: list[int]
    restarts: int
    born: float

    def total(self, cell: int) -> int:
        """One number over all workers; for what only grows, over those that are gone too."""
        return sum(worker[cell] for worker in self.workers) + (self.past[cell] if cell >= FIRST_SUM else 0)


class Board:
    """Slots for workers. ``claim``, ``release`` and ``restarted`` are for one process; anyone may look.

    Args:
        cells: all zero, ``board_cells(slots)`` of them.
        slots: how many workers there may be at a time, those that end included.
        now: the clock that all workers share, in seconds.
    """

    def __init__(self, cells: Cells, slots: int, now: Callable[[], float]) -> None:
        self._cells = cells
        self._slots = slots
        self._claimed: set[int] = set()
        self.now = now
        cells[_BORN] = int(now() * 1e6)

    def claim(self, worker: int) -> int:
        """A slot for a worker that is about to start; -1 where none is free, and its figures will be missing."""
        # By what is known here: a worker that has gone bad may have written anything into its own slot.
        for slot in range(self._slots):
            if slot not in self._claimed:
                self._claimed.add(slot)
                cells = self._row(slot)
                cells[Cell.WORKER] = worker
                cells[Cell.PID] = _CLAIMED
                return slot
        return -1

    def tally(self, slot: int, pid: int) -> Tally:
        """What the worker in this slot counts with; called by the worker itself."""
        if slot < 0:
            return Tally()
        cells = self._row(slot)
        cells[Cell.STARTED] = cells[Cell.SEEN] = int(self.now() * 1e6)
        cells[Cell.PID] = pid
        return Tally(cells)

    def release(self, slot: int) -> None:
        """The worker of this slot has ended: what it counted is the past's, and the slot is free."""
        if slot not in self._claimed:
            return
        self._claimed.discard(slot)
        cells, past = self._row(slot), self._row(self._slots)
        with self._changing():
            for cell, count in enumerate(cells):
                if count and cell >= FIRST_SUM:
                    # A worker that has gone bad may have written anything there.
                    past[cell] = min(past[cell] + count, _MOST)
            cells[:] = private_cells(CELLS)

    def restarted(self) -> None:
        """A worker is being replaced because it died."""
        self._cells[_RESTARTS] = min(self._cells[_RESTARTS] + 1, _MOST)

    def figures(self) -> Figures:
        """What it says now."""
        for _ in range(_MOST_LOOKS):
            before = self._cells[_EDITION]
            found = self._read()
            if before == self._cells[_EDITION] and not before % 2:
                break
        return found

    def _read(self) -> Figures:
        rows = [self._row(slot) for slot in range(self._slots)]
        workers = [row.tolist() for row in rows if row[Cell.PID] not in (_FREE, _CLAIMED)]
        past = self._row(self._slots).tolist()
        return Figures(workers, past, self._cells[_RESTARTS], self._cells[_BORN] / 1e6)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        # Odd while it changes.
        edition = self._cells[_EDITION] | 1
        self._cells[_EDITION] = edition
        try:
            yield
        finally:
            self._cells[_EDITION] = (edition + 1) & _MOST

    def _row(self, slot: int) -> Cells:
        # A view onto the numbers, not a copy; the past stands behind the last slot.
        start = _HEAD + slot * CELLS
        return self._cells[start : start + CELLS]
