"""What each connection does when the server is asked to stop."""

from __future__ import annotations

import pytest
from wire import HANDSHAKE, ask, asked, body_of, statuses

from microsock import Request
from microsock.testing import read_frames

from .sample import Sample


def test_an_idle_connection_has_half_a_second_for_a_request_that_is_on_its_way() -> None:
    client, connection = asked(Sample().app, b"")
    client.world.drain()
    client.advance(0.4)
    connection.send(ask())
    answer = connection.receive()
    assert statuses(answer) == [200]
    assert b"Connection: close\r\n" in answer
    assert connection.ended

    client, connection = asked(Sample().app, ask())
    client.world.drain()
    client.advance(0.4)
    assert not connection.closed
    client.advance(0.1)
    connection.receive()
    assert connection.ended


def test_a_connection_that_begins_now_has_half_a_second_for_its_request() -> None:
    client, connection = asked(Sample().app, b"")
    client.world.drain()
    late, slow, silent = (client.raw_connection() for _ in range(3))
    client.advance(0.4)
    assert [each.ended for each in (late, slow, silent)] == [False] * 3
    late.send(ask())
    slow.send(b"GET")
    assert statuses(late.receive()) == [200]
    client.advance(0.1)
    assert silent.receive() == b""
    assert silent.ended
    client.advance(0.4)
    assert statuses(slow.receive()) == [408]
    connection.receive()
    assert connection.ended


def test_a_half_head_is_closed_at_once() -> None:
    client, connection = asked(Sample().app, b"GET / HT")
    client.world.drain()
    assert connection.receive() == b""
    assert connection.ended


def test_a_half_body_may_be_finished() -> None:
    client, connection = asked(Sample().app, ask(method="POST", body=b"hello")[:-1])
    client.world.drain()
    client.advance(3)
    connection.send(b"o")
    assert body_of(connection.receive()) == b"hello"
    assert connection.ended


def test_an_answer_that_is_due_or_under_way_is_still_given() -> None:
    sample = Sample()
    client, later = asked(sample.app, ask("/later"))
    large = client.raw_connection(capacity=1000)
    large.send(ask("/large"))
    client.world.drain()
    client.advance(5)
    sample.tokens[0].complete("at last")
    assert body_of(later.receive()) == b"at last"
    assert len(large.receive()) > 1_000_000
    client.advance(0.5)
    assert large.receive() == b""
    assert later.ended
    assert large.ended


def test_a_websocket_is_told_1001() -> None:
    client, connection = asked(Sample().app, HANDSHAKE)
    client.world.drain()
    (frame,) = read_frames(bytearray(body_of(connection.receive())))
    assert frame.payload[:2] == (1001).to_bytes(2, "big")


def test_a_peer_that_does_not_hang_up_is_not_waited_for_as_long_as_at_other_times() -> None:
    # So that all is over within a second: half of one for an idle connection's request, and this.
    client, idle = asked(Sample().app, ask())
    ended = client.raw_connection()
    ended.send(ask("/", "Connection: close"))
    for each in (idle, ended):
        each.receive()
    client.world.drain()
    client.advance(0.25)
    assert ended.closed
    client.advance(0.25)
    idle.receive()
    assert (idle.ended, idle.closed) == (True, False)
    client.advance(0.25)
    assert idle.closed


def test_one_that_lingers_already_goes_on_lingering() -> None:
    client, connection = asked(Sample().app, ask("/", "Connection: close"))
    connection.receive()
    client.world.drain()
    assert not connection.closed
    connection.half_close()
    assert connection.closed


@pytest.mark.parametrize("before", [0, 1])
def test_a_connection_whose_own_handler_stops_the_server_is_over_within_half_a_second(before: int) -> None:
    app = Sample().app

    @app.get("/stop")
    def stop(request: Request) -> str:
        # As the signal does: every connection is told at once.
        client.world.site.draining = True
        for wire in client.world._wires:
            wire.connection.drain()
        return "stopping"

    client, connection = asked(app, ask() * before, keep_alive_timeout=60)
    connection.receive()
    connection.send(ask("/stop"))
    assert body_of(connection.receive()) == b"stopping"
    client.advance(0.5)
    assert connection.receive() == b""
    assert connection.ended
