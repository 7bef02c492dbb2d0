"""What workers count, and where their figures stand side by side."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microsock.board import Board, Figures, board_cells, private_board
from microsock.status import Standing, report
from microsock.tally import BOUNDS, CELLS, Cell, Tally, private_cells

LATENCIES = range(Cell.LATENCY, Cell.LATENCY + len(BOUNDS) + 1)


@given(st.binary(max_size=300), st.integers(0, CELLS - 1), st.sampled_from([0, 1, (1 << 63), (1 << 64) - 1]))
def test_whatever_a_worker_writes_the_board_goes_on_for_the_others(data: bytes, cell: int, value: int) -> None:
    board = private_board(lambda: 5.0, 3)
    good, bad = board.claim(1), board.claim(2)
    board.tally(good, 11).answered(200, 0.1)
    cells = board.tally(bad, 22).cells
    for place in range(0, len(data) - 7, 8):
        cells[cell - place // 8] = int.from_bytes(data[place : place + 8], "big")
    cells[cell] = value
    for _ in range(2):
        report([Standing(board, {})])
        board.release(bad)
        bad = board.claim(3)
        assert bad not in (good, -1)
        board.tally(bad, 22).cells[cell] = value
    assert board.figures().workers[0][Cell.STATUS + 100] == 1


def test_a_slot_is_free_only_when_it_was_released_whatever_stands_in_it() -> None:
    board = private_board(lambda: 5.0, 2)
    first = board.claim(1)
    board.tally(first, 0)
    assert board.claim(2) != first
    assert board.claim(3) == -1
    board.release(first)
    board.release(first)
    assert board.claim(3) == first


def test_numbers_without_room_stay_at_the_most() -> None:
    board = private_board(lambda: 5.0, 1)
    board._cells[0], board._cells[1] = (1 << 64) - 1, (1 << 64) - 1
    for _ in range(2):
        board.tally(board.claim(1), 11).cells[Cell.STATUS] = (1 << 64) - 1
        board.release(0)
        board.restarted()
    assert board.figures().past[Cell.STATUS] == board.figures().restarts == (1 << 64) - 1


def test_the_numbers_lie_apart() -> None:
    cells = [cell for name, cell in vars(Cell).items() if name.isupper()]
    assert len(set(cells)) == len(cells) > 20
    assert sorted(cells)[-2:] == [Cell.LATENCY, Cell.STATUS]
    assert LATENCIES[-1] < Cell.STATUS
    assert Cell.STATUS + 599 - 100 == CELLS - 1


def test_an_answer_counts_by_status_and_by_time() -> None:
    tally = Tally()
    for status, seconds in ((200, 0.0), (200, 0.0005), (404, 0.3), (599, 99.0)):
        tally.answered(status, seconds)
    assert [tally.cells[Cell.STATUS + status - 100] for status in (200, 404, 599)] == [2, 1, 1]
    found = [tally.cells[cell] for cell in LATENCIES]
    assert (found[0], found[BOUNDS.index(0.5)], found[-1], sum(found)) == (2, 1, 1, 4)
    assert tally.cells[Cell.LATENCY_SUM] == 99_300_500


def test_a_request_whose_client_left_has_no_status() -> None:
    tally = Tally()
    tally.answered(0, 1.0)
    assert tally.cells[Cell.GIVEN_UP] == 1
    assert sum(tally.cells) == 1


def test_what_has_no_end_has_no_time() -> None:
    tally = Tally()
    tally.answered_endless(101)
    assert [index for index, count in enumerate(tally.cells) if count] == [Cell.STATUS + 1]


def test_what_is_open_goes_up_and_down_and_what_was_stays() -> None:
    tally = Tally()
    tally.opened(Cell.WEBSOCKETS, Cell.WEBSOCKETS_TOTAL)
    tally.opened(Cell.WEBSOCKETS, Cell.WEBSOCKETS_TOTAL)
    tally.closed(Cell.WEBSOCKETS)
    assert (tally.cells[Cell.WEBSOCKETS], tally.cells[Cell.WEBSOCKETS_TOTAL]) == (1, 2)


@pytest.fixture
def board() -> Board:
    return private_board(lambda: 7.0, 3)


def working(board: Board, number: int) -> tuple[int, Tally]:
    slot = board.claim(number)
    return slot, board.tally(slot, 1000 + number)


def test_a_board_adds_up_what_its_workers_count(board: Board) -> None:
    (_, first), (_, second) = working(board, 1), working(board, 2)
    first.answered(200, 0.1)
    second.answered(200, 0.1)
    second.opened(Cell.CONNECTIONS, Cell.CONNECTIONS_TOTAL)
    figures = board.figures()
    assert [(row[Cell.WORKER], row[Cell.PID]) for row in figures.workers] == [(1, 1001), (2, 1002)]
    assert figures.total(Cell.STATUS + 100) == 2
    assert figures.total(Cell.CONNECTIONS) == 1
    assert (figures.born, figures.restarts) == (7.0, 0)


def test_a_worker_that_has_not_begun_is_not_shown(board: Board) -> None:
    board.claim(1)
    assert board.figures().workers == []


def test_what_a_worker_counted_outlives_it_and_what_it_had_open_does_not(board: Board) -> None:
    slot, tally = working(board, 1)
    tally.opened(Cell.CONNECTIONS, Cell.CONNECTIONS_TOTAL)
    tally.answered(500, 2.0)
    board.release(slot)
    board.restarted()
    figures = board.figures()
    assert figures.workers == []
    assert (figures.total(Cell.CONNECTIONS), figures.total(Cell.CONNECTIONS_TOTAL)) == (0, 1)
    assert (figures.total(Cell.STATUS + 400), figures.restarts) == (1, 1)


def test_a_slot_is_used_again_and_starts_from_nothing(board: Board) -> None:
    slot, tally = working(board, 1)
    tally.answered(200, 0.1)
    board.release(slot)
    board.release(slot)
    again, fresh = working(board, 4)
    assert again == slot
    assert fresh.cells[Cell.STATUS + 100] == 0
    assert board.figures().total(Cell.STATUS + 100) == 1


def test_a_worker_too_many_counts_for_itself_alone(board: Board) -> None:
    for number in (1, 2, 3):
        working(board, number)
    slot, tally = working(board, 4)
    tally.answered(200, 0.1)
    board.release(slot)
    assert slot == -1
    assert (len(board.figures().workers), board.figures().total(Cell.STATUS + 100)) == (3, 0)


def test_whoever_looks_while_the_past_changes_looks_again() -> None:
    looks = []

    class Restless(Board):
        def _read(self) -> Figures:
            looks.append(cells[0])
            cells[0] += len(looks) < 4  # it changes during the first three looks, the third time to an even edition
            return super()._read()

    cells = private_cells(board_cells(1))
    Restless(cells, 1, float).figures()
    assert looks == [0, 1, 2, 3, 3, *[3] * 95]  # it stands at an odd edition, and even then an answer comes
    cells[0], looks[:] = 4, [4, 4, 4, 4]
    Restless(cells, 1, float).figures()
    assert len(looks) == 5
