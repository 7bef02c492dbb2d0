"""What several workers on one machine count and mark together: rate limits, and the clients that are connected.

Both are made before the workers are forked, in memory that these share.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from functools import partial

from ..clients import LONGEST_KEY, Client
from ..limits import Count, Verdict, charged
from ..rates import Rate
from ..request import Address
from .shared_table import SharedTable

__all__ = ["SharedClients", "SharedStore"]

_COUNT = struct.Struct("<dI")
_LONGEST_HOST = 46  # INET6_ADDRSTRLEN
# A process looks at the clock before it waits for the lock, so what another has written may be of a later time.
_SKEW_SECONDS = 60.0
# Since when; the key, and the address it came from.
_MARK = struct.Struct(f"<dHHH{LONGEST_KEY}s{_LONGEST_HOST}s")


class SharedStore:
    """A ``limits.Store``: one exact count over all processes that have inherited it.

    Past ``room`` counts, those that are over go, then those of the quietest clients.
    """

    prompt = True

    def __init__(self, room: int = 65_536, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._table = SharedTable(_COUNT.size, max(1, room // 8), 8, self._worth)

    @property
    def evicted(self) -> int:
        """As ``Store.evicted``, of this process."""
        return self._table.evicted

    def hit(self, key: bytes, rate: Rate, done: Callable[[Verdict], None] | None = None, cost: int = 1) -> Verdict:
        """As ``Store.hit``; the verdict comes at once."""
        verdicts: list[Verdict] = []
        self._table.change(key, partial(_charge, rate, cost, self._clock(), verdicts))
        return verdicts[0]

    def close(self) -> None:
        """Give the memory back."""
        self._table.close()

    def _worth(self, payload: bytes) -> float:
        ends, used = _COUNT.unpack(payload)
        return float(used) if ends > self._clock() else 0.0


def _charge(rate: Rate, cost: int, now: float, verdicts: list[Verdict], payload: bytes | None) -> bytes:
    known = None if payload is None else Count(*_COUNT.unpack(payload))
    # A window that ends much later than one that begins now was written by a process that has gone bad; so was one
    # without a number for its end.
    if known is not None and not known.ends <= now + rate.seconds + _SKEW_SECONDS:
        known = None
    count, verdict = charged(known, rate, cost, now)
    verdicts.append(verdict)
    return _COUNT.pack(*count)


class SharedClients:
    """A ``clients.ClientTable`` for all processes that have inherited it; past ``room`` the oldest marks go."""

    def __init__(self, room: int = 32_768, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._table = SharedTable(_MARK.size, max(1, room // 16), 16, _since)

    def add(self, client: Client, dropped: Callable[[Client], object] | None = None) -> bool:
        """As ``ClientTable.add``."""
        known: list[bool] = []
        fallen = self._table.change(_key(client.key), partial(_mark, client, self._clock(), known))
        if fallen is not None and dropped is not None:
            dropped(_client(fallen))
        return not known[0]

    def remove(self, key: str) -> Client | None:
        """As ``ClientTable.remove``."""
        removed: list[Client] = []
        self._table.change(_key(key), partial(_unmark, removed))
        return removed[0] if removed else None

    def __contains__(self, key: str) -> bool:
        return self._table.read(_key(key)) is not None

    def all(self) -> list[Client]:
        """As ``ClientTable.all``, the oldest first."""
        return [_client(payload) for payload in sorted(self._table.payloads(), key=_since)]

    def close(self) -> None:
        """Give the memory back."""
        self._table.close()


def _key(key: str) -> bytes:
    return key.encode(errors="surrogatepass")


def _mark(client: Client, now: float, known: list[bool], payload: bytes | None) -> bytes:
    known.append(payload is not None)
    key, host = _key(client.key), client.address.host.encode(errors="surrogatepass")[:_LONGEST_HOST]
    return _MARK.pack(now, client.address.port & 0xFFFF, len(key), len(host), key, host)


def _unmark(removed: list[Client], payload: bytes | None) -> None:
    if payload is not None:
        removed.append(_client(payload))


def _client(payload: bytes) -> Client:
    _, port, key_size, host_size, key, host = _MARK.unpack(payload)
    address = Address(host[:host_size].decode(errors="replace"), port)
    return Client(_text(key[:key_size]), address)


def _text(key: bytes) -> str:
    # As `_key` wrote it, unless a process that has gone bad has written there.
    try:
        return key.decode(errors="surrogatepass")
    except UnicodeDecodeError:
        return key.decode(errors="replace")


def _since(payload: bytes) -> float:
    since: float = _MARK.unpack_from(payload)[0]
    return since
