"""From a URL to a place in Redis."""

from __future__ import annotations

import importlib.util

import pytest

from microsock.adapters.redis_client import redis_place
from microsock.errors import BadSetting, MissingExtra


@pytest.mark.parametrize(
    ("url", "prefix"),
    [
        ("redis://host:6379/0", "microsock:0"),
        ("redis://host", "microsock:0"),
        ("redis://host/3", "microsock:3"),
        ("redis://host/?db=4", "microsock:4"),
        ("redis://host/3?prefix=shop", "shop"),
        ("rediss://user:secret@host/1", "microsock:1"),
        ("unix:///run/redis.sock?db=2", "microsock:2"),
        ("unix:///run/redis.sock", "microsock:0"),
    ],
)
def test_what_tells_apps_apart_is_the_database_or_a_prefix(url: str, prefix: str) -> None:
    assert redis_place("bus", url).prefix == prefix


def test_neither_text_nor_repr_of_a_place_has_the_password() -> None:
    place = redis_place("bus", "rediss://user:secret@host:7000/1?password=secret")
    assert "secret" in place.url
    assert str(place) == "rediss://host:7000/1"
    assert repr(place) == "<RedisPlace rediss://host:7000/1>"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("amqp://host", "bus is one of kind 'amqp'; expected redis://host:port/db, rediss://… or unix:///path"),
        ("localhost", "bus is no URL; expected redis://host:port/db"),
        ("redis://host:none/0", "bus is not understood: "),
        ("redis://host/0?no_such_option=1", "bus is not understood: "),
    ],
)
def test_what_is_no_place_is_refused(url: str, message: str) -> None:
    with pytest.raises(BadSetting, match=r"^bus is ") as refused:
        redis_place("bus", url)
    assert str(refused.value).startswith(message)


def test_without_redis_py_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"bus needs redis-py; install microsock\[redis\]"):
        redis_place("bus", "redis://host")
