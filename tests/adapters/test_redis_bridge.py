"""What a bridge says to its owner, over a real Redis; the test is the owner of two."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from redis_server import RedisServer, redis_server

from microsock import envelope
from microsock.adapters.channel import framed
from microsock.adapters.redis_bridge import Bridge
from microsock.adapters.redis_client import connect, redis_place

pytestmark = pytest.mark.server

_ = redis_server

PATIENCE = 30.0
ELSEWHERE = bytes(8)


class Owner:
    """One host's bridge, and the owner's end of its socket."""

    def __init__(self, url: str, host: str) -> None:
        self.sock, end = socket.socketpair()
        self.sock.settimeout(PATIENCE)
        bridge = Bridge(redis_place("bus", url), host)
        self.thread = threading.Thread(target=bridge.run, args=(end,))
        self.thread.start()

    def says(self, frame: bytes) -> None:
        self.sock.sendall(framed(frame))

    def hears(self, kind: bytes, but: bytes = b"") -> bytes:
        """The body of the next frame of a kind; others are passed over, except for one that must not come."""
        while True:
            frame = self._exactly(int.from_bytes(self._exactly(4), "big"))
            assert frame[:1] != but
            if frame[:1] == kind:
                return frame[1:]

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self.sock.recv(size - len(data))
            assert piece, "the bridge has gone"
            data += piece
        return data

    def close(self) -> None:
        self.sock.close()
        self.thread.join(PATIENCE)


@pytest.fixture
def owner(redis_server: RedisServer) -> Iterator[Callable[[str], Owner]]:
    with ExitStack() as stack:

        def make(host: str) -> Owner:
            made = Owner(redis_server.url, host)
            stack.callback(made.close)
            made.hears(b"u")
            return made

        yield make


def publish(owner: Owner, text: str, number: int = 1, retain: bool = False) -> bytes:
    message = envelope.publish_message("all", text, None, retain)
    owner.says(b"p" + number.to_bytes(8, "big") + message)
    return message


def test_a_message_comes_to_all_and_back_with_its_own_number(owner: Callable[[str], Owner]) -> None:
    one, other = owner("one"), owner("other")
    message = publish(one, "a:b:c \0 \u20ac", 7)
    assert one.hears(b"m") == (7).to_bytes(8, "big") + message
    assert other.hears(b"m") == ELSEWHERE + message


def test_messages_that_are_missing_between_two_numbers_are_counted(
    owner: Callable[[str], Owner], redis_server: RedisServer
) -> None:
    one, other = owner("one"), owner("other")
    publish(one, "first")
    other.hears(b"m")
    with connect(redis_place("bus", redis_server.url), PATIENCE) as client:
        client.incrby("microsock:0:number", 3)
    publish(one, "fifth")
    assert other.hears(b"g") == b"3"


def test_what_others_write_into_our_channels_is_a_gap_and_no_more(
    owner: Callable[[str], Owner], redis_server: RedisServer
) -> None:
    one, other = owner("one"), owner("other")
    publish(one, "first")
    other.hears(b"m")
    deep = b"[" * 100_000
    with connect(redis_place("bus", redis_server.url), PATIENCE) as client:
        for nonsense in (b"", b"hello", b"x:one:00:y", b"1:other:xyz:y", b"1:\xff:00:y", b":::"):
            client.publish("microsock:0:messages", nonsense)
            assert other.hears(b"g", but=b"d") == b"1"
        for nonsense in (b"", b"{", b"7", b"[]", b"{}", b'{"host": 7}', b'{"host": "x", "counts": 7}', b"\xff", deep):
            client.publish("microsock:0:hosts", nonsense)
    message = publish(one, "second")
    assert other.hears(b"m", but=b"d") == ELSEWHERE + message


PUBLISHED = b"1:other:0000000000000007:"


@pytest.mark.parametrize(
    "line",
    [
        b"-1:other:00:x", b"+1:other:00:x", b"1_0:other:00:x", b" 1:other:00:x", b"9" * 5000 + b":other:00:x",
        b"1e5:other:00:x", b"1:one:0007:x", b"1:one:" + b"00" * 9 + b":x", PUBLISHED + b"x" * ((4 << 20) + 1),
    ],
    ids=range(9),
)  # fmt: skip
def test_what_is_no_line_of_ours_is_a_gap_of_one(
    line: bytes, owner: Callable[[str], Owner], redis_server: RedisServer
) -> None:
    one = owner("one")
    with connect(redis_place("bus", redis_server.url), PATIENCE) as client:
        client.publish("microsock:0:messages", line)
        assert one.hears(b"g", but=b"d") == b"1"
    message = publish(one, "still here")
    assert one.hears(b"m", but=b"d").endswith(message)


@pytest.mark.parametrize(
    "word",
    [
        b'{"host": ""}', b'{"host": "%s"}' % (b"x" * 65), b'{"host": "x", "counts": {"a": NaN}}', b"[" * 100_000,
        b'{"host": "x", "counts": {"a": 1e999}}', b'{"host": "x", "counts": ' + b"9" * 5000 + b"}", b"\xff\xfe",
        b'{"host": "x", "counts": {"' + b"a" * (4 << 20) + b'": 1}}',
    ],
    ids=range(8),
)  # fmt: skip
def test_a_word_that_no_host_says_is_refused_and_says_why(
    word: bytes, owner: Callable[[str], Owner], redis_server: RedisServer
) -> None:
    one = owner("one")
    with connect(redis_place("bus", redis_server.url), PATIENCE) as client:
        client.publish("microsock:0:hosts", word)
        assert 0 < len(one.hears(b"x", but=b"c")) <= 500
        client.publish("microsock:0:hosts", b'{"host": "x", "counts": {"a": 1}}')
        assert json.loads(one.hears(b"c", but=b"d")) == {"host": "x", "counts": {"a": 1}}


def test_hosts_without_end_are_not_all_heard(owner: Callable[[str], Owner], redis_server: RedisServer) -> None:
    one = owner("one")
    with connect(redis_place("bus", redis_server.url), PATIENCE) as client:
        pipeline = client.pipeline(transaction=False)
        for number in range(1001):
            pipeline.publish("microsock:0:hosts", f'{{"host": "x{number}"}}')
        pipeline.execute()
    assert one.hears(b"x", but=b"d") == b"more than 1000 hosts"


POISON: dict[str, list[tuple[str, ...]]] = {
    "number": [("SET", "hello"), ("SET", str((1 << 63) - 1)), ("LPUSH", "x"), ("SET", "100000000000000")],
    "retained": [("SET", "hello"), ("LPUSH", "x")],
    "leader": [("LPUSH", "x"), ("HSET", "x", "y")],
}


@pytest.mark.parametrize(("key", "command"), [(key, command) for key in POISON for command in POISON[key]])
def test_a_key_of_ours_that_holds_something_else_keeps_nobody_from_publishing(
    key: str, command: tuple[str, ...], owner: Callable[[str], Owner], redis_server: RedisServer
) -> None:
    with connect(redis_place("bus", redis_server.url), PATIENCE) as client:
        client.execute_command(command[0], f"microsock:0:{key}", *command[1:])
        one = owner("one")
        assert one.hears(b"l", but=b"d") == b"1"
        for number in (1, 2):
            message = publish(one, "state", number, retain=True)
            assert one.hears(b"m", but=b"d") == number.to_bytes(8, "big") + message
        assert client.hlen("microsock:0:retained") == 1


def test_a_connection_that_redis_closes_is_made_anew(owner: Callable[[str], Owner], redis_server: RedisServer) -> None:
    one, other = owner("one"), owner("other")
    with connect(redis_place("bus", redis_server.url), PATIENCE) as client:
        client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    for each in (one, other):
        each.hears(b"d")
        each.hears(b"u")
    message = publish(one, "again")
    assert other.hears(b"m") == ELSEWHERE + message


def test_counts_are_told_to_hosts_that_come_later_and_taken_back_at_the_end(owner: Callable[[str], Owner]) -> None:
    one = owner("one")
    one.says(b"c" + json.dumps({"all": 3}).encode())
    other = owner("other")
    three = {"host": "one", "counts": {"all": 3}}
    assert json.loads(other.hears(b"c")) == three
    one.close()
    # It may have said so twice: of itself, and because the other asked.
    while (said := json.loads(other.hears(b"c"))) == three:
        pass
    assert said == {"host": "one", "counts": {}}


def test_one_host_leads_and_another_when_it_has_ended(owner: Callable[[str], Owner]) -> None:
    one = owner("one")
    assert one.hears(b"l") == b"1"
    other = owner("other")
    assert other.hears(b"l") == b"0"
    one.close()
    assert other.hears(b"l") == b"1"


def test_the_last_retained_value_of_a_topic_is_told_first_and_a_long_one_is_not_kept(
    owner: Callable[[str], Owner], redis_server: RedisServer
) -> None:
    one = owner("one")
    publish(one, "old", retain=True)
    new = publish(one, "new", retain=True)
    long = envelope.publish_message("long", "x" * (65 << 10), None, True)
    one.says(b"p" + (3).to_bytes(8, "big") + long)
    for _ in range(3):
        one.hears(b"m")
    late = Owner(redis_server.url, "late")
    try:
        assert late.hears(b"t") == new
        with connect(redis_place("bus", redis_server.url), PATIENCE) as client:
            assert client.hlen("microsock:0:retained") == 1
    finally:
        late.close()
