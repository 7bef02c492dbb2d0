"""Rate limits: how requests are counted, who is counted, and what the answer says about it.

A count is a fixed window that begins at a client's first request. Where the counts are kept is a ``Store``: one in
this process is here, those that several workers or machines share are on the floors above. Knows no clock.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterable
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Protocol

from .errors import SetupError
from .networks import client_network
from .rates import Rate, parse_rate
from .request import Address
from .signatures import check_call
from .startup import NamedTuple

if TYPE_CHECKING:
    from .request import Request

__all__ = [
    "Allowance",
    "Count",
    "Limit",
    "MemoryStore",
    "Store",
    "Verdict",
    "charged",
    "checked_limit",
    "client_of",
    "limit_lines",
]

_LONGEST_KEY = 64
# How often eight counts are looked at for one that would not be missed.
_LOOKS = 8


class Verdict(NamedTuple):
    """What a store says to a request.

    Attributes:
        allowed: whether it is within the rate.
        remaining: how many more there may be in this window.
        reset_seconds: until the window is over.
        away: nothing could be counted, and the request is refused for that: 503, not 429.
    """

    allowed: bool
    remaining: int
    reset_seconds: float
    away: bool = False


class Store(Protocol):
    """Where requests are counted. Called on the loop alone.

    Attributes:
        prompt: whether ``hit`` gives its verdict always at once.
    """

    @property
    def prompt(self) -> bool: ...
    @property
    def evicted(self) -> int:
        """Counts that were lost since there was no room for them; their clients began anew."""
        ...

    def hit(
        self, key: bytes, rate: Rate, done: Callable[[Verdict], None] | None = None, cost: int = 1
    ) -> Verdict | None:
        """Count a request, and tell whether it is within the rate; one that is refused is not counted.

        Args:
            key: who makes it, and against which limit; any length.
            rate: what that limit is.
            done: gets the verdict, once, on the loop and in a later turn, where None comes back. Left out, a verdict
                comes back.
            cost: what the request counts for.

        A store that cannot count says what its owner wants then; it does not raise.
        """
        ...


class Count(NamedTuple):
    """One client's window: when it ends, and what was counted in it so far."""

    ends: float
    used: int


def charged(count: Count | None, rate: Rate, cost: int, now: float) -> tuple[Count, Verdict]:
    """A client's window after one more request, and the verdict on that. None, or a window that is over: a new one."""
    ends, used = count if count is not None and now < count.ends else (now + rate.seconds, 0)
    allowed = used + cost <= rate.limit
    if allowed:
        used += cost
    return Count(ends, used), Verdict(allowed, max(0, rate.limit - used), ends - now)


class MemoryStore:
    """Counts in this process.

    Args:
        now: the clock, in seconds.
        room: the most counts; past it one of the quietest of the oldest clients goes, where most have the same window.
    """

    prompt = True

    def __init__(self, now: Callable[[], float], room: int = 65_536) -> None:
        self.evicted = 0
        self._now = now
        self._room = room
        # By the length of their windows: so those that began first are also over first.
        self._windows: dict[float, OrderedDict[bytes, Count]] = {}

    def hit(self, key: bytes, rate: Rate, done: Callable[[Verdict], None] | None = None, cost: int = 1) -> Verdict:
        """As ``Store.hit``; the verdict comes at once."""
        if len(key) > _LONGEST_KEY:
            from hashlib import blake2b  # the gate has loaded it, and with it OpenSSL

            key = blake2b(key, digest_size=32).digest()
        now = self._now()
        counts = self._windows.get(rate.seconds)
        if counts is None:
            counts = self._windows[rate.seconds] = OrderedDict()
        old = counts.get(key)
        if old is None or old.ends <= now:
            # A window that begins goes to the end.
            counts.pop(key, None)
            self._make_room(counts, now)
        count, verdict = charged(old, rate, cost, now)
        counts[key] = count
        return verdict

    def _make_room(self, counts: OrderedDict[bytes, Count], now: float) -> None:
        # Two that are over go for one that comes.
        for known in [known for known, count in islice(counts.items(), 2) if count.ends <= now]:
            del counts[known]
        if len(self) >= self._room:
            self._drop_one(max(self._windows.values(), key=len), now)

    def _drop_one(self, crowd: OrderedDict[bytes, Count], now: float) -> None:
        # Whoever has used up most is kept: a crowd of strangers must not clear the record of one who floods.
        for _ in range(_LOOKS):
            oldest = list(islice(crowd.items(), 8))
            key, count = min(oldest, key=lambda item: item[1].used if item[1].ends > now else 0)
            if count.used <= 1 or count.ends <= now:
                break
            for known, _count in oldest:
                crowd.move_to_end(known)
        del crowd[key]
        self.evicted += count.ends > now

    def __len__(self) -> int:
        return sum(map(len, self._windows.values()))


class Allowance:
    """What one connection may still do in its window; for messages and control frames."""

    __slots__ = ("_count", "_rate")

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._count: Count | None = None

    def spend(self, now: float) -> bool:
        """Count one; whether it was within the rate."""
        self._count, verdict = charged(self._count, self._rate, 1, now)
        return verdict.allowed


class Limit(NamedTuple):
    """A rate for one route, and what tells its clients apart; None: their addresses."""

    rate: Rate
    key: Callable[[Request], str] | None = None


def checked_limit(rate: object, key: Callable[[Request], str] | None) -> Limit:
    """A limit as ``@app.limit`` takes it. Raises ``SetupError`` for what is no rate or no key function."""
    try:
        limit = Limit(parse_rate(rate), key)
    except ValueError as error:
        raise SetupError(str(error)) from None
    if key is not None:
        check_call(key, ("request",), (), "key of @app.limit")
    return limit


def client_of(address: Address) -> str:
    """Who is counted as one: an IPv4 address, the /64 network of an IPv6 address, all peers of a Unix socket."""
    return client_network(address.host)


def limit_lines(verdicts: Iterable[tuple[str, Rate, Verdict]]) -> list[tuple[str, str]]:
    """The header lines that tell of limits, by name (draft-ietf-httpapi-ratelimit-headers-10, sections 3 and 4)."""
    standings, policies = [], []
    for name, rate, (_, remaining, seconds, _) in verdicts:
        policies.append(_policy(name, rate))
        standings.append(f'"{name}";r={remaining};t={math.ceil(seconds)}')
    return [("RateLimit-Policy", ", ".join(policies)), ("RateLimit", ", ".join(standings))]


@lru_cache(256)
def _policy(name: str, rate: Rate) -> str:
    return f'"{name}";q={rate.limit};w={max(1, math.ceil(rate.seconds))}'
