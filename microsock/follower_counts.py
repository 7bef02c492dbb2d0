"""How many follow which topic: what each worker and each other host has said, and the totals.

Bounded, since it is kept of whatever others say. Knows no worker and no message.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .topics import MAX_TOPIC_BYTES

__all__ = ["MAX_FOLLOWERS", "FollowerCounts", "is_count"]

MAX_FOLLOWERS = 1 << 28
"""What one worker or host may say of a topic; a larger count is none."""

# Of the names of all topics, and a count for each. A worker that joins is told them all, and that must fit into half of
# what may wait for it.
_MAX_BYTES = 8 << 20
_COUNT_BYTES = 8

Source = int | str


def is_count(value: object) -> bool:
    """Whether somebody may say that so many follow a topic."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_FOLLOWERS


class FollowerCounts:
    """By source: a worker's number, or another host's name.

    Attributes:
        refused: counts that were not taken: out of range, of a topic that is too long, or without room.
    """

    def __init__(self) -> None:
        self.refused = 0
        self._by_source: dict[Source, dict[str, int]] = {}
        self._totals: dict[str, int] = {}
        self._bytes = 0

    def change(self, source: Source, news: Mapping[str, int]) -> list[str]:
        """Take what a source says of some topics; 0 for one that nobody follows there now.

        Gives the topics for which that was taken.
        """
        counts = self._by_source.setdefault(source, {})
        changed = [topic for topic, count in news.items() if self._put(counts, topic, count)]
        if not counts:
            del self._by_source[source]
        return changed

    def replace(self, source: Source, counts: Mapping[str, int]) -> list[str]:
        """``change``, where what the source does not name now counts as 0."""
        before = self._by_source.get(source, {})
        taken = {topic: count for topic, count in counts.items() if is_count(count)}
        self.refused += len(counts) - len(taken)
        return self.change(source, dict.fromkeys(before, 0) | taken)

    def totals(self) -> dict[str, int]:
        """How many follow each topic, by all sources."""
        return dict(self._totals)

    def of_workers(self) -> dict[str, int]:
        """How many follow each topic in the workers of this host."""
        here: dict[str, int] = {}
        for source, counts in self._by_source.items():
            if isinstance(source, int):
                for topic, count in counts.items():
                    here[topic] = here.get(topic, 0) + count
        return here

    def others_of(self, source: Source, topics: Iterable[str]) -> list[tuple[str, int]]:
        """What all others than one source say of some topics."""
        own = self._by_source.get(source, {})
        return [(topic, self._totals.get(topic, 0) - own.get(topic, 0)) for topic in topics]

    def _put(self, counts: dict[str, int], topic: str, count: int) -> bool:
        total = self._totals.get(topic, 0)
        length = len(topic.encode(errors="surrogatepass"))
        size = 0 if total else length + _COUNT_BYTES
        if not is_count(count) or length > MAX_TOPIC_BYTES or (count and self._bytes + size > _MAX_BYTES):
            self.refused += 1
            return False
        after = total + count - counts.get(topic, 0)
        # Only what is there is kept, or topics named after users would pile up.
        if count:
            counts[topic] = count
        else:
            counts.pop(topic, None)
        if after:
            self._totals[topic] = after
            self._bytes += size
        elif total:
            del self._totals[topic]
            self._bytes -= length + _COUNT_BYTES
        return True
