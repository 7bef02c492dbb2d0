"""What was published: numbered records, the last ones of each topic, and the one that is retained.

Bounded by count and by bytes. Knows no connection.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable

from .eventstream import Event

__all__ = ["History", "Record"]

_MAX_BYTES = 16 << 20
_EVENT_ID = re.compile(r"([0-9A-Za-z]{1,64})-([0-9]{1,18})")


class Record:
    """One published message and its number; what it looks like as an event is made once."""

    __slots__ = ("_event", "data", "number", "topic")

    def __init__(self, topic: str, data: str | bytes, number: int) -> None:
        self.topic = topic
        self.data = data
        self.number = number
        self._event: bytes | None = None

    def event(self, birth: str) -> bytes:
        """As an event, whose id says which life of the bus it is of. Binary data cannot be said in an event."""
        if self._event is None:
            data = self.data if isinstance(self.data, str) else self.data.decode(errors="replace")
            self._event = Event(data, id=f"{birth}-{self.number}").encode()
        return self._event

    def __len__(self) -> int:
        return len(self.data) + len(self.topic)


class History:
    """The numbered past of a bus.

    Args:
        birth: what tells this life of the bus from an earlier one, in every event id.
        max_bytes: of all records and retained values together; the oldest go first.
    """

    def __init__(self, birth: str, max_bytes: int = _MAX_BYTES) -> None:
        self.birth = birth
        self._number = 0
        self._max_bytes = max_bytes
        self._bytes = 0
        self._topics: dict[str, deque[Record]] = {}
        self._wanted: dict[str, int] = {}
        self._retained: dict[str, Record] = {}

    def keep(self, topic: str, count: int) -> None:
        """Keep the last ``count`` records of a topic from now on; the largest count asked for holds."""
        self._wanted[topic] = max(count, self._wanted.get(topic, 0))

    def record(self, topic: str, data: str | bytes, retain: bool) -> Record:
        """Number what is published, and keep it where that was asked for."""
        self._number += 1
        record = Record(topic, data, self._number)
        if retain:
            self._retain(record)
        if self._wanted.get(topic):
            self._keep(record)
        while self._bytes > self._max_bytes and self._drop_oldest():
            pass
        return record

    def retained(self, topic: str) -> Record | None:
        """The last value that was published to be retained."""
        return self._retained.get(topic)

    def since(self, last_event_id: str, topics: Iterable[str]) -> list[Record]:
        """What came behind an event, in order; all that there is for an id of another life or of no known form."""
        match = _EVENT_ID.fullmatch(last_event_id)
        after = int(match[2]) if match is not None and match[1] == self.birth else 0
        found = [record for topic in topics for record in self._topics.get(topic, ()) if record.number > after]
        return sorted(found, key=lambda record: record.number)

    def _retain(self, record: Record) -> None:
        self._bytes += len(record) - len(self._retained.pop(record.topic, ()))
        self._retained[record.topic] = record

    def _keep(self, record: Record) -> None:
        records = self._topics.setdefault(record.topic, deque())
        records.append(record)
        self._bytes += len(record)
        while len(records) > self._wanted[record.topic]:
            self._bytes -= len(records.popleft())

    def _drop_oldest(self) -> bool:
        # Rarely needed, so the topics are simply looked through.
        oldest = min((records for records in self._topics.values() if records), key=lambda r: r[0].number, default=None)
        if oldest is not None:
            self._bytes -= len(oldest.popleft())
            return True
        if self._retained:
            self._bytes -= len(self._retained.pop(next(iter(self._retained))))
            return True
        return False
