from __future__ import annotations

import pytest

from microsock.server.progress import Progress


def test_only_a_larger_count_is_movement() -> None:
    progress = Progress(0, 100)
    assert [progress.moved(1, 100), progress.moved(2, 101), progress.moved(3, 101)] == [False, True, False]


def test_it_is_stuck_when_nothing_has_moved_for_so_long() -> None:
    progress = Progress(10, 0)
    assert not progress.stuck(5)
    progress.moved(14.9, 0)
    assert not progress.stuck(5)
    progress.moved(15, 0)
    assert progress.stuck(5)
    progress.moved(16, 1)
    assert not progress.stuck(5)
    progress.moved(21, 1)
    assert progress.stuck(5)


@pytest.mark.parametrize(
    ("now", "count", "slow"), [(9.9, 0, False), (10, 999, True), (10, 1000, False), (20, 1999, True), (20, 2000, False)]
)
def test_it_is_too_slow_when_the_average_is_below_the_rate_after_a_while(now: float, count: int, slow: bool) -> None:
    progress = Progress(0, 50)
    progress.moved(now, 50 + count)
    assert progress.too_slow(10, 100) is slow


def test_a_slow_start_is_forgiven_when_it_catches_up() -> None:
    progress = Progress(0, 0)
    progress.moved(10, 1)
    assert progress.too_slow(10, 100)
    progress.moved(11, 1100)
    assert not progress.too_slow(10, 100)


def test_no_rate_at_all_is_never_too_slow() -> None:
    progress = Progress(0, 0)
    progress.moved(1000, 0)
    assert not progress.too_slow(10, 0)
