"""What a worker is told when it joins: a page at a time, so that nothing that was published fills its queue.

Where it has got to is known here and not by the worker, so that there is an end whatever that makes of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from . import envelope
from .follower_counts import FollowerCounts
from .history import History, Record

__all__ = ["Joining"]

# What one page holds, in bytes, and the message that fills it.
_PAGE_BYTES = 1 << 20
# Topics whose counts are told in one message.
_TOPICS = 256


class Joining:
    """One worker, from its first word to its welcome.

    Args:
        worker: its number.
        known: the number of the last record that it has.
        history: of the relay.
        counts: of the relay.
        send: sends it a message.

    Attributes:
        known: the number of the last record that it was sent.
    """

    def __init__(
        self, worker: int, known: int, history: History, counts: FollowerCounts, send: Callable[[bytes], object]
    ) -> None:
        self.known = known
        self._worker = worker
        self._history = history
        self._counts = counts
        self._send = send
        self._room = _PAGE_BYTES
        self._pages = self._all_pages()

    def send_page(self) -> bool:
        """Send what comes next; whether it has all now."""
        self._room = _PAGE_BYTES
        return next(self._pages, "end") == "end"

    def _all_pages(self) -> Iterator[None]:
        for topic, count in self._history.wanted():
            yield from self._say(envelope.keep_message(topic, count))
        yield from self._tell_history()
        yield from self._tell_counts()
        # What was published while the counts were told. Without a pause behind it, so that nothing is missed.
        yield from self._tell_history()

    def _tell_history(self) -> Iterator[None]:
        # Looked up anew after each pause: what is kept may be something else then.
        while records := self._history.since(self.known):
            for record, is_retained in records:
                if self._room <= 0:
                    yield
                    break
                self._send(envelope.history_message(record.number, is_retained, _content(record)))
                self.known = record.number
                self._room -= record.size

    def _tell_counts(self) -> Iterator[None]:
        # Changes are told meanwhile as they come, so it is no matter when the counts of a topic are looked up.
        topics = list(self._counts.totals())
        for start in range(0, max(1, len(topics)), _TOPICS):
            counts = self._counts.others_of(self._worker, topics[start : start + _TOPICS])
            yield from self._say(envelope.subscribers_message(counts))

    def _say(self, message: bytes) -> Iterator[None]:
        if self._room <= 0:
            yield
        self._send(message)
        self._room -= len(message)


def _content(record: Record) -> bytes:
    assert isinstance(record.data, bytes)
    return record.data
