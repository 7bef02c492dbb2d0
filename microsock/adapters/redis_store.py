"""Rate limits of several machines: one exact count in Redis, and what holds while that is away.

A thread asks Redis, for all requests that wait at a time in one go; the loop never does. The windows run on the
clock of Redis, so that the machines' own need not agree.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from hashlib import blake2b, sha1
from typing import TYPE_CHECKING, Any, NamedTuple

from ..limits import Store, Verdict
from ..log import logger
from ..rates import Rate
from .redis_client import RedisPlace, connect, why

if TYPE_CHECKING:
    from redis import Redis

__all__ = ["RedisStore"]

# As ``limits.charged``: a window begins at its first request, and what is refused is not counted. Where the key holds
# what is no count, or holds it for ever, a window begins too.
_SCRIPT = b"""
local used = tonumber(redis.pcall('GET', KEYS[1]) or '0')
local left = redis.call('PTTL', KEYS[1])
local limit, window, cost = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local fresh = left <= 0 or not used or used < 0 or used % 1 ~= 0
if fresh then
  used, left = 0, window
end
if used + cost > limit then
  return {0, math.max(0, limit - used), left}
end
if fresh then
  redis.call('SET', KEYS[1], cost, 'PX', window)
else
  redis.call('INCRBY', KEYS[1], cost)
end
return {1, limit - used - cost, left}
"""
_SHA = sha1(_SCRIPT, usedforsecurity=False).hexdigest()
# A request waits no longer for its verdict.
_TIMEOUT_SECONDS = 0.5
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
_BATCH = 500
# Counts nothing, and is written all the same: a Redis that is full or a replica answers, and cannot count.
_PROBE = (b"probe", Rate(1, 1.0), 0)


class _Hit(NamedTuple):
    key: bytes
    rate: Rate
    cost: int
    done: Callable[[Verdict], None]


class RedisStore:
    """A ``limits.Store`` in Redis.

    Args:
        place: which one.
        fallback: what holds while it is away: ``local`` counts in ``local``, ``open`` lets all through, ``closed``
            refuses.
        local: counts on this machine.
        deliver: has something called on the loop; from any thread, and never refuses.

    Attributes:
        fallbacks: verdicts that were given without Redis.
    """

    prompt = False

    def __init__(
        self, place: RedisPlace, fallback: str, local: Store, deliver: Callable[[Callable[[], None]], None]
    ) -> None:
        self.fallbacks = 0
        self._place = place
        self._fallback = fallback
        self._local = local
        self._deliver = deliver
        self._changed = threading.Condition()
        # Guarded by it.
        self._waiting: deque[_Hit] = deque()
        self._thread: threading.Thread | None = None
        self._up = True  # until it is known to be away
        self._stopped = False
        # The thread's own.
        self._pause = _FIRST_PAUSE

    @property
    def evicted(self) -> int:
        """As ``Store.evicted``, of the counts on this machine."""
        return self._local.evicted

    def hit(
        self, key: bytes, rate: Rate, done: Callable[[Verdict], None] | None = None, cost: int = 1
    ) -> Verdict | None:
        """As ``Store.hit``. The verdict comes later, at once only while Redis is away or where ``done`` is left out."""
        with self._changed:
            if done is not None and self._up and not self._stopped:
                self._waiting.append(_Hit(key, rate, cost, done))
                if self._thread is None:
                    self._thread = threading.Thread(target=self._work, name="microsock-redis-limits", daemon=True)
                    self._thread.start()
                self._changed.notify()
                return None
        return self._without(key, rate, cost)

    def close(self) -> None:
        """Ask no more; what waits gets no verdict."""
        with self._changed:
            self._stopped = True
            self._waiting.clear()
            self._changed.notify()

    def _without(self, key: bytes, rate: Rate, cost: int) -> Verdict:
        self.fallbacks += 1
        if self._fallback == "open":
            return Verdict(True, rate.limit, rate.seconds)
        if self._fallback == "closed":
            return Verdict(False, 0, 1.0, away=True)
        verdict = self._local.hit(key, rate, cost=cost)
        assert verdict is not None
        return verdict

    def _answer_without(self, hit: _Hit) -> None:
        hit.done(self._without(hit.key, hit.rate, hit.cost))

    # In the thread.

    def _work(self) -> None:
        client = connect(self._place, _TIMEOUT_SECONDS)
        try:
            while batch := self._next():
                if self._judge(client, batch):
                    self._pause = _FIRST_PAUSE
                else:
                    self._wait_for(client)
        finally:
            client.close()

    def _next(self) -> list[_Hit]:
        with self._changed:
            while not self._waiting and not self._stopped:
                self._changed.wait()
            return [self._waiting.popleft() for _ in range(min(len(self._waiting), _BATCH))]

    def _judge(self, client: Redis, batch: list[_Hit]) -> bool:
        # Whether Redis was there for all of them.
        verdicts = self._verdicts(client, batch)
        failed = next((verdict for verdict in verdicts if isinstance(verdict, Exception)), None)
        if failed is not None:
            self._lost(failed)
        for hit, verdict in zip(batch, verdicts, strict=True):
            if isinstance(verdict, Exception):
                self._deliver(partial(self._answer_without, hit))
            else:
                self._deliver(partial(hit.done, verdict))
        return failed is None

    def _verdicts(self, client: Redis, batch: list[_Hit]) -> list[Verdict | Exception]:
        try:
            answers = self._ask(client, batch)
            if any(type(answer).__name__ == "NoScriptError" for answer in answers):
                # A Redis that has started anew.
                client.script_load(_SCRIPT)
                again = [hit for hit, answer in zip(batch, answers, strict=True) if isinstance(answer, Exception)]
                fresh = iter(self._ask(client, again))
                answers = [next(fresh) if isinstance(answer, Exception) else answer for answer in answers]
            if len(answers) != len(batch):
                raise ValueError(f"{len(answers)} answers to {len(batch)} questions")
            return [_verdict(answer, hit.rate) for answer, hit in zip(answers, batch, strict=True)]
        except Exception as error:
            return [error] * len(batch)

    def _ask(self, client: Redis, batch: list[_Hit]) -> list[Any]:
        pipeline = client.pipeline(transaction=False)
        for hit in batch:
            name = f"{self._place.prefix}:limit:{blake2b(hit.key, digest_size=16).hexdigest()}"
            pipeline.evalsha(_SHA, 1, name, hit.rate.limit, max(1, round(hit.rate.seconds * 1000)), hit.cost)
        return list(pipeline.execute(raise_on_error=False))

    def _lost(self, error: Exception) -> None:
        with self._changed:
            self._up = False
            waiting = list(self._waiting)
            self._waiting.clear()
        how = {"local": "are counted on each machine", "open": "let everybody through", "closed": "refuse everybody"}
        logger.warning("rate limits %s: no answer from %s (%s)", how[self._fallback], self._place, why(error))
        for hit in waiting:
            self._deliver(partial(self._answer_without, hit))

    def _wait_for(self, client: Redis) -> None:
        lost_at, before = time.monotonic(), self.fallbacks
        probe = [_Hit(*_PROBE, lambda verdict: None)]
        while not self._stopped:
            with self._changed:
                self._changed.wait_for(lambda: self._stopped, self._pause)
            self._pause = min(_LONGEST_PAUSE, self._pause * 2)
            if isinstance(self._verdicts(client, probe)[0], Exception):
                continue
            with self._changed:
                self._up = True
            logger.warning(
                "rate limits: %s is back after %.1f s; verdicts without it: %d",
                self._place, time.monotonic() - lost_at, self.fallbacks - before,
            )  # fmt: skip
            return


def _verdict(answer: object, rate: Rate) -> Verdict | Exception:
    if isinstance(answer, Exception):
        return answer
    if not isinstance(answer, list) or len(answer) != 3 or not all(map(_is_integer, answer)):
        return ValueError(f"the answer {answer!r:.60} is not that of the script")
    allowed, remaining, left = answer
    # Somebody else may have set the key: within its rate a client learns nothing that cannot be.
    remaining = min(max(0, remaining), rate.limit)
    return Verdict(allowed == 1, remaining, min(max(0, left), round(rate.seconds * 1000)) / 1000)


def _is_integer(value: object) -> bool:
    # Of Redis: 64 bits, signed.
    return type(value) is int and -(1 << 63) <= value < 1 << 63
