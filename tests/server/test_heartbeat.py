"""How long a WebSocket waits: for pongs, for a peer that does not read, for the answer to its Close."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

import pytest
from wire import HANDSHAKE, asked, message, opened

from microsock import App, WebSocket, sleep
from microsock.testing import Frame, RawConnection, TestClient, build_frame, read_frames
from microsock.testing.frames import CLOSE, PING, PONG

MIB = 1 << 20


@pytest.fixture
def app() -> App:
    app = App()

    @app.websocket("/ws")
    def answer(ws: WebSocket, message: str) -> None:
        if "large" in message:
            ws.send(bytes(MIB))
        if "close" in message:
            ws.close(4000)

    return app


@pytest.fixture(autouse=True)
def no_errors(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """A connection that ends by an error of ours has ended too, and is none that a deadline has closed."""
    yield
    assert [record.message for record in caplog.get_records("call") if record.levelname == "ERROR"] == []


def sip(client: TestClient, connection: RawConnection, size: int, seconds: float) -> int:
    """Receive ``size`` bytes every second for so long; gives how many came."""
    got = 0
    while seconds > 0 and not connection.closed:
        client.advance(1)
        got += len(connection.receive(size))
        seconds -= 1
    return got


def frames_of(connection: RawConnection) -> list[Frame]:
    data = connection.receive()
    return list(read_frames(bytearray(data.partition(b"\r\n\r\n")[2] if data.startswith(b"HTTP") else data)))


def test_a_websocket_is_pinged_and_cut_when_nothing_comes_back(app: App) -> None:
    client, connection = asked(app, HANDSHAKE, ping_interval=20, ping_timeout=10)
    client.advance(19.9)
    assert frames_of(connection) == []
    client.advance(0.1)
    assert frames_of(connection) == [Frame(PING, b"", True, 0)]
    client.advance(9.9)
    assert not connection.closed
    client.advance(0.1)
    assert connection.closed


def test_one_whose_network_is_dead_too_is_cut_after_ping_timeout(app: App) -> None:
    client, connection = asked(app, HANDSHAKE, ping_interval=20, ping_timeout=10)
    client.advance(29.9)
    assert not connection.closed
    client.advance(0.1)
    assert connection.closed


@pytest.mark.parametrize("sign", [build_frame(PONG, b""), message("here")])
def test_one_that_answers_survives(app: App, sign: bytes) -> None:
    client, connection = asked(app, HANDSHAKE, ping_interval=20, ping_timeout=10)
    for _ in range(5):
        client.advance(20)
        assert frames_of(connection)[-1].opcode == PING
        connection.send(sign)
    assert not connection.closed


# What stands before it waits here, or in the kernel.
@pytest.mark.parametrize("capacity", [10_000, 2 * MIB])
def test_a_ping_behind_a_queue_has_its_time_from_when_it_has_left(app: App, capacity: int) -> None:
    client, connection = asked(
        app, HANDSHAKE + message("large"), capacity=capacity, ping_interval=20, ping_timeout=8, write_timeout=60
    )
    assert sip(client, connection, 20_000, seconds=52) > 20 * 50_000
    while (piece := connection.receive()) and not piece.endswith(build_frame(PING, b"", mask=None)):
        pass
    client.advance(7.9)
    assert not connection.closed
    client.advance(1.2)  # it is looked after each second
    assert connection.closed


@pytest.mark.parametrize("capacity", [10_000, 2 * MIB])
def test_a_ping_that_waited_for_a_moment_only_has_its_time_from_then(app: App, capacity: int) -> None:
    client, connection = asked(
        app, HANDSHAKE + message("large"), capacity=capacity, ping_interval=20, ping_timeout=8, write_timeout=60
    )
    client.advance(20.5)
    assert len(connection.receive()) > MIB
    client.advance(8.4)
    assert not connection.closed
    client.advance(0.2)
    assert connection.closed


def test_without_ping_interval_nobody_is_pinged(app: App) -> None:
    client, connection = asked(app, HANDSHAKE, ping_interval=None)
    client.advance(3600)
    assert frames_of(connection) == []
    assert not connection.closed


def test_a_slow_but_steady_peer_with_1_mib_queued_outlives_its_pings(app: App) -> None:
    client, connection = asked(app, HANDSHAKE + message("large"), capacity=10_000)
    assert sip(client, connection, 20_000, seconds=70) > MIB
    assert not connection.closed


def test_a_peer_that_does_not_read_is_cut_after_write_timeout(app: App) -> None:
    client, ws = opened(app, write_timeout=20)
    ws.pause()
    ws.send("large")
    client.advance(19.9)
    assert not ws._connection.wire.transport.closed
    client.advance(2.6)
    assert ws._connection.wire.transport.closed


def test_a_peer_that_does_not_answer_our_close_is_cut_after_close_timeout(app: App) -> None:
    client, connection = asked(app, HANDSHAKE + message("close"), close_timeout=5)
    assert [frame.opcode for frame in frames_of(connection)] == [CLOSE]
    client.advance(4.9)
    assert not connection.closed
    client.advance(0.1)
    assert connection.closed


def test_what_was_sent_before_our_close_is_not_cut_short_by_close_timeout(app: App) -> None:
    client, connection = asked(app, HANDSHAKE + message("large, then close"), capacity=10_000, close_timeout=5)
    assert sip(client, connection, 20_000, seconds=40) == 40 * 20_000
    *_, last = read_frames(bytearray(connection.receive()[-4:]))
    assert last == Frame(CLOSE, (4000).to_bytes(2, "big"), True, 0)
    client.advance(10)
    assert connection.closed


def test_a_flood_against_a_generator_that_sleeps_is_held_back_and_pings_do_not_cut_it() -> None:
    app = App()

    @app.websocket("/ws")
    def sleeper(ws: WebSocket) -> Generator[Any, Any, None]:
        yield from sleep(300)
        for _ in range(300):
            yield from ws.receive()
        ws.send("read it all")
        yield from ws.receive()

    client, connection = asked(app, HANDSHAKE + message(bytes(10_000)) * 300 + build_frame(PONG, b""))
    client.advance(299)
    assert connection.closed is False
    assert frames_of(connection)[-1].opcode == PING
    client.advance(1)
    assert frames_of(connection)[-1].payload == b"read it all"
    client.advance(15)
    assert not connection.closed


def test_pings_stop_with_the_close(app: App) -> None:
    client, connection = asked(app, HANDSHAKE, ping_interval=1, close_timeout=50)
    client.app.websockets[0].close()
    client.advance(10)
    assert [frame.opcode for frame in frames_of(connection)] == [CLOSE]


def test_one_that_opens_late_is_pinged_as_well(app: App) -> None:
    client, connection = asked(app, b"", ping_interval=20, head_timeout=60)
    client.advance(30)
    connection.send(HANDSHAKE)
    client.advance(19.9)
    assert frames_of(connection) == []
    client.advance(0.1)
    assert [frame.opcode for frame in frames_of(connection)] == [PING]


def test_one_that_answers_is_pinged_each_time_however_long_it_may_take_to_answer(app: App) -> None:
    client, connection = asked(app, HANDSHAKE, ping_interval=1, ping_timeout=30)
    for _ in range(5):
        client.advance(1)
        assert [frame.opcode for frame in frames_of(connection)] == [PING]
        connection.send(build_frame(PONG, b""))


def test_one_that_has_not_answered_yet_is_not_pinged_again(app: App) -> None:
    client, connection = asked(app, HANDSHAKE, ping_interval=1, ping_timeout=30)
    client.advance(10)
    assert [frame.opcode for frame in frames_of(connection)] == [PING]


def test_our_close_is_waited_for_though_no_pong_comes(app: App) -> None:
    client, connection = asked(app, HANDSHAKE, ping_interval=3, ping_timeout=1, close_timeout=10)
    client.advance(2.5)
    client.app.websockets[0].close()
    client.advance(9.9)
    assert not connection.closed
    client.advance(0.1)
    assert connection.closed


@pytest.mark.parametrize("seconds", [25, 45])
def test_one_that_was_not_read_from_has_ping_timeout_from_when_it_is_again_and_no_more(seconds: int) -> None:
    app = App()

    @app.websocket("/ws")
    def sleeper(ws: WebSocket) -> Generator[Any, Any, None]:
        yield from sleep(seconds)
        while True:
            yield from ws.receive()

    client, connection = asked(app, HANDSHAKE + message(bytes(16 << 10)) * 8, ping_interval=20, ping_timeout=10)
    client.advance(20)
    assert [frame.opcode for frame in frames_of(connection)] == [PING]
    client.advance(seconds - 20 + 9.9)
    assert not connection.closed
    client.advance(0.2)
    assert connection.closed
