"""When free memory is given back to the system, and that it is."""

from __future__ import annotations

import sys

import pytest

from microsock.buffered import Buffered
from microsock.server import heap
from microsock.server.heap import Heap, give_back
from microsock.tally import Tally

MUCH = 16 << 20


class Holder:
    def reconsider(self) -> None:
        """Nothing to do."""


class Looks:
    """What each look finds after a connection has held so much at most and holds so much now."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(heap, "give_back", lambda: True)
        self.buffered = Buffered(1 << 30, Tally())
        self.heap = Heap(self.buffered)
        self.holder = Holder()

    def __call__(self, peak: int, now: int) -> bool:
        self.buffered.note(self.holder, peak)
        self.buffered.note(self.holder, now)
        return self.heap.look()


def test_memory_is_given_back_at_the_second_look_after_much_was_freed(monkeypatch: pytest.MonkeyPatch) -> None:
    look = Looks(monkeypatch)
    assert [look(2 * MUCH, 0), look(0, 0), look(0, 0)] == [False, True, False]


def test_not_while_it_is_in_steady_use(monkeypatch: pytest.MonkeyPatch) -> None:
    look = Looks(monkeypatch)
    assert not any(look(3 * MUCH, 0) for _ in range(20))


def test_not_for_a_little(monkeypatch: pytest.MonkeyPatch) -> None:
    look = Looks(monkeypatch)
    assert [look(MUCH - 1, 0), look(0, 0), look(0, 0)] == [False, False, False]


def test_also_where_it_became_free_little_by_little(monkeypatch: pytest.MonkeyPatch) -> None:
    look = Looks(monkeypatch)
    assert not look(MUCH * 2, MUCH * 2)
    assert [look(size, size) for size in (25 << 20, 20 << 20, 16 << 20, 9 << 20)] == [False, False, False, True]


@pytest.mark.skipif(sys.platform != "linux", reason="the C library may have no malloc_trim")
def test_the_c_library_is_asked() -> None:
    assert isinstance(give_back(), bool)


def test_a_c_library_without_the_call_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ctypes", None)
    assert give_back() is False
