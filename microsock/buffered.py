"""What all connections of one worker hold in memory, and who has to wait once that is too much.

Each tells what it holds at the end of a turn, where that is more than a read leaves. Knows no connection, no clock and
no protocol.
"""

from __future__ import annotations

from typing import Protocol

from .tally import Cell, Tally

__all__ = ["AT_EASE", "Buffered", "Holder"]

AT_EASE = 16 << 10
"""So many bytes a connection may hold without account, as large as a request head may be."""


class Holder(Protocol):
    """A connection that holds something."""

    def reconsider(self) -> None:
        """Take a turn soon: there is no room any more, or there is room again."""

    def __hash__(self) -> int: ...


class Buffered:
    """The account of one worker: request bodies, input that is not parsed yet, and output that has not left.

    Args:
        most: bytes in all (``max_buffered_bytes``).
        tally: where the sum is shown.
    """

    def __init__(self, most: int, tally: Tally) -> None:
        self.most = most
        self.total = 0
        """Bytes now."""
        self.peak = 0
        """The largest ``total`` since somebody set this back to it."""
        self.holders: dict[Holder, int] = {}
        """Who holds more than ``AT_EASE``, and how much."""
        self._tally = tally
        self._full = False
        self._waiting: dict[Holder, None] = {}  # those that may not read, the longest first

    def note(self, holder: Holder, size: int) -> bool:
        """A connection holds so many bytes now; tells whether all of them together hold no more than they may."""
        before = self.holders.get(holder, 0)
        if size > AT_EASE:
            self.holders[holder] = size
            self._add(size - before)
        elif before:
            self.forget(holder)
        return self.total <= self.most

    def forget(self, holder: Holder) -> None:
        """It holds nothing to speak of any more."""
        size = self.holders.pop(holder, 0)
        if size:
            self._leave(holder)
            self._add(-size)

    def has_room(self, size: int) -> bool:
        """Whether so many bytes more may come."""
        return size <= AT_EASE or self.total + size <= self.most

    def may_read(self, holder: Holder) -> bool:
        """Whether one that holds something may read more of what it cannot refuse.

        While there is no room one of them may, so that what it holds comes to an end; the others are told.
        """
        if not self._full or holder not in self.holders:
            return True
        self._waiting.setdefault(holder)
        return next(iter(self._waiting)) is holder

    def is_waiting(self, holder: Holder) -> bool:
        """Whether there is no room, and it has asked to read."""
        return holder in self._waiting

    def _add(self, size: int) -> None:
        self.total += size
        self._tally.cells[Cell.BUFFERED] = self.total
        if self.total > self.peak:
            self.peak = self.total
        if not self._full and self.total > self.most:
            self._full = True
            _tell(self.holders)
        elif self._full and self.total <= self.most - self.most // 8:
            # Somewhat later than it was full: not with every byte anew.
            self._full = False
            waiting, self._waiting = self._waiting, {}
            _tell(waiting)

    def _leave(self, holder: Holder) -> None:
        if holder in self._waiting:
            del self._waiting[holder]
            _tell(dict.fromkeys(list(self._waiting)[:1]))


def _tell(holders: dict[Holder, int] | dict[Holder, None]) -> None:
    for holder in list(holders):
        holder.reconsider()
