"""Who works, who is to begin and who is to leave: the decisions of the parent of preforked workers.

Pure: told what has happened and what time it is, it says what to do. Knows no process, no socket and no clock.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

from ..startup import NamedTuple

__all__ = ["Fate", "Member", "Plan", "Roster"]

# A worker that dies sooner after it was ready is one that cannot live; the next is begun later and later.
_YOUNG_SECONDS = 1.0
_FIRST_DELAY, _LONGEST_DELAY = 0.1, 5.0


class Fate(enum.Enum):
    """What a worker's end means."""

    LEFT = "it was asked to"
    LOST = "it was not asked to; another takes its place"
    ABANDONED = "the new app does not come up; the workers from before the reload stay"
    HOPELESS = "no worker has ever been ready, and none is about to be"


@dataclass(eq=False)
class Member:
    """One worker process.

    Fields:
        number: its seat, from 1; the next worker may have it once this one is gone.
        pid: of its process.
        generation: which reload it belongs to.
        born, ready_at, heard_at: when it was forked, could serve, and was heard of last; in seconds.
        retired: it is to be replaced though nothing was reloaded.
        leaving: it was asked to drain and end.
    """

    number: int
    pid: int
    generation: int
    born: float
    heard_at: float
    ready_at: float | None = None
    retired: bool = False
    leaving: bool = False


class Plan(NamedTuple):
    """What to do now: how many workers to begin, which to dismiss, and when to ask again (None: at the next news)."""

    begin: int
    dismiss: list[Member]
    again_at: float | None


@dataclass
class Roster:
    """Every worker process there is.

    Args:
        wanted: how many workers there are to be.
        capacity: how many processes there may be at once, those that are leaving included.
    """

    wanted: int
    capacity: int
    generation: int = 0
    members: dict[int, Member] = field(default_factory=dict)
    ever_ready: bool = False
    _latest: int = 0
    _came_up: bool = False  # whether a worker of this generation has been ready
    _boot_failed: bool = False  # one has died before any was ready
    _delay: float = 0.0
    _not_before: float = 0.0

    # What has happened.

    def born(self, pid: int, now: float) -> Member:
        """A process was forked; it has the lowest seat that is free."""
        member = Member(self.next_number(), pid, self.generation, now, now)
        self.members[member.number] = member
        return member

    def next_number(self) -> int:
        """The lowest seat that is free."""
        return next(number for number in range(1, self.capacity + 2) if number not in self.members)

    def ready(self, member: Member, now: float) -> None:
        """It serves."""
        member.ready_at = member.heard_at = now
        self.ever_ready = True
        self._came_up = self._came_up or member.generation == self.generation

    def retire(self, member: Member) -> None:
        """It is to be replaced once its successor is ready."""
        member.retired = True

    def reload(self) -> None:
        """All are to be replaced, one after the other."""
        self._latest += 1
        self.generation = self._latest
        self._came_up = False
        self._not_before = self._delay = 0.0

    def not_forked(self, now: float) -> None:
        """There was no process to be had: try again later."""
        self._put_off(now)

    def died(self, member: Member, now: float) -> Fate:
        """Its process has ended."""
        del self.members[member.number]
        if member.leaving:
            return Fate.LEFT
        young = member.ready_at is None or now - member.ready_at < _YOUNG_SECONDS
        if not young:
            self._delay = 0.0
        elif not self.ever_ready:
            self._boot_failed = True
            return Fate.LOST if self.members else Fate.HOPELESS
        elif self._is_hopeless(member):
            self.generation = max(other.generation for other in self._staying())
            self._came_up = True
            return Fate.ABANDONED
        else:
            self._put_off(now)
        return Fate.LOST

    def _is_hopeless(self, member: Member) -> bool:
        # The first of a new generation tells for all of it, as long as there is somebody to go on instead.
        older = any(other.generation != self.generation and other.ready_at is not None for other in self._staying())
        return member.generation == self.generation and not self._came_up and older

    def _put_off(self, now: float) -> None:
        # Several that die together are one failure.
        if now >= self._not_before:
            self._delay = min(_LONGEST_DELAY, self._delay * 2 or _FIRST_DELAY)
            self._not_before = now + self._delay

    # What to do.

    @property
    def is_settled(self) -> bool:
        """Whether there is nobody to wait for: all that are to be there serve, and are of one generation."""
        staying = self._staying()
        return all(member.ready_at is not None and member.generation == self.generation for member in staying)

    def plan(self, now: float) -> Plan:
        """Whom to begin and whom to dismiss; who is dismissed counts as leaving from here on."""
        staying = self._staying()
        fresh = [member for member in staying if member.generation == self.generation and not member.retired]
        old = [member for member in staying if member not in fresh]
        begin = self._missing(fresh, old)
        dismiss = self._dismissed(fresh, old)
        if begin and now < self._not_before:
            return Plan(0, dismiss, self._not_before)
        return Plan(begin, dismiss, None)

    def _missing(self, fresh: list[Member], old: list[Member]) -> int:
        if self._boot_failed and not self.ever_ready:
            return 0  # those that still start up will tell whether there is any hope
        missing = self.wanted - len(fresh)
        able = [member for member in old if member.ready_at is not None]
        if able:
            # Rolling: one at a time, but for those that have died on the way.
            starting = sum(member.ready_at is None for member in fresh)
            missing = min(missing, max(1 - starting, self.wanted - len(fresh) - len(able)))
        return max(0, min(missing, self.capacity - len(self.members)))

    def _dismissed(self, fresh: list[Member], old: list[Member]) -> list[Member]:
        # Those that never got ready before the reload are of no use to anybody.
        gone = [member for member in old if member.ready_at is None]
        able = sorted((member for member in old if member.ready_at is not None), key=lambda member: member.born)
        ready = [member for member in fresh if member.ready_at is not None]
        surplus = max(0, len(able) + len(ready) - self.wanted)
        gone += able[:surplus]
        surplus -= len(able[:surplus])
        if surplus:
            gone += sorted(ready, key=lambda member: member.number)[-surplus:]
        for member in gone:
            member.leaving = True
        return gone

    def _staying(self) -> list[Member]:
        return [member for member in self.members.values() if not member.leaving]
