"""How a worker leaves while another serves in its place: a rolling reload, as its clients see it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from wire import HANDSHAKE, ask, asked, body_of, message, statuses

from microsock.request import Address
from microsock.server.connection import Connection
from microsock.server.leaving import Leaving
from microsock.testing import RawConnection, TestClient, read_frames
from microsock.testing.memory import MemoryTransport

from .sample import Sample


class Open:
    """The connections of a client that are open, as a service has them."""

    def __init__(self, client: TestClient) -> None:
        self._client = client

    def __iter__(self) -> Iterator[Connection]:
        return (wire.connection for wire in self._client.world._wires if not wire.connection.closed)

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __contains__(self, each: object) -> bool:
        return each in list(iter(self))


def leave(client: TestClient, within: float = 10.0) -> Leaving:
    """Another worker serves now."""
    site = client.world.site
    site.ending = site.draining = site.leaving = True
    leaving = Leaving(Open(client), client.world.timers, within)
    leaving.begin()
    client.advance(0)
    return leaving


def is_cut(connection: RawConnection) -> bool:
    """Whether the server has given it up."""
    return connection.closed


def close_code(connection: RawConnection) -> int | None:
    """Of the Close frame behind what came before, if there is one."""
    frames = list(read_frames(bytearray(connection.receive())))
    return int.from_bytes(frames[-1].payload[:2], "big") if frames else None


def test_an_idle_connection_stays_for_its_next_request_which_ends_it() -> None:
    client, connection = asked(Sample().app, ask(), keep_alive_timeout=60)
    connection.receive()
    leave(client, within=10)
    client.advance(45)
    assert not connection.closed
    connection.send(ask())
    answer = connection.receive()
    assert statuses(answer) == [200]
    assert b"Connection: close\r\n" in answer
    assert connection.ended


def test_an_idle_connection_that_asks_for_nothing_ends_by_its_own_deadline() -> None:
    client, connection = asked(Sample().app, ask(), keep_alive_timeout=60)
    connection.receive()
    leave(client)
    client.advance(59)
    assert not connection.ended
    client.advance(1)
    assert connection.receive() == b""
    assert connection.ended


def test_a_half_head_may_be_finished() -> None:
    client, connection = asked(Sample().app, ask()[:-2])
    leave(client)
    client.advance(2)
    connection.send(ask()[-2:])
    assert statuses(connection.receive()) == [200]
    assert connection.ended


def test_what_runs_has_the_grace_time_and_is_cut_then() -> None:
    sample = Sample()
    client, first = asked(sample.app, ask("/later"))
    second = client.raw_connection()
    second.send(ask("/later"))
    leave(client, within=10)
    client.advance(9)
    sample.tokens[0].complete("in time")
    assert body_of(first.receive()) == b"in time"
    client.advance(1)
    assert second.closed


class NotDraining(Connection):
    """One that fails where it is told to drain."""

    def drain(self) -> None:
        raise ValueError("on purpose")


class NotAborting(Connection):
    """One that fails where it is cut."""

    def abort(self) -> None:
        was_closed = self.closed
        super().abort()
        if not was_closed:
            raise ValueError("on purpose")


@pytest.mark.parametrize("kind", [NotDraining, NotAborting])
def test_one_that_fails_meanwhile_keeps_no_other_from_leaving(
    kind: type[Connection], caplog: pytest.LogCaptureFixture
) -> None:
    client, connection = asked(Sample().app, ask("/later"))
    world = client.world
    transport = MemoryTransport()
    transport.deliver(ask("/later"))
    failing = kind(world.site, transport, world.timers, client=Address("1.2.3.4", 5), on_closed=lambda each: None)
    failing.handle(True, False)
    world.site.ending = world.site.draining = world.site.leaving = True
    Leaving([failing, *Open(client)], world.timers, 10.0).begin()
    client.advance(9)
    assert not connection.closed
    client.advance(1)
    assert (failing.closed, connection.closed) == (True, True)
    assert caplog.messages.count("unexpected error on the connection from 1.2.3.4") == 1


def test_a_request_that_begins_just_before_the_cut_has_the_grace_time_too(caplog: pytest.LogCaptureFixture) -> None:
    sample = Sample()
    client, connection = asked(sample.app, ask(), keep_alive_timeout=60)
    connection.receive()
    leave(client, within=10)
    client.advance(10)
    connection.send(ask("/later"))
    client.advance(9)
    assert not connection.closed
    client.advance(10)
    assert not connection.closed
    client.advance(1)
    assert is_cut(connection)
    assert "the time to leave is over; connections cut: 1" in caplog.text


def test_a_websocket_is_told_1012() -> None:
    client, connection = asked(Sample().app, HANDSHAKE)
    connection.receive()
    leave(client)
    assert close_code(connection) == 1012


def test_many_websockets_are_sent_away_one_after_the_other() -> None:
    client, first = asked(Sample().app, HANDSHAKE)
    sockets = [first, *(client.raw_connection() for _ in range(99))]
    for each in sockets[1:]:
        each.send(HANDSHAKE)
    for each in sockets:
        each.receive()
    leave(client)
    client.advance(1.5)
    codes = [close_code(each) for each in sockets]
    assert 40 <= codes.count(1012) <= 60
    client.advance(1.5)
    assert [code or close_code(each) for code, each in zip(codes, sockets, strict=True)] == [1012] * 100


def test_a_websocket_that_waits_for_its_turn_is_still_served() -> None:
    client, first = asked(Sample().app, HANDSHAKE)
    second = client.raw_connection()
    second.send(HANDSHAKE)
    first.receive(), second.receive()
    leave(client)
    waiting = second if close_code(first) else first
    waiting.send(message("still there"))
    assert b"still there" in waiting.receive()


def test_if_the_whole_server_stops_after_all_nobody_is_spared() -> None:
    client, connection = asked(Sample().app, ask(), keep_alive_timeout=60)
    connection.receive()
    leaving = leave(client)
    leaving.give_up()
    client.world.site.leaving = False
    client.world.drain()
    client.advance(0.5)
    connection.receive()
    assert connection.ended


def test_once_the_whole_server_stops_the_time_to_stop_counts_and_not_the_time_to_leave() -> None:
    sample = Sample()
    client, connection = asked(sample.app, ask("/later"), grace=30)
    leaving = leave(client, within=10)
    client.advance(5)
    leaving.give_up()
    client.world.site.leaving = False
    client.world.drain()
    client.advance(24)
    sample.tokens[0].complete("in time")
    assert body_of(connection.receive()) == b"in time"
