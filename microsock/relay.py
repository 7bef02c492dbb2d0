"""The parent's part of the bus: numbers what the workers publish, and gives every worker a copy in that order.

Knows a worker only as a number and a function that sends to it; never looks into a payload. What is retained and the
history are kept as the bytes that came, for workers that join later.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping

from . import envelope
from .history import History, Record
from .log import logger

__all__ = ["Relay"]

# What one answer to a worker that joins holds, in bytes; the whole history would not fit into its queue.
_WELCOME_BYTES = 1 << 20
# Topics of which it is known what workers have offered; past it the one that was offered longest ago is forgotten.
_MAX_OFFERED = 1 << 16


class Relay:
    """Between the workers of one host.

    A worker joins by what its own bus says (``WorkerBus.start``), so nothing is sent to one that is not ready to read;
    whoever runs it hands over each message to ``receive`` and says ``leave`` when it has gone. A worker's number is
    any that no other living one has.

    Args:
        birth: what tells this life of the bus from earlier ones, in every event id: letters and digits.
        send: queues a message for a worker; False, and it is not queued, where too much waits already.
        overrun: told of a worker for which that was so: it has missed something, gets nothing any more, and is to be
            replaced. May call ``leave``.
        outward: takes what a worker publishes or closes to other hosts, as a message. True: it will come back by
            ``deliver``, in the order of all hosts; False: it cannot now, and this host gets it at once.

    Attributes:
        lost: messages that workers did not get.
    """

    def __init__(
        self,
        birth: str,
        send: Callable[[int, bytes], bool],
        *,
        overrun: Callable[[int], None] | None = None,
        outward: Callable[[bytes], bool] | None = None,
    ) -> None:
        self.birth = birth
        self.lost = 0
        self.outward = outward
        self._send_to = send
        self._overrun = overrun
        self._history = History(birth)
        self._workers: dict[int, None] = {}  # those that have joined, longest first
        self._deaf: set[int] = set()
        self._offered: OrderedDict[str, int] = OrderedDict()  # by topic, the hash of what was offered last
        self._counts: dict[int | str, dict[str, int]] = {}  # by worker, and by other host
        self._totals: dict[str, int] = {}
        self._joining: set[int] = set()
        self._leader: int | None = None
        self._leaving: set[int] = set()
        self._may_lead = True
        self._handlers: dict[bytes, Callable[[int, bytes], None]] = {
            envelope.PUBLISH: self._send_out,
            envelope.OFFER: self._take_offer,
            envelope.CLOSE: self._send_out,
            envelope.JOIN: self._ask_to_join,
            envelope.KEEP: self._keep,
            envelope.SUBSCRIBERS: self._counted,
            envelope.LEAD: self._leads_not,
        }

    def receive(self, worker: int, message: bytes) -> None:
        """A message from a worker's bus. Raises ``ValueError`` for what is none."""
        handler = self._handlers.get(message[:1])
        if handler is None:
            raise ValueError(f"no message of a worker's bus: {message!r:.60}")
        handler(worker, message)

    def publish(self, topic: str, data: str | bytes, retain: bool = False) -> None:
        """Publish from outside any worker. Raises ``ValueError`` for what is too large."""
        self._send_out(0, envelope.publish_message(topic, data, None, retain))

    def close_topic(self, topic: str, code: int, reason: str) -> None:
        """End all who follow a topic, from outside any worker."""
        self._send_out(0, envelope.close_message(topic, code, reason))

    def deliver(self, message: bytes) -> None:
        """Give what was published or closed to every worker here. Raises ``ValueError`` for what is no such message."""
        envelope.checked_size(message)
        if message[:1] == envelope.PUBLISH:
            content = message[1:]
            topic, retain = envelope.content_about(content)
            message = envelope.record_message(self._history.record(topic, content, retain).number, content)
        elif message[:1] == envelope.CLOSE:
            envelope.read_close(message)
        else:
            raise ValueError(f"nothing to deliver: {message!r:.60}")
        self._send_all(message)

    def has_retained(self, message: bytes) -> bool:
        """Whether what was published is its topic's retained value. Raises ``ValueError`` for another message."""
        content = message[1:]
        record = self._history.retained(envelope.content_about(content)[0])
        return record is not None and record.data == content

    # Workers come and go.

    def join(self, worker: int, known: int = 0) -> None:
        """Send a worker what it does not know yet, as far as that fits; the last piece makes it take part."""
        if worker in self._workers:
            return
        if worker not in self._joining:
            self._joining.add(worker)
            for topic, count in self._history.wanted():
                self._send(worker, envelope.keep_message(topic, count))
        if self._send_history(worker, known):
            self._joining.discard(worker)
            self._workers[worker] = None
            self._send(worker, envelope.subscribers_message(self._others_of(worker, self._totals)))
            self._send(worker, envelope.WELCOME)
            self._appoint()
        else:
            self._send(worker, envelope.MORE)

    def retire(self, worker: int) -> None:
        """A worker drains: it still gets everything, and leads no longer."""
        self._leaving.add(worker)
        if self._leader == worker:
            self._send(worker, envelope.LEADS_NOT)

    def leave(self, worker: int) -> None:
        """A worker has gone; what it led and counted goes with it. Idempotent."""
        self._workers.pop(worker, None)
        for marks in (self._joining, self._deaf, self._leaving):
            marks.discard(worker)
        self._replace(worker, {})
        if self._leader == worker:
            self._leader = None
            self._appoint()

    @property
    def leader(self) -> int | None:
        """The worker that runs what one of all runs."""
        return self._leader

    def lead(self, allowed: bool) -> None:
        """Say whether a worker of this host leads; of several hosts one does."""
        self._may_lead = allowed
        if allowed:
            self._appoint()
        elif self._leader is not None:
            self._send(self._leader, envelope.LEADS_NOT)

    # Who follows what.

    def counts(self) -> dict[str, int]:
        """How many follow each topic, in all workers and as other hosts have said."""
        return dict(self._totals)

    def counts_here(self) -> dict[str, int]:
        """How many follow each topic in the workers of this host."""
        here: dict[str, int] = {}
        for source, counts in self._counts.items():
            if isinstance(source, int):
                for topic, count in counts.items():
                    here[topic] = here.get(topic, 0) + count
        return here

    def elsewhere(self, host: str, counts: Mapping[str, int]) -> None:
        """All that another host has now, in place of what it said before; empty when it is gone."""
        self._replace(host, counts)

    def _replace(self, source: int | str, counts: Mapping[str, int]) -> None:
        before = self._counts.get(source, {})
        self._count(source, {topic: counts.get(topic, 0) for topic in {**before, **counts}})
        if not counts:
            del self._counts[source]

    def _counted(self, worker: int, message: bytes) -> None:
        if worker in self._workers or worker in self._joining:
            self._count(worker, dict(envelope.read_subscribers(message)))

    def _count(self, source: int | str, news: Mapping[str, int]) -> None:
        counts = self._counts.setdefault(source, {})
        for topic, count in news.items():
            total = self._totals.get(topic, 0) + count - counts.get(topic, 0)
            _put(counts, topic, count)
            _put(self._totals, topic, total)
        for worker in tuple(self._workers):
            if worker != source and news:
                self._send(worker, envelope.subscribers_message(self._others_of(worker, news)))

    def _others_of(self, worker: int, topics: Mapping[str, int]) -> list[tuple[str, int]]:
        own = self._counts.get(worker, {})
        return [(topic, self._totals.get(topic, 0) - own.get(topic, 0)) for topic in topics]

    # What workers say.

    def _send_out(self, worker: int, message: bytes) -> None:
        if self.outward is None or not self.outward(message):
            self.deliver(message)

    def _take_offer(self, worker: int, message: bytes) -> None:
        # All workers offer the same, and so does one that is started in place of another: by then it may be out of
        # date. What differs is of new code.
        content = message[1:]
        topic, _ = envelope.content_about(content)
        if self._offered.get(topic) == hash(content):
            return
        self._offered[topic] = hash(content)
        self._offered.move_to_end(topic)
        if len(self._offered) > _MAX_OFFERED:
            self._offered.popitem(last=False)
        self._send_out(worker, envelope.PUBLISH + content)

    def _ask_to_join(self, worker: int, message: bytes) -> None:
        self.join(worker, envelope.read_join(message))

    def _keep(self, worker: int, message: bytes) -> None:
        if self._history.keep(*envelope.read_keep(message)):
            for other in (*self._workers, *self._joining):
                self._send(other, message)

    def _leads_not(self, worker: int, message: bytes) -> None:
        if self._leader == worker:
            self._leader = None
            self._appoint()

    def _appoint(self) -> None:
        fit = [worker for worker in self._workers if worker not in self._leaving and worker not in self._deaf]
        if self._leader is None and self._may_lead and fit:
            self._leader = fit[0]
            self._send(fit[0], envelope.LEADS)

    # What workers get.

    def _send_history(self, worker: int, known: int) -> bool:
        # Whether that was all.
        room = _WELCOME_BYTES
        for record, is_retained in self._history.since(known):
            if room <= 0:
                return False
            self._send(worker, envelope.history_message(record.number, is_retained, _content(record)))
            room -= record.size
        return True

    def _send_all(self, message: bytes) -> None:
        for worker in tuple(self._workers):
            self._send(worker, message)

    def _send(self, worker: int, message: bytes) -> None:
        if worker not in self._deaf and self._send_to(worker, message):
            return
        self.lost += 1
        if worker not in self._deaf:
            self._deaf.add(worker)
            logger.error("worker %d is too far behind to take what is published; it is to be replaced", worker)
            if self._overrun is not None:
                self._overrun(worker)


def _content(record: Record) -> bytes:
    assert isinstance(record.data, bytes)
    return record.data


def _put(counts: dict[str, int], topic: str, count: int) -> None:
    # Only what is there, or topics named after users would pile up.
    if count:
        counts[topic] = count
    else:
        counts.pop(topic, None)
