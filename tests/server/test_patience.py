"""Every wait of HTTP has its deadline, on a virtual clock. WebSockets' are in test_heartbeat."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from wire import ask, asked, body_of, statuses

from microsock import App, Request
from microsock.testing import RawConnection, TestClient

MIB = 1 << 20


@pytest.fixture
def app() -> App:
    app = App()

    @app.get("/")
    def index(request: Request) -> str:
        return "index"

    @app.post("/")
    def take(request: Request) -> str:
        return str(len(request.body))

    @app.get("/large")
    def large(request: Request) -> bytes:
        return bytes(MIB)

    @app.get("/stream")
    def stream(request: Request) -> Iterator[bytes]:
        for _ in range(1024):
            yield bytes(1024)

    return app


@pytest.fixture(autouse=True)
def no_errors(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """A connection that ends by an error of ours has ended too, and is none that a deadline has closed."""
    yield
    assert [record.message for record in caplog.get_records("call") if record.levelname == "ERROR"] == []


def drip(client: TestClient, connection: RawConnection, data: bytes, every: float) -> None:
    """Send byte by byte, as slowly as that."""
    for index in range(len(data)):
        connection.send(data[index : index + 1])
        client.advance(every)


def sip(client: TestClient, connection: RawConnection, size: int, seconds: float) -> int:
    """Receive ``size`` bytes every second for so long; gives how many came."""
    got = 0
    while seconds > 0 and not connection.closed:
        client.advance(1)
        got += len(connection.receive(size))
        seconds -= 1
    return got


# Requests.


def test_a_connection_that_says_nothing_is_closed_in_silence(app: App) -> None:
    client, connection = asked(app, b"", head_timeout=10)
    client.advance(9.9)
    assert not connection.ended
    client.advance(0.2)
    assert connection.receive() == b""
    assert connection.ended


@pytest.mark.parametrize("before", [b"", b"\r\n", b"\r"])
def test_an_idle_connection_is_closed_in_silence_whatever_little_it_sends(app: App, before: bytes) -> None:
    client, connection = asked(app, ask(), keep_alive_timeout=5)
    assert statuses(connection.receive()) == [200]
    client.advance(4)
    connection.send(before)
    client.advance(0.9)
    assert not connection.ended
    client.advance(0.1)
    assert connection.receive() == b""
    assert connection.ended


def test_a_request_within_keep_alive_timeout_is_served_and_starts_it_anew(app: App) -> None:
    client, connection = asked(app, ask(), keep_alive_timeout=5)
    for _ in range(3):
        client.advance(4.9)
        connection.send(ask())
    assert statuses(connection.receive()) == [200] * 4


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_after_any_number_of_requests_an_idle_connection_is_closed_in_time(app: App, count: int, method: str) -> None:
    client, connection = asked(app, b"", head_timeout=3, keep_alive_timeout=5)
    for _ in range(count):
        client.advance(2)
        connection.send(ask(method=method))
    assert len(statuses(connection.receive())) == count
    client.advance(4.9)
    assert not connection.ended
    client.advance(0.1)
    assert connection.receive() == b""
    assert connection.ended


def test_a_heads_deadline_is_absolute_though_a_byte_comes_every_four_seconds(app: App) -> None:
    client, connection = asked(app, b"", head_timeout=10)
    client.advance(8)
    drip(client, connection, ask()[:2], every=4)
    assert connection.receive() == b""
    connection.send(b"T")
    client.advance(2)
    assert statuses(connection.receive()) == [408]
    assert connection.ended


def test_a_heads_deadline_counts_from_its_first_byte(app: App) -> None:
    client, connection = asked(app, ask() + b"G", head_timeout=10, keep_alive_timeout=5)
    connection.receive()
    client.advance(9)
    assert not connection.ended
    client.advance(1)
    assert statuses(connection.receive()) == [408]


def test_a_body_that_does_not_come_is_408(app: App) -> None:
    client, connection = asked(app, ask(method="POST", body=b"hello")[:-1], body_timeout=10)
    client.advance(9.9)
    assert connection.receive() == b""
    client.advance(0.1)
    answer = connection.receive()
    assert statuses(answer) == [408]
    assert b"Connection: close\r\n" in answer
    assert connection.ended


def test_a_body_that_is_a_trickle_is_408_though_it_moves(app: App) -> None:
    head = ask(method="POST", body=bytes(1000))[:-1000]
    client, connection = asked(app, head, body_timeout=10, min_rate=500)
    drip(client, connection, bytes(3), every=4)
    assert connection.receive() == b""
    connection.send(b"x")
    assert statuses(connection.receive()) == [408]


def test_a_slow_body_above_min_rate_has_all_the_time_it_needs(app: App) -> None:
    client, connection = asked(app, ask(method="POST", body=bytes(60_000))[:-60_000], body_timeout=10, min_rate=500)
    for _ in range(100):
        connection.send(bytes(600))
        client.advance(1)
    assert body_of(connection.receive()) == b"60000"


def test_408_goes_through_error_like_any_refusal(app: App) -> None:
    @app.error(408)
    def hurry(request: Request, error: Exception) -> str:
        return "hurry"

    client, connection = asked(app, b"GET")
    client.advance(10)
    answer = connection.receive()
    assert (statuses(answer), body_of(answer)) == ([408], b"hurry")


# Answers.


@pytest.mark.parametrize("target", ["/large", "/stream"])
def test_a_peer_that_takes_nothing_is_cut_after_write_timeout(app: App, target: str) -> None:
    client, connection = asked(app, ask(target), capacity=10_000, write_timeout=20)
    client.advance(19.9)
    assert not connection.closed
    client.advance(2.6)
    assert connection.closed


@pytest.mark.parametrize("target", ["/large", "/stream"])
def test_a_peer_that_takes_less_than_min_rate_is_cut(app: App, target: str) -> None:
    client, connection = asked(app, ask(target), capacity=10_000, write_timeout=20, min_rate=500)
    got = sip(client, connection, 400, seconds=60)
    assert connection.closed
    assert got < 400 * 25


@pytest.mark.parametrize("target", ["/large", "/stream"])
def test_a_slow_but_steady_peer_gets_it_all(app: App, target: str) -> None:
    client, connection = asked(app, ask(target, "Connection: close"), capacity=10_000, write_timeout=20, min_rate=500)
    assert sip(client, connection, 6000, seconds=200) > MIB
    assert connection.ended


def test_a_peer_that_pauses_for_less_than_write_timeout_survives(app: App) -> None:
    client, connection = asked(app, ask("/large"), capacity=10_000, write_timeout=20)
    for _ in range(5):
        client.advance(15)
        connection.receive(100_000)
    assert not connection.closed
    assert len(connection.receive()) > 500_000


def test_who_has_taken_an_answer_may_rest_for_longer_than_write_timeout_and_not_so_in_the_next(app: App) -> None:
    client, connection = asked(
        app, ask("/large"), capacity=10_000, write_timeout=20, keep_alive_timeout=100, min_rate=0
    )
    client.advance(5)
    assert len(connection.receive()) > MIB
    client.advance(90)
    assert not connection.ended
    connection.send(ask("/large"))
    client.advance(19.9)
    assert not connection.closed
    client.advance(2.6)
    assert connection.closed


# After the last answer.


def test_a_peer_that_does_not_close_is_closed_after_a_second(app: App, caplog: pytest.LogCaptureFixture) -> None:
    client, connection = asked(app, ask("/", "Connection: close"))
    connection.receive()
    for _ in range(9):
        client.advance(0.1)
        connection.send(b"more and more")
    assert not connection.closed
    client.advance(0.1)
    assert (connection.closed, connection.was_reset) == (True, False)
    assert caplog.records == []


def test_a_slow_peer_has_time_to_take_the_last_answer(app: App) -> None:
    client, connection = asked(app, ask("/large", "Connection: close"), capacity=2 * MIB)
    assert sip(client, connection, 20_000, seconds=50) == 1_000_000
    assert not connection.closed
    sip(client, connection, 20_000, seconds=5)
    assert connection.closed


def test_one_that_takes_nothing_of_it_has_write_timeout(app: App) -> None:
    client, connection = asked(app, ask("/large", "Connection: close"), capacity=2 * MIB, write_timeout=20)
    client.advance(19)
    assert not connection.closed
    client.advance(2)
    assert connection.closed


def test_a_kept_connection_whose_answer_is_still_under_way_is_not_cut_short(app: App) -> None:
    client, connection = asked(app, ask("/large"), capacity=2 * MIB, keep_alive_timeout=5)
    assert sip(client, connection, 20_000, seconds=60) > MIB
    assert connection.ended


def test_one_that_takes_less_of_it_than_min_rate_has_write_timeout_too(app: App) -> None:
    client, connection = asked(
        app, ask("/large", "Connection: close"), capacity=2 * MIB, write_timeout=20, min_rate=500
    )
    assert sip(client, connection, 400, seconds=60) < 400 * 25
    assert connection.closed
