"""What a site publishes, closes and counts by, and the bus of a process that serves alone.

The bus comes back with what is to be delivered here; for one of several workers it is ``worker_bus.WorkerBus``. Knows
who follows what only as an ``Audience``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

from .history import History, Record
from .schedule import Timer

__all__ = ["Audience", "Bus", "LocalBus"]


class Audience(Protocol):
    """Who is reached here, and the loop that they live on."""

    def deliver(self, record: Record, exclude: str | None) -> None:
        """Give a record to all who follow its topic here, but the WebSocket with the id ``exclude``."""

    def end_topic(self, topic: str, code: int, reason: str) -> None:
        """End all who follow a topic here."""

    def count_here(self, topic: str) -> int:
        """How many follow a topic here."""
        ...

    def watch_counts(self, changed: Callable[[str], None]) -> None:
        """Have each topic told whose ``count_here`` has changed."""

    def now(self) -> float:
        """Seconds on the loop's clock."""
        ...

    def call_soon(self, callback: Callable[[], None], /) -> None:
        """Have something called in a later turn."""

    def call_at(self, when: float, callback: Callable[[], None], /) -> Timer:
        """Have something called later."""
        ...

    def post(self, callback: Callable[[], None], /) -> None:
        """``call_soon`` from any thread; raises ``Overloaded`` where too many calls wait."""

    def on_loop(self) -> bool:
        """Whether the caller is on the loop."""
        ...


class Bus(Protocol):
    """What a site publishes by. ``publish``, ``close_topic`` and ``count`` are for any thread, all else for the loop's.

    Attributes:
        history: what was published, as far as it is kept.
        epoch: since when the jobs that run in one worker of all are counted, on the loop's clock; None: since each
            was registered. With one epoch for all workers they stay in step when they move.
    """

    history: History
    epoch: float | None

    def start(self) -> None:
        """Take part; called once, before the app's start hooks."""

    def when_ready(self, callback: Callable[[], None]) -> None:
        """Have this called once history and retained values are here, and clients may come."""

    def publish(self, topic: str, data: str | bytes, exclude: str | None, retain: bool) -> None:
        """Send to all who follow a topic, behind the current step, in one order for all.

        Raises ``Overloaded`` where too much waits to be sent, ``ValueError`` for what is too large to be sent at all.
        """

    def offer(self, topic: str, data: str | bytes) -> None:
        """Publish what was to be retained before the app was served; for the loop, between ``start`` and start hooks.

        Of several workers that offer the same, now or when one of them is replaced, one is heard.
        """

    def close_topic(self, topic: str, code: int, reason: str) -> None:
        """End all who follow a topic. Raises ``Overloaded`` as ``publish``."""

    def count(self, topic: str) -> int:
        """How many follow a topic: those here now, and the others as they were last told."""
        ...

    def others(self) -> dict[str, int]:
        """How many follow each topic elsewhere, as last told."""
        ...

    def keep(self, topic: str, count: int) -> None:
        """Keep the last ``count`` records of a topic from now on, in every worker."""

    def leads(self, due: float) -> bool:
        """Whether this worker does what one of all does at ``due``, a time on the loop's clock."""
        ...


class LocalBus:
    """The bus of a process that serves alone."""

    def __init__(self, audience: Audience, birth: str) -> None:
        self.history = History(birth)
        self.epoch: float | None = None
        self._audience = audience

    def start(self) -> None:
        """See ``Bus``."""

    def when_ready(self, callback: Callable[[], None]) -> None:
        """See ``Bus``; that is now."""
        callback()

    def publish(self, topic: str, data: str | bytes, exclude: str | None, retain: bool) -> None:
        """See ``Bus``."""
        self._audience.post(partial(self._publish, topic, data, exclude, retain))

    def offer(self, topic: str, data: str | bytes) -> None:
        """See ``Bus``."""
        self._publish(topic, data, None, True)

    def close_topic(self, topic: str, code: int, reason: str) -> None:
        """See ``Bus``."""
        self._audience.post(partial(self._audience.end_topic, topic, code, reason))

    def count(self, topic: str) -> int:
        """See ``Bus``."""
        return self._audience.count_here(topic)

    def others(self) -> dict[str, int]:
        """See ``Bus``: nobody."""
        return {}

    def keep(self, topic: str, count: int) -> None:
        """See ``Bus``."""
        self.history.keep(topic, count)

    def leads(self, due: float) -> bool:
        """See ``Bus``: always."""
        return True

    def _publish(self, topic: str, data: str | bytes, exclude: str | None, retain: bool) -> None:
        self._audience.deliver(self.history.record(topic, data, retain), exclude)
