"""Whether a peer takes what is pushed to it, once more of that is queued than ``max_queued_bytes``.

One handler may publish more in one go than a socket takes, and no peer can read while that handler runs. So it is not
the size of a queue that makes a slow reader, but a queue past the bound of which the peer takes nothing for a while.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from .site import Outlet, Site, Timer

__all__ = ["SlowReader"]

# How many times within ``reader_grace`` to look whether the peer has taken anything.
_LOOKS = 4
# Of a queue so many times as long as it may be, the peer has to take something within one of these looks.
_FAR_BEHIND = 8


class SlowReader:
    """Asked before each push whether the peer is to get it.

    It looks from time to time at a queue that is past the bound. A peer that takes nothing for ``site.reader_grace``
    seconds is slow; for a quarter of that, if eight times the bound is queued and more is pushed. So is one that stays
    behind for ``write_timeout`` seconds however much it takes.

    Args:
        site: its settings, its clock and its timers.
        outlet: the queue.
        cut: called once it is slow, where ``slow_reader`` says to close; otherwise it is not sent what has no room.
    """

    __slots__ = ("_acknowledged", "_behind_since", "_cut", "_is_slow", "_moved_at", "_outlet", "_site", "_timer")

    def __init__(self, site: Site, outlet: Outlet, cut: Callable[[], None]) -> None:
        self._site = site
        self._outlet = outlet
        self._cut = cut
        self._is_slow = False
        self._timer: Timer | None = None
        self._behind_since: float | None = None
        self._moved_at = 0.0
        self._acknowledged = 0

    def admits(self, size: int) -> bool:
        """Whether so many bytes more are to be queued; what is not admitted is counted as dropped."""
        queued = self._outlet.queued()
        # One message always fits, however large.
        if not queued or queued + size <= self._site.settings.max_queued_bytes:
            self._is_slow = False
            return True
        if self._is_far_behind(queued):
            self._end()
        if self._is_slow:
            self._site.drop()
            return False
        if self._behind_since is None:
            self._behind_since = self._moved_at = self._site.now()
            self._acknowledged = self._outlet.acknowledged()
            # Behind what runs now, which may publish more, and what is to be written first.
            self._site.call_soon(self._look_later)
        return True

    def close(self) -> None:
        """The peer has gone: look no more."""
        self._behind_since = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        if self._behind_since is None:
            return
        if self._outlet.queued() <= self._site.settings.max_queued_bytes:
            self._behind_since = None
        elif (
            self._takes_nothing_for(self._site.reader_grace)
            or self._site.now() - self._behind_since >= self._site.settings.write_timeout
        ):
            self._end()
        else:
            self._look_later()

    def _look_later(self) -> None:
        if self._behind_since is not None:
            # By a timer and then behind what is due: a turn of the loop comes in between, also where no time passes.
            when = self._site.now() + self._site.reader_grace / _LOOKS
            self._timer = self._site.call_at(when, partial(self._site.call_soon, self._look))

    def _end(self) -> None:
        self._behind_since = None
        self._is_slow = True
        if self._site.settings.slow_reader == "close":
            self._cut()

    def _is_far_behind(self, queued: int) -> bool:
        grace = self._site.reader_grace / _LOOKS
        if self._behind_since is None or not grace or queued <= _FAR_BEHIND * self._site.settings.max_queued_bytes:
            return False
        return self._takes_nothing_for(grace)

    def _takes_nothing_for(self, seconds: float) -> bool:
        now, acknowledged = self._site.now(), self._outlet.acknowledged()
        if acknowledged > self._acknowledged:
            self._acknowledged, self._moved_at = acknowledged, now
            return False
        return now - self._moved_at >= seconds
