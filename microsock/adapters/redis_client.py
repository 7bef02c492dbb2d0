"""The way to Redis: a URL as people write it, and the client that goes there. The one module that knows redis-py.

It comes with ``microsock[redis]``; passwords, TLS and Unix sockets are redis-py's business.
"""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit

from ..errors import BadSetting, MissingExtra
from .untrusted import printable

if TYPE_CHECKING:
    from redis import Redis

__all__ = ["RedisPlace", "connect", "redis_place", "why"]

_SCHEMES = ("redis", "rediss", "unix")


@dataclass(frozen=True, repr=False)
class RedisPlace:
    """A Redis and our corner of it.

    Attributes:
        url: without what is only ours.
        prefix: what the names of all keys and channels begin with. Apps with different ones do not meet.
    """

    url: str
    prefix: str

    def __str__(self) -> str:
        """For people: without user, password and options."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

    def __repr__(self) -> str:
        return f"<RedisPlace {self}>"


def redis_place(setting: str, url: str) -> RedisPlace:
    """The place that a setting names, as ``redis://host:port/db?prefix=shop``.

    Raises ``MissingExtra`` without redis-py, ``BadSetting`` for another kind of URL.
    """
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES:
        kind = f"one of kind {parts.scheme!r}" if parts.scheme else "no URL"
        raise BadSetting(f"{setting} is {kind}; expected redis://host:port/db, rediss://… or unix:///path")
    if importlib.util.find_spec("redis") is None:
        raise MissingExtra(f"{setting} needs redis-py; install microsock[redis]")
    query = dict(parse_qsl(parts.query))
    # Channels are the same for all databases of a server, so what tells keys apart must be in their names.
    number = query.get("db") or ("" if parts.scheme == "unix" else parts.path.strip("/"))
    prefix = query.pop("prefix", None) or f"microsock:{number or 0}"
    place = RedisPlace("?".join(filter(None, (url.partition("?")[0], urlencode(query)))), prefix)
    try:
        # What does not fit is told when a connection is made, and that is long before it connects.
        connect(place, 1.0).connection_pool.make_connection()
    except (ValueError, TypeError) as error:
        raise BadSetting(f"{setting} is not understood: {error}") from None
    return place


def connect(place: RedisPlace, timeout: float) -> Redis:
    """A client, which connects when it is first used. No call takes over ``timeout`` seconds; none is repeated."""
    redis = importlib.import_module("redis")
    retry = importlib.import_module("redis.retry").Retry(importlib.import_module("redis.backoff").NoBackoff(), 0)
    client: Redis = redis.Redis.from_url(
        place.url, socket_timeout=timeout, socket_connect_timeout=timeout, retry=retry, decode_responses=False
    )
    return client


def why(error: Exception) -> str:
    """An error's reason in one line, without what redis-py may say of the URL. It may be Redis's own text."""
    return printable(f"{type(error).__name__}: {error}".splitlines()[0], 200)
