"""A relay's way to other hosts, with a bridge in the test's own hands; the real one is in tests/server."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
from collections.abc import Callable, Iterator

import pytest

from microsock import envelope
from microsock.adapters.channel import framed
from microsock.adapters.redis_bus import RedisLink
from microsock.adapters.redis_client import RedisPlace
from microsock.relay import Relay
from microsock.server.loop import Loop

ELSEWHERE = bytes(8)


class Host:
    """One worker, its relay and link, and the far end of the socket in place of a bridge."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.got: list[bytes] = []
        self.bridges: list[socket.socket] = []
        self.relay = Relay("birth", self.to_worker)
        self.link = RedisLink(self.relay, self.loop, RedisPlace("redis://host/0", "test"), self.start)
        self.relay.receive(1, envelope.join_message(0))
        self.turn()
        self.got.clear()

    def start(self, end: socket.socket, place: RedisPlace, host: str, forget: Callable[[], None]) -> None:
        end.settimeout(5)
        self.bridges.append(end)

    def to_worker(self, worker: int, message: bytes) -> bool:
        self.got.append(message)
        return True

    def turn(self) -> None:
        while self.loop.step(0.05):
            pass

    def bridge_says(self, *frames: bytes) -> None:
        self.bridges[-1].sendall(b"".join(map(framed, frames)))
        self.turn()

    def bridge_hears(self) -> list[bytes]:
        """What waits for the bridge to read, without the counts."""
        self.turn()
        end, data = self.bridges[-1], b""
        end.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            data = end.recv(1 << 20)
        end.settimeout(5)
        frames = []
        while data:
            size = 4 + int.from_bytes(data[:4], "big")
            frames.append(data[4:size])
            data = data[size:]
        return [frame for frame in frames if frame[:1] == b"p"]

    def texts(self) -> list[str | bytes]:
        """What the worker got of what was published."""
        self.turn()
        return [envelope.read_record(each)[1].data for each in self.got if each[:1] == envelope.RECORD]

    def leads(self) -> bool:
        self.turn()
        said = [each for each in self.got if each[:1] == envelope.LEAD]
        return said[-1:] == [envelope.LEADS]

    def close(self) -> None:
        self.link.close()
        for end in self.bridges:
            end.close()
        self.loop.close()


@pytest.fixture
def host() -> Iterator[Host]:
    host = Host()
    yield host
    host.close()


def published(text: str, retain: bool = False) -> bytes:
    return envelope.publish_message("all", text, None, retain)


def test_what_is_published_goes_out_and_is_delivered_when_it_comes_back(host: Host) -> None:
    host.bridge_says(b"u")
    host.relay.publish("all", "hello")
    (frame,) = host.bridge_hears()
    assert host.texts() == []
    host.bridge_says(b"m" + ELSEWHERE + published("first"), b"m" + frame[1:])
    assert host.texts() == ["first", "hello"]


def test_what_is_published_before_the_bridge_has_said_a_word_waits_for_it(host: Host) -> None:
    host.relay.publish("all", "early")
    assert host.texts() == []
    host.bridge_says(b"d" + b"refused")
    assert host.texts() == ["early"]
    assert host.link.here_only == 1


def test_while_redis_is_away_a_message_reaches_this_host_and_is_counted(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    host.bridge_says(b"u", b"d" + b"ConnectionError: reset")
    host.relay.publish("all", "one")
    host.relay.publish("all", "two")
    assert host.texts() == ["one", "two"]
    assert host.bridge_hears() == []
    host.bridge_says(b"d" + b"ConnectionError: refused")
    with caplog.at_level(logging.WARNING):
        host.bridge_says(b"u")
    assert [record.levelname for record in caplog.records].count("WARNING") == 2
    assert "redis://host/0 is away (ConnectionError: reset); what is published reaches this machine only" in caplog.text
    assert "messages that may have reached this machine only: 2" in caplog.text


def test_what_was_on_its_way_is_delivered_once_even_if_it_comes_back_after_all(host: Host) -> None:
    host.bridge_says(b"u")
    host.relay.publish("all", "hello")
    (frame,) = host.bridge_hears()
    host.bridge_says(b"d" + b"reset", b"u", b"m" + frame[1:])
    assert host.texts() == ["hello"]


def test_counts_of_other_hosts_count_here_until_they_or_redis_are_gone(host: Host) -> None:
    def said(counts: dict[str, int]) -> bytes:
        return b"c" + json.dumps({"host": "other", "counts": counts}).encode()

    host.bridge_says(b"u", said({"all": 3}))
    assert host.relay.counts() == {"all": 3}
    host.bridge_says(said({"all": 2, "some": 1}))
    assert host.relay.counts() == {"all": 2, "some": 1}
    host.bridge_says(said({}))
    assert host.relay.counts() == {}
    host.bridge_says(said({"all": 1}), b"d" + b"reset")
    assert host.relay.counts() == {}


def test_only_the_host_that_has_the_lease_runs_what_one_of_all_runs(host: Host) -> None:
    host.bridge_says(b"u", b"l0")
    assert not host.leads()
    host.bridge_says(b"l1")
    assert host.leads()
    host.bridge_says(b"d" + b"reset")
    assert host.leads()
    host.bridge_says(b"u", b"l0")
    assert not host.leads()


def test_a_host_that_has_never_heard_of_redis_leads_itself(host: Host) -> None:
    host.bridge_says(b"d" + b"refused")
    assert host.leads()


def test_a_retained_value_that_is_known_is_not_published_again(host: Host) -> None:
    host.bridge_says(b"t" + published("old", retain=True), b"u")
    assert host.texts() == ["old"]
    host.bridge_says(b"d" + b"reset", b"t" + published("old", retain=True), b"u")
    assert host.texts() == ["old"]
    host.bridge_says(b"d" + b"reset", b"t" + published("new", retain=True), b"u")
    assert host.texts() == ["old", "new"]


def test_messages_that_did_not_arrive_are_counted_and_logged(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    host.bridge_says(b"u", b"g7")
    assert host.link.missed == 7
    assert "messages of other machines that did not arrive here: 7" in caplog.text


def test_nonsense_from_redis_is_logged_and_goes_no_further(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    host.bridge_says(
        b"u", b"m" + ELSEWHERE + b"\x80\x04K\x01.", b"m" + ELSEWHERE + b"P", b"m" + ELSEWHERE + published("ok")
    )
    assert host.texts() == ["ok"]
    assert caplog.text.count("a message is not understood") == 2


def test_a_bridge_that_ends_is_replaced(host: Host) -> None:
    host.bridge_says(b"u")
    host.relay.publish("all", "hello")
    host.bridges[0].close()
    assert host.texts() == ["hello"]
    while len(host.bridges) < 2:
        host.loop.step(0.2)
    host.bridge_says(b"u")
    host.relay.publish("all", "again")
    assert len(host.bridge_hears()) == 1


def test_more_than_may_be_on_its_way_stays_here(host: Host) -> None:
    host.bridge_says(b"u")
    for _ in range(5):
        host.relay.publish("all", "x" * (4_000_000))
    host.turn()
    assert 1 <= host.link.here_only <= 2
    assert len(host.texts()) == host.link.here_only
