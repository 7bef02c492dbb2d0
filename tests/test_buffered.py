"""The account of what the connections of a worker hold."""

from __future__ import annotations

import random

from microsock.buffered import AT_EASE, Buffered
from microsock.tally import Cell, Tally

MUCH = 10 * AT_EASE


class Holder:
    """A connection that only counts how often it was told to look again."""

    def __init__(self) -> None:
        self.told = 0

    def reconsider(self) -> None:
        self.told += 1


def test_what_one_read_leaves_does_not_count() -> None:
    buffered = Buffered(MUCH, Tally())
    assert buffered.note(Holder(), AT_EASE)
    assert (buffered.total, buffered.holders) == (0, {})


def test_what_is_held_now_replaces_what_was_held_before() -> None:
    buffered, tally, first, second = Buffered(MUCH, tally := Tally()), tally, Holder(), Holder()
    for size in (AT_EASE + 1, 3 * AT_EASE, 2 * AT_EASE):
        buffered.note(first, size)
    buffered.note(second, 4 * AT_EASE)
    assert buffered.total == tally.cells[Cell.BUFFERED] == 6 * AT_EASE
    buffered.note(first, 0)
    buffered.forget(second)
    buffered.forget(second)
    assert buffered.total == tally.cells[Cell.BUFFERED] == 0
    assert buffered.peak == 7 * AT_EASE - AT_EASE


def test_there_is_room_up_to_the_bound_and_always_for_a_little() -> None:
    buffered, holder = Buffered(MUCH, Tally()), Holder()
    assert buffered.note(holder, MUCH)
    assert not buffered.note(holder, MUCH + 1)
    assert buffered.has_room(AT_EASE)
    assert not buffered.has_room(AT_EASE + 1)


def test_who_holds_something_is_told_once_when_there_is_no_room_any_more() -> None:
    buffered, first, second = Buffered(MUCH, Tally()), Holder(), Holder()
    buffered.note(first, MUCH)
    for more in range(1, 5):
        buffered.note(second, AT_EASE + more)
    assert (first.told, second.told) == (1, 1)


def test_without_room_one_may_read_on_and_then_the_next() -> None:
    buffered, holders = Buffered(MUCH, Tally()), [Holder() for _ in range(4)]
    for holder in holders:
        buffered.note(holder, 4 * AT_EASE)
    assert [buffered.may_read(holder) for holder in holders] == [True, False, False, False]
    for holder in holders:
        holder.told = 0
    buffered.note(holders[0], 20 * AT_EASE)
    assert buffered.may_read(holders[0])
    buffered.note(holders[0], 0)
    assert [holder.told for holder in holders] == [0, 1, 0, 0]
    assert [buffered.may_read(holder) for holder in holders[1:]] == [True, False, False]
    buffered.forget(holders[1])
    assert [buffered.is_waiting(holder) for holder in holders] == [False] * 4  # there is room again
    assert [holder.told for holder in holders[2:]] == [2, 1]
    assert all(buffered.may_read(holder) for holder in holders)


def test_whoever_holds_nothing_to_speak_of_may_always_read() -> None:
    buffered, quiet = Buffered(MUCH, Tally()), Holder()
    buffered.note(Holder(), MUCH + 1)
    assert buffered.may_read(quiet)
    assert not buffered.is_waiting(quiet)


def test_room_comes_back_only_somewhat_below_the_bound() -> None:
    buffered, first, second = Buffered(MUCH, Tally()), Holder(), Holder()
    buffered.note(first, MUCH)
    buffered.note(second, 2 * AT_EASE)
    assert buffered.may_read(first)
    assert not buffered.may_read(second)
    buffered.note(first, MUCH - 2 * AT_EASE)
    assert not buffered.may_read(second)
    buffered.note(first, MUCH - 4 * AT_EASE)
    assert buffered.may_read(second)


def test_the_account_is_the_sum_of_what_is_held_whatever_comes() -> None:
    chance = random.Random(7)
    buffered, holders = Buffered(MUCH, Tally()), [Holder() for _ in range(9)]
    sizes = dict.fromkeys(holders, 0)
    for _ in range(3000):
        holder = chance.choice(holders)
        sizes[holder] = chance.choice((0, 1, AT_EASE, AT_EASE + 1, chance.randrange(MUCH)))
        if chance.random() < 0.2:
            sizes[holder] = 0
            buffered.forget(holder)
        else:
            buffered.note(holder, sizes[holder])
        buffered.may_read(chance.choice(holders))
        assert buffered.total == sum(size for size in sizes.values() if size > AT_EASE)
        assert all(not buffered.is_waiting(each) or sizes[each] > AT_EASE for each in holders)
    for holder in holders:
        buffered.forget(holder)
    assert (buffered.total, buffered.holders) == (0, {})
