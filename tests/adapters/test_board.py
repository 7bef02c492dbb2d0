"""The board over real processes: what they count is seen by the others, also when they are killed."""

from __future__ import annotations

import os
import signal
import time
import warnings

import pytest

from microsock.adapters.board import shared_board
from microsock.board import Board
from microsock.tally import Cell

pytestmark = pytest.mark.server

COUNT = 500


def forked(board: Board, number: int) -> tuple[int, int]:
    """A process that counts and then waits to be killed."""
    slot = board.claim(number)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the tests themselves may have threads
        pid = os.fork()
    if pid == 0:
        signal.alarm(30)
        try:
            tally = board.tally(slot, os.getpid())
            for _ in range(COUNT):
                tally.answered(200, 0.01)
            tally.opened(Cell.CONNECTIONS, Cell.CONNECTIONS_TOTAL)
            signal.pause()
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    return slot, pid


def test_four_processes_count_on_one_board_and_leave_their_counts_when_they_are_killed() -> None:
    board = shared_board(8)
    workers = [forked(board, number) for number in (1, 2, 3, 4)]
    deadline = time.monotonic() + 20
    while board.figures().total(Cell.CONNECTIONS) < 4:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert [row[Cell.PID] for row in board.figures().workers] == [pid for _, pid in workers]
    assert board.figures().total(Cell.STATUS + 100) == 4 * COUNT
    for slot, pid in workers:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        board.release(slot)
    figures = board.figures()
    assert (figures.total(Cell.STATUS + 100), figures.total(Cell.CONNECTIONS)) == (4 * COUNT, 0)
    assert figures.workers == []


def test_a_board_says_when_it_was_made_on_the_clock_of_all_processes() -> None:
    before = time.monotonic()
    assert before - 0.001 <= shared_board(1).figures().born <= time.monotonic()
