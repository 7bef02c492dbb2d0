"""What was published: numbered records, the last ones of each topic, and the one that is retained.

Bounded by count and by bytes. Knows no connection; in a relay the data of a record is what its bus sends.
"""

from __future__ import annotations

import re
from collections import OrderedDict, deque
from collections.abc import Iterable

from .eventstream import Event

__all__ = ["History", "Record"]

_MAX_BYTES = 16 << 20
# What a record or a topic costs beside its text, roughly; many small ones must not fill the memory either.
_RECORD_BYTES, _TOPIC_BYTES = 256, 1024
# Topics whose history is asked for; past it the one that was asked for longest ago is forgotten.
_MAX_TOPICS = 1 << 16
# Kept of whatever is published, for topics that are followed only later: clients come back after a restart too.
_MAX_RECENT, _MAX_RECENT_BYTES = 100, 1 << 20
# Compiled where one is first needed, which most servers never come to; `re` keeps it.
_EVENT_ID = r"([0-9A-Za-z]{1,64})-([0-9]{1,18})"


class Record:
    """One published message and its number. What goes over the wire is made once, when it is first needed."""

    __slots__ = ("_event", "_frame", "data", "number", "topic")

    def __init__(self, topic: str, data: str | bytes, number: int) -> None:
        self.topic = topic
        self.data = data
        self.number = number
        self._event: bytes | None = None
        self._frame: bytes | None = None

    @property
    def frame(self) -> bytes:
        """As an uncompressed WebSocket frame."""
        if self._frame is None:
            from .protocol.codec import message_frame  # only WebSockets ask, and they have loaded it

            self._frame = message_frame(self.data)
        return self._frame

    def event(self, birth: str) -> bytes:
        """As an event, whose id says which life of the bus it is of. Empty for binary data: events are text."""
        if self._event is None:
            text = self.data
            self._event = Event(text, id=f"{birth}-{self.number}").encode() if isinstance(text, str) else b""
        return self._event

    def event_without_id(self, birth: str) -> bytes:
        """``event``, but for a client whose ``Last-Event-ID`` it is not to change."""
        return self.event(birth).partition(b"\n")[2]

    @property
    def size(self) -> int:
        """What it costs to keep, in bytes."""
        return len(self.data) + len(self.topic) + _RECORD_BYTES


class History:
    """The numbered past of a bus.

    Args:
        birth: what tells this life of the bus from an earlier one, in every event id.
        max_bytes: of all records and retained values together; the oldest go first.
    """

    def __init__(self, birth: str, max_bytes: int = _MAX_BYTES) -> None:
        self.birth = birth
        self.bytes = 0
        """What is kept now; at most ``max_bytes``, and some for recent records."""
        self.number = 0
        """Of the latest record that was kept or only numbered here; 0 before the first."""
        self._max_bytes = max_bytes
        self._wanted: OrderedDict[str, int] = OrderedDict()
        self._topics: dict[str, deque[Record]] = {}
        self._kept: OrderedDict[int, Record] = OrderedDict()  # those of all topics, oldest first
        self._retained: OrderedDict[str, Record] = OrderedDict()
        self._recent: deque[Record] = deque()
        self._recent_bytes = 0

    def keep(self, topic: str, count: int) -> bool:
        """Keep the last ``count`` records of a topic from now on; the largest count asked for holds.

        Tells whether that is more than before.
        """
        known = self._wanted.get(topic)
        if count <= 0:
            return False
        self._wanted[topic] = max(count, known or 0)
        self._wanted.move_to_end(topic)
        if known is None:
            self._keep_recent(topic)
            if len(self._wanted) > _MAX_TOPICS:
                self._forget(self._wanted.popitem(last=False)[0])
        return count > (known or 0)

    def wanted(self) -> list[tuple[str, int]]:
        """The topics whose records are kept, and how many of each; the one asked for longest ago first."""
        return list(self._wanted.items())

    def record(self, topic: str, data: str | bytes, retain: bool) -> Record:
        """Number what is published, and keep it where that was asked for."""
        record = Record(topic, data, self.number + 1)
        self.add(record, retain)
        return record

    def add(self, record: Record, retain: bool) -> None:
        """Keep, where that was asked for, what was numbered elsewhere; its number is higher than all before."""
        self.number = record.number
        if retain:
            self._retain(record)
        if record.topic in self._wanted:
            self._keep(record)
        else:
            self._remember(record)
        while self.bytes > self._max_bytes and (self._kept or self._retained):
            self._drop_oldest()

    def since(self, number: int) -> list[tuple[Record, bool]]:
        """All that is here behind a number, in order; and of each whether it is its topic's value now."""
        found = {record.number: (record, False) for record in (*self._kept.values(), *self._recent)}
        found |= {record.number: (record, True) for record in self._retained.values()}
        return [found[each] for each in sorted(found) if each > number]

    def opening(self) -> bytes:
        """What tells a client of an event stream, without an event, that it has seen all up to now.

        A block of an id alone sets the client's last event id and fires nothing (HTML Standard section 9.2.6).
        """
        return f"id: {self.birth}-{self.number}\n\n".encode()

    def retained(self, topic: str) -> Record | None:
        """The last value that was published to be retained."""
        return self._retained.get(topic)

    def missed(self, last_event_id: str | None, topics: Iterable[str]) -> list[Record]:
        """What a client that follows these topics is to get first, in order.

        One that saw an event gets what came behind it, as far as that is kept; for an id of another life or of no
        known form that is all there is. A new one gets what was retained.
        """
        retained = [self._retained[topic] for topic in topics if topic in self._retained]
        found = {record.number: record for record in retained}
        if last_event_id:
            match = re.compile(_EVENT_ID).fullmatch(last_event_id)
            after = int(match[2]) if match is not None and match[1] == self.birth else 0
            kept = [record for topic in topics for record in self._topics.get(topic, ())]
            found = {record.number: record for record in [*retained, *kept] if record.number > after}
        return [found[number] for number in sorted(found)]

    def _retain(self, record: Record) -> None:
        earlier = self._retained.pop(record.topic, None)
        self.bytes += record.size - (earlier.size if earlier is not None else 0)
        self._retained[record.topic] = record

    def _keep(self, record: Record) -> None:
        records = self._topics.get(record.topic)
        if records is None:
            records = self._topics[record.topic] = deque()
            self.bytes += _TOPIC_BYTES
        records.append(record)
        self._kept[record.number] = record
        self.bytes += record.size
        while len(records) > self._wanted[record.topic]:
            self._drop_first(record.topic, records)

    def _drop_first(self, topic: str, records: deque[Record]) -> None:
        record = records.popleft()
        del self._kept[record.number]
        self.bytes -= record.size
        if not records:
            del self._topics[topic]
            self.bytes -= _TOPIC_BYTES

    def _drop_oldest(self) -> None:
        if self._kept:
            oldest = next(iter(self._kept.values()))
            self._drop_first(oldest.topic, self._topics[oldest.topic])
        else:
            self.bytes -= self._retained.popitem(last=False)[1].size

    def _forget(self, topic: str) -> None:
        records = self._topics.get(topic)
        while records:
            self._drop_first(topic, records)

    # Topics that nobody has followed yet.

    def _remember(self, record: Record) -> None:
        self._recent.append(record)
        self._recent_bytes += record.size
        while len(self._recent) > _MAX_RECENT or self._recent_bytes > _MAX_RECENT_BYTES:
            self._recent_bytes -= self._recent.popleft().size

    def _keep_recent(self, topic: str) -> None:
        mine = [record for record in self._recent if record.topic == topic]
        if mine:
            self._recent = deque(record for record in self._recent if record.topic != topic)
            self._recent_bytes -= sum(record.size for record in mine)
            # Their numbers are lower than those of what is kept, so they go in front.
            for record in mine:
                self._keep(record)
            self._kept = OrderedDict(sorted(self._kept.items()))
