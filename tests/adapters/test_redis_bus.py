"""A relay's way to other hosts, with a bridge in the test's own hands; the real one is in tests/server."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microsock import envelope
from microsock.adapters.channel import framed
from microsock.adapters.redis_bus import RedisLink, _fitting
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
        while self.loop.step(0.02):
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
    assert caplog.text.count("a message is not understood") == 1
    host.link.close()
    assert "redis://host/0: what was not understood: 1 more in the last 10 s" in caplog.text


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


# Whatever comes from Redis.


def said(host: object, counts: object) -> bytes:
    return b"c" + json.dumps({"host": host, "counts": counts}).encode()


@pytest.mark.parametrize("count", [-1, 0, 1 << 32, 1 << 200, 1.5, True, "3", None, [], float("nan"), float("inf")])
def test_counts_that_are_none_are_dropped_and_the_rest_holds(count: object, host: Host) -> None:
    host.bridge_says(b"u", said("other", {"all": 3}), said("other", {"bad": 3, "all": 3}))
    host.bridge_says(said("other", {"bad": count, "some": 2}))
    # What is no JSON is no word at all, and what was said before holds.
    is_json = count == count and count != float("inf")
    assert host.relay.counts() == ({"some": 2} if is_json else {"bad": 3, "all": 3})
    host.relay.receive(2, envelope.join_message(0))
    host.turn()
    assert host.got[-1] == envelope.WELCOME


def test_topics_that_are_too_long_are_dropped_too(host: Host) -> None:
    host.bridge_says(b"u", said("other", {"t" * 1025: 1, "t" * 1024: 2, "\ud800": 3}))
    assert host.relay.counts() == {"t" * 1024: 2, "\ud800": 3}


def test_what_was_dropped_is_a_line_in_the_log_and_no_more(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    host.bridge_says(b"u", *[said("other", {"a": -1, "b": 1})] * 100)
    while "counts of followers were refused" not in caplog.text:
        host.loop.step(0.3)
    assert len(caplog.records) == 1
    assert caplog.records[0].exc_info is None


BAD_FRAMES = [
    b"", b"?", b"c", b"c{}", b"c[]", b"c" + b"[" * 100_000, said(7, {}), said("x", 7), said("x" * 65, {"a": 1}), b"g",
    b"g-1", b"g1e5", b"g" + b"9" * 5000, b"t", b"tP\0", b"m", b"m1", b"m" + ELSEWHERE, b"x\xff\x1b[2J\n",
    b"d\xff\x1b[2J\n",
]  # fmt: skip


@pytest.mark.parametrize("frame", BAD_FRAMES, ids=range(len(BAD_FRAMES)))
def test_a_bad_frame_breaks_nothing_and_is_no_traceback(
    frame: bytes, host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    host.bridge_says(b"u")
    for _ in range(5):
        host.bridge_says(frame)
    host.bridge_says(b"u", b"m" + ELSEWHERE + published("ok"))
    assert host.texts() == ["ok"]
    assert len(caplog.records) <= 2
    assert all(record.exc_info is None and record.getMessage().isprintable() for record in caplog.records)
    assert host.link.missed == 0


@settings(max_examples=25, deadline=None)
@given(st.lists(st.builds(bytes.__add__, st.sampled_from([b"m", b"t", b"c", b"l", b"g", b"x", b"?"]), st.binary())))
def test_whatever_a_bridge_says_the_link_goes_on(frames: list[bytes]) -> None:
    host = Host()
    try:
        host.bridge_says(b"u", *frames)
        host.got.clear()
        host.bridge_says(b"m" + ELSEWHERE + published("ok"))
        assert host.texts() == ["ok"]
    finally:
        host.close()


def test_whoever_speaks_in_our_name_takes_nothing_out_of_what_is_on_its_way(host: Host) -> None:
    host.bridge_says(b"u")
    host.relay.publish("all", "own")
    (frame,) = host.bridge_hears()
    number = frame[1:9]
    host.bridge_says(b"m" + number + published("forged"), b"m" + number + published("own"))
    assert host.texts() == ["forged", "own"]
    host.bridge_says(b"m" + number + published("own"))
    assert host.texts() == ["forged", "own"]


def test_gaps_without_end_are_a_line_and_their_sum(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    host.bridge_says(b"u", *[b"g3"] * 100)
    assert host.link.missed == 300
    assert len(caplog.records) == 1
    host.link.close()
    assert "messages of other machines that did not arrive here: 297 more in the last 10 s" in caplog.text


def test_counts_of_hosts_without_end_are_not_all_kept(host: Host) -> None:
    host.bridge_says(b"u")
    for start in range(0, 1100, 100):
        host.bridge_says(*[said(f"host{start + number}", {"all": 1}) for number in range(100)])
    assert host.relay.counts() == {"all": 1000}


def test_of_more_counts_than_fit_into_a_word_the_largest_are_told() -> None:
    few = {"a": 1, "b": 2}
    assert _fitting(few) is few
    counts = {f"{number}" + "\U0001f600" * 250: number for number in range(1, 2000)}
    told = _fitting(counts)
    assert len(json.dumps(told)) < 2 << 20
    assert len(told) > 600
    assert min(told.values()) > max(counts[topic] for topic in counts.keys() - told.keys())
