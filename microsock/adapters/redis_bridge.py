"""Between one host's relay and Redis: carries what is published there and back, and the hosts' word of each other.

Runs where waiting does no harm: in a process beside preforked workers, in a thread beside a server that is alone. To
its owner it speaks over a stream socket, in frames as ``adapters.channel`` has them; a frame's first byte says what:

    p  publish   id (8 bytes), message    from the owner; comes back as m when it has its place in the order of all
    c  counts    JSON                     both ways: how many follow what; of another host {"host": …, "counts": …}
    u  up        –                        to the owner: from here on, p goes out
    d  down      why                      to the owner: what has not come back will not
    m  message   id, message              to the owner: published, by whomever; id 0: by another host
    t  retained  message                  to the owner, at the beginning: a topic's value
    l  lead      0 or 1                   to the owner: whether this host runs what one of all hosts runs
    g  gap       count                    to the owner: messages of other hosts that did not arrive
    x  refused   why                      to the owner: what another host says of itself is not understood

Whoever can write to Redis can say anything there. What comes from it is checked here for its form and its length, and
its content by the owner. Messages are bytes that nobody here looks into but to see whether they are retained; nothing
is ever unpickled.
"""

from __future__ import annotations

import json
import select
import socket
import time
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from .. import envelope
from .channel import framed
from .redis_client import RedisPlace, connect, why
from .untrusted import read_object

if TYPE_CHECKING:
    from redis import Redis
    from redis.client import PubSub

__all__ = ["LONGEST_HOST", "LONGEST_WORD", "Bridge"]

LONGEST_HOST = 64
LONGEST_WORD = 4 << 20
"""What a host's name may have, and what it says of itself, in bytes of JSON."""
_MOST_HOSTS = 1000
_LONGEST_REASON = 500
_TIMEOUT_SECONDS = 2.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
_BEAT_SECONDS = 1.0
# A host that has not been heard of for so long is gone; a subscription that is silent for so long is broken.
_SILENCE_SECONDS = 5.0
_LEASE_MILLISECONDS = 10_000
# What Redis keeps of retained values: so many topics, none of them longer than this.
_MAX_RETAINED, _MAX_RETAINED_BYTES = 4096, 64 << 10
_READ_BYTES = 256 << 10
_LONGEST_FRAME = 16 << 20
# A connection that has stood for so long was a good one; the next may come at once.
_STEADY_SECONDS = 5.0
_MOST_DIGITS = 19

# A key of ours that holds something else, or a number at its end, is made anew: else nothing would go out any more.
# Numbers of over 14 digits would be written with an exponent.
_PUBLISH = """
local number = redis.pcall('INCR', KEYS[1])
if type(number) == 'table' then
  redis.call('DEL', KEYS[1])
  number = redis.call('INCR', KEYS[1])
end
redis.call('PUBLISH', KEYS[2], string.format('%.0f', number) .. ':' .. ARGV[1])
if ARGV[2] ~= '' then
  local new = redis.pcall('HSET', KEYS[3], ARGV[2], ARGV[3])
  if type(new) == 'table' then
    redis.call('DEL', KEYS[3])
    new = redis.call('HSET', KEYS[3], ARGV[2], ARGV[3])
  end
  if new == 1 and redis.call('HLEN', KEYS[3]) > tonumber(ARGV[4]) then
    redis.call('HDEL', KEYS[3], redis.call('HRANDFIELD', KEYS[3]))
  end
end
return number
"""
_LEASE = """
local holder = redis.pcall('GET', KEYS[1])
if type(holder) == 'string' and holder ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
_RELEASE = """
if redis.pcall('GET', KEYS[1]) == ARGV[1] then
  redis.call('DEL', KEYS[1])
end
"""


class Bridge:
    """One host's, from its first connection to the owner's end.

    Args:
        place: which Redis.
        birth: what tells this host from others; letters and digits.
    """

    def __init__(self, place: RedisPlace, birth: str) -> None:
        self._place = place
        self._birth = birth
        self._names = {name: f"{place.prefix}:{name}" for name in ("messages", "number", "retained", "hosts", "leader")}
        self._incoming = bytearray()
        self._counts: dict[str, int] = {}
        self._told_counts: dict[str, int] | None = None
        self._number: int | None = None
        self._leads: bool | None = None
        self._hosts: dict[str, float] = {}
        self._heard = self._began = 0.0

    def run(self, owner: socket.socket) -> None:
        """Carry until the owner closes its end."""
        self._owner = owner
        pause = _FIRST_PAUSE
        try:
            while True:
                with connect(self._place, _TIMEOUT_SECONDS) as client:
                    try:
                        self._carry(client)
                    except EOFError:
                        self._say_goodbye(client)
                        return
                    except Exception as error:
                        steady = self._heard and time.monotonic() - self._began > _STEADY_SECONDS
                        pause = _FIRST_PAUSE if steady else min(_LONGEST_PAUSE, pause * 2)
                        self._tell(b"d", why(error).encode())
                self._pause(pause)
        except (EOFError, OSError):
            return  # the owner has gone
        finally:
            owner.close()

    def _pause(self, seconds: float) -> None:
        # What comes meanwhile has been given up by the owner, but for the counts.
        self._heard = 0.0
        self._hosts.clear()
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if select.select([self._owner], [], [], left)[0]:
                self._from_owner()

    def _carry(self, client: Redis) -> None:
        with client.pubsub() as pubsub:  # type: ignore[no-untyped-call]
            self._begin(client, pubsub)
            source = pubsub.connection._sock
            beat_due = 0.0
            while True:
                if (now := time.monotonic()) >= beat_due:
                    self._beat(client, now)
                    beat_due = now + _BEAT_SECONDS
                ready, _, _ = select.select([self._owner, source], [], [], beat_due - now)
                if self._owner in ready:
                    self._publish(client, self._from_owner())
                if source in ready:
                    self._from_redis(pubsub)

    def _begin(self, client: Redis, pubsub: PubSub) -> None:
        pubsub.subscribe(self._names["messages"], self._names["hosts"])
        for _ in range(2):
            if pubsub.get_message(timeout=_TIMEOUT_SECONDS) is None:
                raise TimeoutError("no answer to SUBSCRIBE")
        self._heard = self._began = time.monotonic()
        self._told_counts = self._leads = None
        self._tell_retained(client)
        self._tell(b"u")
        client.publish(self._names["hosts"], json.dumps({"host": self._birth, "asks": True}))

    def _tell_retained(self, client: Redis) -> None:
        name = self._names["retained"]
        if client.type(name) != b"hash":
            return  # there is none, or somebody else's; the next retained value makes it anew
        # A piece at a time: somebody else may have made it larger than we would.
        pieces: Iterator[tuple[bytes, bytes]] = client.hscan_iter(name, count=100)
        for _, message in islice(pieces, _MAX_RETAINED):
            if isinstance(message, bytes) and len(message) <= _MAX_RETAINED_BYTES:
                self._tell(b"t", message)

    def _say_goodbye(self, client: Redis) -> None:
        try:
            client.eval(_RELEASE, 1, self._names["leader"], self._birth)
            client.publish(self._names["hosts"], json.dumps({"host": self._birth, "counts": {}, "ends": True}))
        except Exception:
            return  # the others will notice

    # From the owner to Redis.

    def _from_owner(self) -> list[bytes]:
        # What is to be published, id in front. The end of the stream is an EOFError.
        try:
            data = self._owner.recv(_READ_BYTES)
        except ConnectionError:  # it went before it had read all that we told it
            data = b""
        if not data:
            raise EOFError
        self._incoming += data
        found, start, buffer = [], 0, self._incoming
        while len(buffer) - start >= 4:
            size = int.from_bytes(buffer[start : start + 4], "big")
            if size > _LONGEST_FRAME:
                raise EOFError
            end = start + 4 + size
            if len(buffer) < end:
                break
            frame = bytes(buffer[start + 4 : end])
            start = end
            if frame[:1] == b"p":
                found.append(frame[1:])
            elif frame[:1] == b"c":
                self._counts = json.loads(frame[1:])
        del buffer[:start]
        return found

    def _publish(self, client: Redis, messages: list[bytes]) -> None:
        if not messages:
            self._tell_counts(client)
            return
        names = [self._names[name] for name in ("number", "messages", "retained")]
        pipeline = client.pipeline(transaction=False)
        for each in messages:
            number, message = each[:8], each[8:]
            topic = _retained_topic(message)
            line = b":".join((self._birth.encode(), number.hex().encode(), message))
            retained = (topic, message) if topic is not None else (b"", b"")
            pipeline.eval(_PUBLISH, 3, *names, line, *retained, _MAX_RETAINED)
        pipeline.execute()

    # From Redis to the owner.

    def _from_redis(self, pubsub: PubSub) -> None:
        # Once some of a message is here the rest may take its time: redis-py gives up the connection, and what it has
        # read of a large one, where that is not here within the timeout that it is given.
        connection: Any = pubsub.connection
        while connection.can_read(timeout=0):
            found = pubsub.get_message(timeout=_TIMEOUT_SECONDS)
            self._heard = time.monotonic()
            if found is None:
                return
            if found["type"] != "message":
                continue
            if found["channel"].endswith(b":hosts"):
                try:
                    self._host_said(found["data"])
                except ValueError as error:
                    self._tell(b"x", str(error).encode(errors="replace")[:_LONGEST_REASON])
            else:
                self._published(found["data"])

    def _published(self, data: bytes) -> None:
        try:
            number, origin, own, message = data.split(b":", 3)
            place, mine = _place(number), origin.decode() == self._birth
            own = bytes.fromhex(own.decode()) if mine else bytes(8)
            envelope.checked_size(message)
            if len(own) != len(bytes(8)):
                raise ValueError("a number of another length")
        except ValueError:  # somebody else's, and no reason to connect anew
            self._tell(b"g", b"1")
            return
        before, self._number = self._number, place
        if before is not None and place > before + 1:
            self._tell(b"g", str(place - before - 1).encode())
        self._tell(b"m", own + message)

    # The hosts' word of each other.

    def _beat(self, client: Redis, now: float) -> None:
        if now - self._heard > _SILENCE_SECONDS:
            raise TimeoutError("the subscription is silent")
        answer = client.eval(_LEASE, 1, self._names["leader"], self._birth, _LEASE_MILLISECONDS)
        if answer not in (0, 1) or not isinstance(answer, int):
            raise ValueError(f"the answer {answer!r:.60} is not that of the script")
        leads = bool(answer)
        if leads != self._leads:
            self._leads = leads
            self._tell(b"l", b"1" if leads else b"0")
        if not self._tell_counts(client):
            client.publish(self._names["hosts"], json.dumps({"host": self._birth}))
        for host in [host for host, heard in self._hosts.items() if now - heard > _SILENCE_SECONDS]:
            self._forget(host)

    def _tell_counts(self, client: Redis) -> bool:
        if self._counts == self._told_counts:
            return False
        client.publish(self._names["hosts"], json.dumps({"host": self._birth, "counts": self._counts}))
        self._told_counts = self._counts
        return True

    def _host_said(self, data: bytes) -> None:
        word = read_object(data, LONGEST_WORD)
        host = word.get("host")
        if not isinstance(host, str) or not 0 < len(host) <= LONGEST_HOST:
            raise ValueError(f"no host says {data!r:.60}")
        if host == self._birth:
            return
        if host not in self._hosts and len(self._hosts) >= _MOST_HOSTS:
            raise ValueError(f"more than {_MOST_HOSTS} hosts")
        if word.get("asks") or host not in self._hosts:
            self._told_counts = None  # the next beat says it
        self._hosts[host] = time.monotonic()
        if "counts" in word:
            self._tell(b"c", json.dumps({"host": host, "counts": word["counts"]}).encode())
        if word.get("ends"):
            self._forget(host)

    def _forget(self, host: str) -> None:
        self._hosts.pop(host, None)
        self._tell(b"c", json.dumps({"host": host, "counts": {}}).encode())

    def _tell(self, kind: bytes, body: bytes = b"") -> None:
        try:
            self._owner.sendall(framed(kind + body))
        except OSError as error:
            raise EOFError from error


def _place(number: bytes) -> int:
    if not number.isdigit() or len(number) > _MOST_DIGITS:
        raise ValueError(f"no number: {number!r:.60}")
    return int(number)


def _retained_topic(message: bytes) -> bytes | None:
    if message[:1] != envelope.PUBLISH or len(message) > _MAX_RETAINED_BYTES:
        return None
    topic, retain = envelope.content_about(message[1:])
    return topic.encode(errors="surrogatepass") if retain else None
