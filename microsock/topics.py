"""Who is subscribed to which topic; and what was published to be retained before anything served the app.

Knows nothing of connections: a member is anything hashable.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

__all__ = ["MAX_TOPIC_BYTES", "InitialValues", "Topics"]

# Of all initial values together; and what one costs beside its text, roughly.
_MAX_INITIAL_BYTES, _INITIAL_BYTES = 16 << 20, 256

MAX_TOPIC_BYTES = 1024
"""The longest name that a topic may have."""

M = TypeVar("M", bound=Hashable)


class Topics(Generic[M]):
    """Topics and their members, in order of subscription. A topic exists while it has a member.

    Attributes:
        changed: called with each topic that has gained or lost a member, if anybody wants to know.
    """

    __slots__ = ("_members", "_topics", "changed")

    def __init__(self) -> None:
        self.changed: Callable[[str], None] | None = None
        self._members: dict[str, dict[M, None]] = {}
        self._topics: dict[M, dict[str, None]] = {}

    def subscribe(self, topic: str, member: M) -> bool:
        """Put a member on a topic and tell whether it is new there; one that is not keeps its place."""
        members = self._members.setdefault(topic, {})
        if member in members:
            return False
        members[member] = None
        self._topics.setdefault(member, {})[topic] = None
        if self.changed is not None:
            self.changed(topic)
        return True

    def unsubscribe(self, topic: str, member: M) -> None:
        """Take a member off a topic; nothing happens if it is not there."""
        if topic in self._topics.get(member, ()):
            _remove(self._topics, member, topic)
            _remove(self._members, topic, member)
            if self.changed is not None:
                self.changed(topic)

    def discard(self, member: M) -> None:
        """Take a member off all its topics, when it has gone."""
        for topic in self._topics.pop(member, ()):
            _remove(self._members, topic, member)
            if self.changed is not None:
                self.changed(topic)

    def members(self, topic: str) -> tuple[M, ...]:
        """The members of a topic as they are now; a change while you walk them does not matter."""
        return tuple(self._members.get(topic, ()))

    def count(self, topic: str) -> int:
        """How many members a topic has."""
        return len(self._members.get(topic, ()))

    def counts(self) -> dict[str, int]:
        """How many members each topic has; from any thread."""
        return {topic: len(members) for topic, members in list(self._members.items())}


class InitialValues:
    """Retained values from before the app was served: each site that comes to serve it begins with them.

    Bounded; the oldest give way.
    """

    __slots__ = ("_bytes", "_newer", "_values")

    def __init__(self) -> None:
        self._bytes = 0
        self._values: OrderedDict[str, str | bytes] = OrderedDict()
        self._newer: dict[str, str | bytes] = {}

    def keep(self, topic: str, value: str | bytes) -> None:
        """Keep what is published while nothing serves the app; the last value of a topic counts."""
        self._drop(topic)
        self._values[topic] = value
        self._bytes += _initial_bytes(topic, value)
        while self._bytes > _MAX_INITIAL_BYTES:
            self._drop(next(iter(self._values)))

    def replace(self, topic: str, value: str | bytes) -> None:
        """A site has a newer value of a topic now, with which one that joins it later is to begin."""
        if topic in self._values:
            self._newer[topic] = value

    def restart(self) -> None:
        """No site is left: who serves the app next begins as the first one did."""
        self._newer.clear()

    def all(self) -> list[tuple[str, str | bytes]]:
        """What a site is to begin with."""
        return [(topic, self._newer.get(topic, value)) for topic, value in list(self._values.items())]

    def _drop(self, topic: str) -> None:
        value = self._values.pop(topic, None)
        if value is not None:
            self._bytes -= _initial_bytes(topic, value)


def _initial_bytes(topic: str, value: str | bytes) -> int:
    return len(topic) + len(value) + _INITIAL_BYTES


K = TypeVar("K", bound=Hashable)
V = TypeVar("V", bound=Hashable)


def _remove(table: dict[K, dict[V, None]], key: K, value: V) -> None:
    # An empty set of members is dropped, or topics named after users would pile up.
    values = table[key]
    del values[value]
    if not values:
        del table[key]
