"""The parent's part of the bus: numbers what the workers publish, and gives every worker a copy in that order.

Knows a worker only as a number and a function that sends to it. What a worker or another host publishes is checked
here, once, and then kept and passed on as the bytes that came: retained values and history for workers that join later.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import partial

from . import envelope
from .follower_counts import FollowerCounts
from .history import History
from .joining import Joining
from .log import logger

__all__ = ["Relay"]

# Topics of which it is known what workers have offered; past it the one that was offered longest ago is forgotten.
_MAX_OFFERED = 1 << 16
# Topics whose counts are told in one message.
_TOPICS = 256


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
        self._counts = FollowerCounts()  # by worker, and by other host
        self._joining: dict[int, Joining] = {}
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

    def deliver(self, message: bytes) -> bool:
        """Give what another host has published or closed to every worker here.

        Gives False where a text in it is no UTF-8: no worker could read that, so none gets it. Raises ``ValueError``
        for what is no such message at all.
        """
        try:
            about = _checked(message)
        except UnicodeDecodeError:
            return False
        self._deliver(message, about)
        return True

    def has_retained(self, message: bytes) -> bool:
        """Whether what was published is its topic's retained value. Raises ``ValueError`` for another message."""
        about = _checked(message)
        record = None if about is None else self._history.retained(about[0])
        return record is not None and record.data == message[1:]

    # Workers come and go.

    def join(self, worker: int, known: int = 0) -> None:
        """Send a worker what it does not know yet, as far as that fits; the last piece makes it take part."""
        if worker in self._workers:
            return
        joining = self._joining.get(worker)
        if joining is None:
            send = partial(self._send, worker)
            joining = self._joining[worker] = Joining(worker, known, self._history, self._counts, send)
        has_all = joining.send_page()
        if worker not in self._joining:
            return  # it was given up meanwhile
        if has_all:
            del self._joining[worker]
            self._workers[worker] = None
            self._send(worker, envelope.WELCOME)
            self._appoint()
        else:
            self._send(worker, envelope.more_message(joining.known))

    def retire(self, worker: int) -> None:
        """A worker drains: it still gets everything, and leads no longer."""
        self._leaving.add(worker)
        if self._leader == worker:
            self._send(worker, envelope.LEADS_NOT)

    def leave(self, worker: int) -> None:
        """A worker has gone; what it led and counted goes with it. Idempotent."""
        self._workers.pop(worker, None)
        self._joining.pop(worker, None)
        for marks in (self._deaf, self._leaving):
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
        return self._counts.totals()

    def counts_here(self) -> dict[str, int]:
        """How many follow each topic in the workers of this host."""
        return self._counts.of_workers()

    @property
    def refused_counts(self) -> int:
        """How many counts were none, or found no room."""
        return self._counts.refused

    def elsewhere(self, host: str, counts: Mapping[str, int]) -> None:
        """All that another host has now, in place of what it said before; empty when it is gone."""
        self._replace(host, counts)

    def _replace(self, source: int | str, counts: Mapping[str, int]) -> None:
        self._tell_counts(source, self._counts.replace(source, counts))

    def _counted(self, worker: int, message: bytes) -> None:
        if worker in self._workers or worker in self._joining:
            self._tell_counts(worker, self._counts.change(worker, dict(envelope.read_subscribers(message))))

    def _tell_counts(self, source: int | str, topics: list[str]) -> None:
        for start in range(0, len(topics), _TOPICS):
            piece = topics[start : start + _TOPICS]
            for worker in (*self._workers, *self._joining):
                if worker != source:
                    self._send(worker, envelope.subscribers_message(self._counts.others_of(worker, piece)))

    # What workers say.

    def _send_out(self, worker: int, message: bytes) -> None:
        about = _checked(message)
        if self.outward is None or not self.outward(message):
            self._deliver(message, about)

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
        if message != envelope.LEADS_NOT:
            raise ValueError(f"no message of a worker's bus: {message!r:.60}")
        if self._leader == worker:
            self._leader = None
            self._appoint()

    def _appoint(self) -> None:
        fit = [worker for worker in self._workers if worker not in self._leaving and worker not in self._deaf]
        if self._leader is None and self._may_lead and fit:
            self._leader = fit[0]
            self._send(fit[0], envelope.LEADS)

    # What workers get.

    def _deliver(self, message: bytes, about: tuple[str, bool] | None) -> None:
        if about is not None:
            content = message[1:]
            number = self._history.record(about[0], content, about[1]).number
            message = envelope.record_message(number, content)
        self._send_all(message)

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


def _checked(message: bytes) -> tuple[str, bool] | None:
    """The topic of what is published and whether to retain it, None for a closing; ``ValueError`` for all else."""
    envelope.checked_size(message)
    if message[:1] == envelope.PUBLISH:
        return envelope.content_about(message[1:])
    if message[:1] != envelope.CLOSE:
        raise ValueError(f"neither published nor closed: {message!r:.60}")
    envelope.read_close(message)
    return None
