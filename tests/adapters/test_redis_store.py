"""Rate limits in a real Redis, and what holds without it."""

from __future__ import annotations

import logging
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import pytest
from redis_server import RedisServer, redis_server

from microsock.adapters.redis_client import connect, redis_place
from microsock.adapters.redis_store import RedisStore, _verdict
from microsock.limits import MemoryStore, Verdict
from microsock.rates import Rate

pytestmark = pytest.mark.server

_ = redis_server

PATIENCE = 30.0
TEN_A_MINUTE = Rate(10, 60.0)


class Counting:
    """A store, and the loop that its verdicts are delivered to."""

    def __init__(self, url: str, fallback: str = "local") -> None:
        self.turns: queue.Queue[Callable[[], None]] = queue.Queue()
        self.local = MemoryStore(lambda: 0.0)
        self.place = redis_place("rate_limit_store", url)
        self.store = RedisStore(self.place, fallback, self.local, self.turns.put)

    def hit(self, key: bytes = b"ada", rate: Rate = TEN_A_MINUTE, cost: int = 1) -> Verdict:
        verdicts: list[Verdict] = []
        verdict = self.store.hit(key, rate, verdicts.append, cost)
        if verdict is None:
            while not verdicts:
                self.turns.get(timeout=PATIENCE)()
            verdict = verdicts[0]
        return verdict


@pytest.fixture
def counting(redis_server: RedisServer) -> Iterator[Callable[..., Counting]]:
    with ExitStack() as stack:

        def make(fallback: str = "local") -> Counting:
            made = Counting(redis_server.url, fallback)
            stack.callback(made.store.close)
            return made

        yield make


def test_two_stores_count_as_one(counting: Callable[..., Counting]) -> None:
    one, other = counting(), counting()
    verdicts = [each.hit() for _ in range(6) for each in (one, other)]
    assert [verdict.allowed for verdict in verdicts] == [True] * 10 + [False] * 2
    assert [verdict.remaining for verdict in verdicts] == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0, 0, 0]
    assert all(59 < verdict.reset_seconds <= 60 for verdict in verdicts)
    assert one.hit(b"grace").allowed


def test_many_threads_at_a_time_are_counted_exactly(counting: Callable[..., Counting]) -> None:
    stores = [counting() for _ in range(4)]
    allowed: list[bool] = []

    def hammer(each: Counting) -> None:
        allowed.extend(each.hit(rate=Rate(100, 60.0)).allowed for _ in range(100))

    threads = [threading.Thread(target=hammer, args=(each,)) for each in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert (allowed.count(True), allowed.count(False)) == (100, 300)


def test_a_refused_request_is_not_counted_and_a_dear_one_counts_for_more(counting: Callable[..., Counting]) -> None:
    each = counting()
    assert each.hit(cost=8).remaining == 2
    assert not each.hit(cost=3).allowed
    assert each.hit(cost=2)[:2] == (True, 0)


def test_the_window_is_that_of_the_first_request_on_the_clock_of_redis(counting: Callable[..., Counting]) -> None:
    each = counting()
    rate = Rate(1, 0.2)
    assert each.hit(rate=rate).allowed
    verdict = each.hit(rate=rate)
    assert not verdict.allowed
    assert 0 < verdict.reset_seconds <= 0.2
    with connect(each.place, 1.0) as client:
        (key,) = client.keys("*")
        assert key.startswith(b"microsock:0:limit:")
        deadline = threading.Event()
        while client.exists(key):
            deadline.wait(0.02)
    assert each.hit(rate=rate).allowed


def test_after_redis_has_started_anew_it_counts_anew(
    counting: Callable[..., Counting], redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    each = counting()
    assert each.hit().remaining == 9
    redis_server.stop()
    with caplog.at_level(logging.WARNING):
        assert [each.hit().remaining for _ in range(3)] == [9, 8, 7]
    assert "rate limits are counted on each machine: no answer from redis://127.0.0.1" in caplog.text
    assert (each.store.fallbacks, len(each.local)) == (3, 1)
    redis_server.start()
    while "is back after" not in caplog.text:
        each.hit(b"other", Rate(10**6, 60.0))
    assert each.hit(cost=4).remaining == 6
    assert caplog.text.count("no answer from") == 1


def test_it_can_let_all_through_meanwhile(counting: Callable[..., Counting], redis_server: RedisServer) -> None:
    redis_server.stop()
    each = counting("open")
    assert all(each.hit(rate=Rate(1, 60.0)).allowed for _ in range(5))


def test_or_refuse_all(counting: Callable[..., Counting], redis_server: RedisServer) -> None:
    redis_server.stop()
    each = counting("closed")
    assert {each.hit() for _ in range(5)} == {Verdict(False, 0, 1.0, away=True)}


class Liar:
    """Speaks as Redis does, and says the same nonsense to every script."""

    def __init__(self, nonsense: bytes) -> None:
        self._nonsense = nonsense
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._server.getsockname()[1]}/0"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=(self._server.accept()[0],), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with suppress(OSError), client, client.makefile("rb") as lines:
            while count := lines.readline()[1:]:
                words = [lines.read(int(lines.readline()[1:]) + 2) for _ in range(int(count))]
                client.sendall(self._nonsense if words[0] == b"EVALSHA\r\n" else b"+OK\r\n")


@pytest.mark.parametrize(
    "nonsense",
    [
        b"+OK\r\n",
        b"$-1\r\n",
        b"*1\r\n:1\r\n",
        b"*3\r\n:1\r\n$1\r\nx\r\n$-1\r\n",
        b"*3\r\n:1\r\n:1\r\n:" + b"9" * 400 + b"\r\n",
        b"-NOSCRIPT no\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ],
)
def test_an_answer_that_is_none_counts_as_no_answer(nonsense: bytes, caplog: pytest.LogCaptureFixture) -> None:
    with ExitStack() as stack:
        liar = Liar(nonsense)
        stack.callback(liar.close)
        each = Counting(liar.url)
        stack.callback(each.store.close)
        assert [each.hit().remaining for _ in range(3)] == [9, 8, 7]
        time.sleep(0.5)  # for it to try again
        assert [each.hit().remaining for _ in range(3)] == [6, 5, 4]
    assert caplog.text.count("\n") == 1


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ([1, 5, 30_000], Verdict(True, 5, 30.0)),
        ([0, -5, -1], Verdict(False, 0, 0.0)),
        ([1, 1 << 62, 1 << 62], Verdict(True, 10, 60.0)),
        ([2, 5, 30_000], Verdict(False, 5, 30.0)),
        ([1, 5, 1 << 63], None),
        ([True, 5, 30_000], None),
        ([1, 5.0, 30_000], None),
        ([1, 5, float("nan")], None),
        ([b"1", b"5", b"30000"], None),
        ([1, 5], None),
        ([1, 5, 30_000, 0], None),
        ({1: 5}, None),
        (None, None),
        (b"OK", None),
    ],
)
def test_an_answer_is_within_the_rate_or_none(answer: object, verdict: Verdict | None) -> None:
    found = _verdict(answer, TEN_A_MINUTE)
    if verdict is None:
        assert isinstance(found, ValueError)
    else:
        assert found == verdict


@pytest.mark.parametrize(
    "command",
    [
        ("SET", "hello", "PX", 60_000), ("SET", "nan", "PX", 60_000), ("SET", "inf", "PX", 60_000), ("LPUSH", "x"),
        ("SET", "1.5", "PX", 60_000), ("SET", "-7", "PX", 60_000), ("SET", "7"), ("HSET", "a", "b"),
    ],
    ids=range(8),
)  # fmt: skip
def test_a_key_that_holds_no_count_begins_a_window(
    command: tuple[str, ...], counting: Callable[..., Counting], caplog: pytest.LogCaptureFixture
) -> None:
    each = counting()
    assert each.hit().remaining == 9
    with connect(each.place, 5.0) as client:
        (name,) = client.keys("*:limit:*")
        client.delete(name)
        client.execute_command(command[0], name, *command[1:])
        assert [each.hit().remaining for _ in range(2)] == [9, 8]
        client.pexpire(name, 1 << 40)
        assert each.hit().reset_seconds == 60.0
    assert caplog.text == ""


def test_a_redis_that_answers_and_cannot_write_is_away_and_fills_no_log(
    counting: Callable[..., Counting], redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    each = counting()
    assert each.hit().remaining == 9
    with connect(each.place, 5.0) as client:
        client.config_set("min-replicas-to-write", 1)
        deadline = time.monotonic() + 1.0
        while time.monotonic() < deadline:
            assert each.hit(rate=Rate(10**6, 60.0)).allowed
        assert caplog.text.count("no answer from") == 1
        assert "is back after" not in caplog.text
        client.config_set("min-replicas-to-write", 0)
        while "is back after" not in caplog.text:
            each.hit(b"other", Rate(10**6, 60.0))
    assert each.hit().remaining == 8


def test_who_cannot_wait_is_counted_here(counting: Callable[..., Counting]) -> None:
    each = counting()
    verdict = each.store.hit(b"ada", TEN_A_MINUTE)
    assert verdict is not None
    assert verdict.remaining == 9
    assert len(each.local) == 1
