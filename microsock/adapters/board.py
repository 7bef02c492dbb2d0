"""The board that a parent and its workers share: made before the first fork, inherited, gone with the last of them."""

from __future__ import annotations

import mmap
import time

from ..board import Board, board_cells

__all__ = ["shared_board"]

_SLOTS = 256
_CELL_BYTES = 8


def shared_board(slots: int = _SLOTS) -> Board:
    """A board in memory that belongs to no file. Costs a page for each slot that is used.

    The clock is the machine's monotonic one: the same in all its processes.
    """
    memory = mmap.mmap(-1, board_cells(slots) * _CELL_BYTES)
    return Board(memoryview(memory).cast("Q"), slots, time.monotonic)
