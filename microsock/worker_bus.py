"""The bus of one worker of several: all that is published goes to the relay, and comes back in the relay's order.

Knows the relay only as a function that takes messages, and who follows what only as an ``Audience``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from . import envelope
from .bus import Audience
from .errors import Overloaded
from .history import History, Record
from .log import logger

__all__ = ["WorkerBus"]

# After how many seconds what found no room is said again.
_PATIENCE = 0.1
# Topics whose counts are told in one message.
_TOPICS = 256


class WorkerBus:
    """The bus of one worker of several; everything goes through the relay and comes back in the relay's order.

    Args:
        audience: the worker's site.
        send: queues a message for the relay; False, and it is not queued, where there is no room.
        birth: the relay's.
        epoch: see ``Bus``; the same time for all workers of a relay.

    Attributes:
        lost: messages of other threads that found no room. On the loop ``publish`` raises instead.
    """

    def __init__(self, audience: Audience, send: Callable[[bytes], bool], *, birth: str, epoch: float = 0.0) -> None:
        self.history = History(birth)
        self.epoch: float | None = epoch
        self.lost = 0
        self._audience = audience
        self._send = send
        self._known = 0  # the number of the last record that came
        self._asked = -1  # the last one that was named to the relay
        self._ready: list[Callable[[], None]] | None = []  # None once it is
        self._leads_since: float | None = None
        self._others: dict[str, int] = {}
        self._told: dict[str, int] = {}
        self._changed: dict[str, None] = {}
        self._handlers: dict[bytes, Callable[[bytes], None]] = {
            envelope.RECORD: self._recorded,
            envelope.HISTORY: self._remembered,
            envelope.MORE: self._ask_on,
            envelope.WELCOME: self._welcomed,
            envelope.CLOSE: self._closed,
            envelope.KEEP: self._kept,
            envelope.SUBSCRIBERS: self._counted,
            envelope.LEAD: self._lead,
        }

    def start(self) -> None:
        """See ``Bus``: asks the relay for what was published before."""
        self._audience.watch_counts(self._has_changed)
        self._ask()

    def when_ready(self, callback: Callable[[], None]) -> None:
        """See ``Bus``."""
        if self._ready is None:
            callback()
        else:
            self._ready.append(callback)

    def publish(self, topic: str, data: str | bytes, exclude: str | None, retain: bool) -> None:
        """See ``Bus``."""
        message = envelope.publish_message(topic, data, exclude, retain)
        self._say(envelope.checked_size(message))

    def offer(self, topic: str, data: str | bytes) -> None:
        """See ``Bus``."""
        try:
            self._insist(envelope.checked_size(envelope.offer_message(topic, data)))
        except ValueError as error:
            logger.error("what was published on %r before the app was served is lost: %s", topic, error)

    def close_topic(self, topic: str, code: int, reason: str) -> None:
        """See ``Bus``."""
        self._say(envelope.close_message(topic, code, reason))

    def count(self, topic: str) -> int:
        """See ``Bus``."""
        return self._audience.count_here(topic) + self._others.get(topic, 0)

    def others(self) -> dict[str, int]:
        """See ``Bus``."""
        return dict(self._others)

    def keep(self, topic: str, count: int) -> None:
        """See ``Bus``."""
        self.history.keep(topic, count)
        if count > 0:
            # Each time, since the relay too forgets the topic that was asked for longest ago.
            self._insist(envelope.keep_message(topic, count))

    def leads(self, due: float) -> bool:
        """See ``Bus``. What was due before this worker led was the earlier one's, so nothing happens twice."""
        return self._leads_since is not None and self._leads_since <= due

    def receive(self, message: bytes) -> None:
        """A message from the relay. Raises ``ValueError`` for what is none."""
        handler = self._handlers.get(message[:1])
        if handler is None:
            raise ValueError(f"no message of a relay: {message!r:.60}")
        handler(message)

    def _say(self, message: bytes) -> None:
        if not self._audience.on_loop():
            self._audience.post(partial(self._say_later, message))
        elif not self._send(message):
            raise Overloaded("what was published before still waits to be sent to the other workers")

    def _say_later(self, message: bytes) -> None:
        if not self._send(message):
            self.lost += 1
            logger.error("a message of another thread is lost: too much waits to be sent to the other workers")

    def _insist(self, message: bytes) -> None:
        if not self._send(message):
            self._audience.call_at(self._audience.now() + _PATIENCE, partial(self._insist, message))

    # What the relay says.

    def _recorded(self, message: bytes) -> None:
        self._advance(message)
        number, content = envelope.read_record(message)
        self._audience.deliver(self._record(number, content), content.exclude)

    def _remembered(self, message: bytes) -> None:
        self._advance(message)
        number, content = envelope.read_history(message)
        record = self._record(number, content)
        if content.retain:
            # For those who were quicker than the welcome.
            self._audience.deliver(record, None)

    def _advance(self, message: bytes) -> None:
        # Before anything else is read: what cannot be read must not be asked for again.
        number = envelope.number_of(message)
        if number <= self._known:
            raise ValueError(f"record {number} comes behind record {self._known}")
        self._known = number

    def _record(self, number: int, content: envelope.Content) -> Record:
        record = Record(content.topic, content.data, number)
        self.history.add(record, content.retain)
        return record

    def _ask_on(self, message: bytes) -> None:
        sent = envelope.read_more(message)
        # Where the relay does not say how far it has come, do not ask for the same page twice.
        self._known = max(self._known, self._asked + 1 if sent is None else sent)
        self._ask()

    def _ask(self) -> None:
        self._asked = self._known
        self._insist(envelope.join_message(self._known))

    def _welcomed(self, message: bytes) -> None:
        waiting, self._ready = self._ready or [], None
        for callback in waiting:
            callback()

    def _closed(self, message: bytes) -> None:
        self._audience.end_topic(*envelope.read_close(message))

    def _kept(self, message: bytes) -> None:
        self.history.keep(*envelope.read_keep(message))

    def _lead(self, message: bytes) -> None:
        if message not in (envelope.LEADS, envelope.LEADS_NOT):
            raise ValueError(f"no message of a relay: {message!r:.60}")
        self._leads_since = self._audience.now() if message == envelope.LEADS else None
        if self._leads_since is None:
            # The relay appoints nobody else before it hears this.
            self._insist(envelope.LEADS_NOT)

    # Who follows what: own changes are told once a turn.

    def _counted(self, message: bytes) -> None:
        for topic, count in envelope.read_subscribers(message):
            if count:
                self._others[topic] = count
            else:
                self._others.pop(topic, None)

    def _has_changed(self, topic: str) -> None:
        if not self._changed:
            self._audience.call_soon(self._tell)
        self._changed[topic] = None

    def _tell(self) -> None:
        counts = {topic: self._audience.count_here(topic) for topic in self._changed}
        news = [(topic, count) for topic, count in counts.items() if count != self._told.get(topic, 0)]
        for start in range(0, len(news), _TOPICS):
            piece = news[start : start + _TOPICS]
            if not self._send(envelope.subscribers_message(piece)):
                self._audience.call_at(self._audience.now() + _PATIENCE, self._tell)
                return
            self._note_told(piece)
        self._changed.clear()

    def _note_told(self, news: list[tuple[str, int]]) -> None:
        for topic, count in news:
            if count:
                self._told[topic] = count
            else:
                del self._told[topic]
