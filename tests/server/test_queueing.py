"""What a connection queues and hands over: in how many calls, in which order, and what happens where that fails."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from wire import HANDSHAKE, ask, statuses

from microsock import App

from .line import Line
from .sample import Sample

KIB = 1024


def open_line() -> Line:
    """A WebSocket that is open, with room for all that is queued."""
    app = App()
    app.websocket("/ws")(lambda ws, message: None)
    line = Line(app)
    line.transport._capacity = 1 << 20
    line.send(HANDSHAKE)
    line.take()
    line.transport.sizes.clear()
    return line


def calls_soon(line: Line) -> list[Callable[[], None]]:
    """Notes what the connection has called soon, from here on."""
    noted: list[Callable[[], None]] = []
    call_soon = line.world.site.call_soon

    def note(call: Callable[[], None]) -> None:
        noted.append(call)
        call_soon(call)

    line.world.site.call_soon = note
    return noted


@pytest.mark.parametrize(
    ("pieces", "calls"),
    [
        ([1], [1]),
        ([1, 2, 3], [6]),
        # Up to 64 KiB are joined.
        ([40 * KIB, 24 * KIB], [64 * KIB]),
        # More than that leave at once, as a large piece does.
        ([40 * KIB, 24 * KIB, 1], [64 * KIB, 1]),
        ([40 * KIB, 25 * KIB], [40 * KIB, 25 * KIB]),
        ([100 * KIB, 1, 2], [100 * KIB, 3]),
        ([1, 100 * KIB], [1, 100 * KIB]),
    ],
)
def test_what_is_pushed_leaves_in_order_and_in_few_calls(pieces: list[int], calls: list[int]) -> None:
    line = open_line()
    data = [bytes([65 + number]) * size for number, size in enumerate(pieces)]
    before = line.connection.sent
    for piece in data:
        line.connection.push(piece)
    line.world.settle()
    assert line.transport.sizes == calls
    assert line.take() == b"".join(data)
    assert (line.connection.sent - before, line.connection.queued_bytes) == (sum(pieces), 0)


def test_several_pushes_are_sent_by_one_call_and_the_next_by_another() -> None:
    line = open_line()
    soon = calls_soon(line)
    for _ in range(2):
        line.connection.push(b"a")
        line.connection.push(b"b")
        assert len(soon) == 1
        line.world.settle()
        assert line.take() == b"ab"
        soon.clear()


def test_a_push_behind_something_written_leaves_with_it_in_the_turn_that_is_due() -> None:
    line = open_line()
    soon = calls_soon(line)
    for _ in range(2):
        line.connection.write([b"a", b"b"])
        line.connection.write([b"c"])
        line.connection.push(b"d")
        assert len(soon) == 1
        line.world.settle()
        assert line.take() == b"abcd"
        soon.clear()


@pytest.mark.parametrize("room", [1, 10, 50])
def test_a_small_answer_that_the_kernel_takes_in_part_arrives_whole(room: int) -> None:
    line = Line(Sample().app)
    line.transport._capacity = room
    line.send(ask())
    first = line.transport.take()
    assert first is not None
    assert (len(first), line.connection.sent) == (room, room)
    assert line.transport.watched == (True, True)
    left = line.connection.queued_bytes
    line.go_on()
    answer = first + line.take()
    assert (statuses(answer), answer[-5:]) == ([200], b"index")
    assert left == len(answer) - room
    assert (line.connection.sent, line.connection.queued_bytes) == (len(answer), 0)
    assert line.transport.watched == (True, False)
    line.send(ask())
    assert line.take()[-5:] == b"index"


def write(line: Line) -> None:
    line.connection.write([b"a"])


def push(line: Line) -> None:
    line.connection.push(b"a")


def burst(line: Line) -> None:
    line.connection.push(bytes(100 * KIB))


def request(line: Line) -> None:
    line.send(ask())


@pytest.mark.parametrize("does", [write, push, request])
def test_a_transport_that_fails_as_none_should_ends_its_connection_and_is_logged(
    does: Callable[[Line], None], caplog: pytest.LogCaptureFixture
) -> None:
    line = Line(Sample().app)

    def send(data: bytes | memoryview) -> int:
        raise ValueError("not like this")

    line.transport.send = send  # type: ignore[method-assign]
    does(line)
    line.world.settle()
    assert (line.ended, line.transport.closed, line.connection.closed) == (1, True, True)
    assert caplog.messages == ["unexpected error on the connection from 1.2.3.4"]
    assert "ValueError: not like this" in caplog.text


@pytest.mark.parametrize("does", [write, push, burst, request])
def test_a_peer_that_has_gone_ends_its_connection_without_a_word(
    does: Callable[[Line], None], caplog: pytest.LogCaptureFixture
) -> None:
    line = Line(Sample().app)

    def send(data: bytes | memoryview) -> int:
        raise ConnectionResetError

    line.transport.send = send  # type: ignore[method-assign]
    does(line)
    line.world.settle()
    assert (line.ended, line.transport.closed, line.connection.queued_bytes) == (1, True, 0)
    assert caplog.messages == []
