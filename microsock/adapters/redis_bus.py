"""The bus over several machines: a host's relay, and a bridge that carries what is published to Redis and back.

While Redis is there, everything goes through it, the own messages too: one order for all hosts. While it is away,
a message reaches the host it is published on, and that is counted and logged.
"""

from __future__ import annotations

import contextlib
import json
import logging
import secrets
import socket
import threading
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from ..bus import Audience
from ..log import logger
from ..relay import Relay
from ..worker_bus import WorkerBus
from .channel import Channel
from .limited_log import LimitedLog
from .redis_bridge import LONGEST_HOST, LONGEST_WORD, Bridge
from .redis_client import RedisPlace
from .untrusted import printable, read_object, text_in

if TYPE_CHECKING:
    from ..server.loop import Loop

__all__ = ["BridgeThread", "RedisLink", "SoloRedisBus"]

_ELSEWHERE = bytes(8)
_TELL_SECONDS = 0.25
_RESTART_SECONDS = 1.0
_LAST_SECONDS = 0.5
# Most bytes that may be on their way to Redis and back.
_MOST_ON_THE_WAY = 16 << 20
# A character of three bytes takes six where JSON is ASCII, as the bridge writes it.
_LONGEST_WORD = 3 * LONGEST_WORD
# Other hosts whose counts are kept; and what a count of missed messages may add.
_MOST_HOSTS = 1000
_MOST_MISSED = 1 << 63

Start = Callable[[socket.socket, RedisPlace, str, Callable[[], None]], object]


class RedisLink:
    """A relay's way to the other hosts. All calls are for the loop's thread.

    Args:
        relay: whose workers publish and are published to.
        loop: the relay's.
        place: which Redis.
        start: starts a bridge with its end of a socket, the place and the host's name; in another process, it first
            calls the function that comes last, which closes the link's own end there.

    Attributes:
        up: whether what is published reaches other hosts now.
        here_only: messages that may have reached this host alone.
        missed: messages of other hosts that did not arrive here.
    """

    def __init__(self, relay: Relay, loop: Loop, place: RedisPlace, start: Start) -> None:
        self.up = False
        self.here_only = self.missed = 0
        self._relay = relay
        self._loop = loop
        self._place = place
        self._start = start
        self._host = f"{relay.birth}{secrets.token_hex(4)}"
        self._was_up = self._closed = False
        self._away_since: float | None = None
        self._here_only_before = self._missed_told = 0
        self._on_the_way: dict[int, bytes] = {}
        self._bytes_on_the_way = 0
        self._sent = self._refused_told = 0
        self._told: dict[str, int] = {}
        self._hosts: set[str] = set()
        self._gaps = LimitedLog(loop, f"{place}: messages of other machines that did not arrive here", logging.WARNING)
        self._errors = LimitedLog(loop, f"{place}: what was not understood")
        self._hears: dict[bytes, Callable[[bytes], None]] = {
            b"u": self._is_up,
            b"d": self._is_down,
            b"m": self._came,
            b"t": self._is_retained,
            b"c": self._counted,
            b"l": self._leads,
            b"g": self._gap,
            b"x": self._refused,
        }
        relay.outward = self._outward
        relay.lead(False)  # until the others are heard
        self._channel = self._begin()
        self._tell_counts()

    def close(self) -> None:
        """Take leave of the other hosts."""
        self._closed = True
        self._errors.close()
        self._gaps.close()
        self._relay.outward = None
        self._channel.close()

    def forget(self) -> None:
        """Close this process's copies, right after a fork."""
        self._channel.forget()

    def _begin(self) -> Channel:
        mine, bridges = socket.socketpair()
        peer = f"what speaks to {self._place}"
        channel = Channel(mine, self._loop, received=self._received, closed=self._bridge_ended, peer=peer)
        self._start(bridges, self._place, self._host, channel.forget)
        return channel

    def _bridge_ended(self) -> None:
        self._is_down(b"what carries messages has ended")
        timers = self._loop.timers
        timers.call_at(timers.now() + _RESTART_SECONDS, self._begin_again)

    def _begin_again(self) -> None:
        if self._closed:
            return
        try:
            self._channel = self._begin()
            self._told = {}
        except OSError as error:  # no process or thread to be had
            self._bridge_ended()
            logger.error("%s: cannot begin again: %s", self._place, error)

    # To the other hosts.

    def _outward(self, message: bytes) -> bool:
        """Send a message on its way, from which it comes back; False if it cannot go."""
        # Before the first word of the bridge it waits to see whether Redis is there.
        away = self._away_since is not None
        if away or self._bytes_on_the_way + len(message) > _MOST_ON_THE_WAY:
            self.here_only += 1
            return False
        self._sent += 1
        if not self._channel.send(b"p" + self._sent.to_bytes(8, "big") + message):
            self.here_only += 1
            return False
        self._on_the_way[self._sent] = message
        self._bytes_on_the_way += len(message)
        return True

    def _tell_counts(self) -> None:
        if self._closed:
            return
        if refused := self._relay.refused_counts - self._refused_told:
            self._refused_told += refused
            self._errors.log("%s: %d counts of followers were refused", self._place, refused, count=refused)
        counts = _fitting(self._relay.counts_here())
        if counts != self._told and self._channel.send(b"c" + json.dumps(counts).encode()):
            self._told = counts
        self._loop.timers.call_at(self._loop.timers.now() + _TELL_SECONDS, self._tell_counts)

    # From the bridge.

    def _received(self, frame: bytes) -> None:
        hear = self._hears.get(frame[:1])
        if hear is None:
            raise ValueError(f"no frame of a bridge: {frame!r:.60}")
        hear(frame[1:])

    def _is_up(self, body: bytes) -> None:
        if self._away_since is not None:
            seconds = self._loop.timers.now() - self._away_since
            logger.warning(
                "%s is back after %.1f s; messages that may have reached this machine only: %d",
                self._place, seconds, self.here_only - self._here_only_before,
            )  # fmt: skip
        self._away_since = None
        self.up = self._was_up = True

    def _is_down(self, reason: bytes) -> None:
        if self._away_since is None:
            self._away_since = self._loop.timers.now()
            self._here_only_before = self.here_only
            logger.warning(
                "%s is away (%s); what is published reaches this machine only",
                self._place, printable(reason.decode(errors="replace"), 200),
            )  # fmt: skip
        self.up = False
        waiting, self._on_the_way = self._on_the_way, {}
        self._bytes_on_the_way = 0
        self.here_only += len(waiting)
        for message in waiting.values():
            self._deliver(message)
        for host in self._hosts:
            self._relay.elsewhere(host, {})
        self._hosts.clear()
        if not self._was_up:
            # Nobody to ask. Who led before leads on: without Redis no other host can have taken over.
            self._relay.lead(True)

    def _came(self, body: bytes) -> None:
        number, message = int.from_bytes(body[:8], "big"), body[8:]
        own = self._on_the_way.get(number)
        if body[:8] != _ELSEWHERE and own is None:
            return  # it was given up, and delivered here
        # Whoever can write to Redis can speak in our name; it takes nothing out of what is on its way.
        if own == message:
            del self._on_the_way[number]
            self._bytes_on_the_way -= len(own)
        self._deliver(message)

    def _deliver(self, message: bytes) -> None:
        try:
            if not self._relay.deliver(message):
                raise ValueError("a text in it is no UTF-8")
        except ValueError as error:
            self._errors.log("%s: a message is not understood: %s", self._place, printable(str(error)))

    def _is_retained(self, message: bytes) -> None:
        with contextlib.suppress(ValueError):  # told of when it is delivered
            if self._relay.has_retained(message):
                return
        self._deliver(message)

    def _counted(self, body: bytes) -> None:
        word = read_object(body, _LONGEST_WORD)
        host, said = text_in(word, "host"), word.get("counts")
        if not isinstance(said, dict) or len(host) > LONGEST_HOST:
            raise ValueError(f"no counts of a host: {body!r:.60}")
        if said and host not in self._hosts and len(self._hosts) >= _MOST_HOSTS:
            raise ValueError(f"counts of more than {_MOST_HOSTS} hosts")
        self._relay.elsewhere(host, said)
        (self._hosts.add if said else self._hosts.discard)(host)

    def _leads(self, body: bytes) -> None:
        self._relay.lead(body == b"1")

    def _gap(self, body: bytes) -> None:
        if not body.isdigit() or (count := int(body[:20])) > _MOST_MISSED:
            raise ValueError(f"no number of missed messages: {body!r:.60}")
        self.missed += count
        self._gaps.log("%s: messages of other machines that did not arrive here: %d", self._place, count, count=count)

    def _refused(self, reason: bytes) -> None:
        text = printable(reason.decode(errors="replace"))
        self._errors.log("%s: what another host says is not understood: %s", self._place, text)


def _fitting(counts: dict[str, int]) -> dict[str, int]:
    """As many counts as other hosts take in one word, those of the topics that most follow first."""
    # A character is six bytes of JSON at most for each byte that it has in UTF-8.
    room = LONGEST_WORD // 2
    if sum(map(len, counts)) * 12 + len(counts) * 16 <= room:
        return counts
    kept: dict[str, int] = {}
    for topic in sorted(counts, key=counts.__getitem__, reverse=True):
        room -= len(json.dumps(topic)) + 16
        if room < 0:
            break
        kept[topic] = counts[topic]
    return kept


class SoloRedisBus(WorkerBus):
    """The bus of a process that serves alone on its machine: a worker's, with the relay in the same process."""

    def __init__(self, audience: Audience, loop: Loop, place: RedisPlace) -> None:
        birth = secrets.token_hex(4)
        self._relay = Relay(birth, self._send_here)
        super().__init__(audience, self._say_to_relay, birth=birth)
        self._errors = LimitedLog(loop, "messages to and from the bus that were passed over")
        self._bridge = BridgeThread()
        self.link = RedisLink(self._relay, loop, place, self._bridge.start)
        self._loop = loop

    def close(self) -> None:
        """Take leave of the other hosts."""
        self.link.close()
        self._bridge.close()

    def _say_to_relay(self, message: bytes) -> bool:
        self._loop.call_soon(partial(self._take, partial(self._relay.receive, 1), message))
        return True

    def _send_here(self, worker: int, message: bytes) -> bool:
        self._loop.call_soon(partial(self._take, self.receive, message))
        return True

    def _take(self, receive: Callable[[bytes], None], message: bytes) -> None:
        try:
            receive(message)
        except ValueError as error:
            self._errors.log("a message to or from the bus is not understood: %s", printable(str(error)))


class BridgeThread:
    """Runs bridges in threads, one after the other."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None

    def start(self, end: socket.socket, place: RedisPlace, host: str, forget: Callable[[], None]) -> None:
        """As ``Start``."""
        bridge = Bridge(place, host)
        self._thread = threading.Thread(target=bridge.run, args=(end,), name="microsock-redis-bus", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Give it time to take leave of the other hosts, when its socket has been closed."""
        if self._thread is not None:
            self._thread.join(_LAST_SECONDS)
