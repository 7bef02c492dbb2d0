from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from microsock.adapters.channel import Channel, framed
from microsock.server.loop import Loop

pytestmark = pytest.mark.server


class Ends:
    """Two channels on one loop, and what came of them."""

    def __init__(self, limit: int = 1 << 20) -> None:
        self.loop = Loop()
        self.heard: list[bytes] = []
        self.closed: list[str] = []
        one, other = socket.socketpair()
        self.one = Channel(
            one, self.loop, received=lambda message: None, closed=lambda: self.closed.append("one"), limit=limit
        )
        self.other = Channel(other, self.loop, received=self.heard.append, closed=self.end, limit=limit)

    def end(self) -> None:
        self.closed.append("other")

    def turn(self, until: Callable[[], object]) -> None:
        for _ in range(10_000):
            if until():
                return
            self.loop.step(0.01)
        raise AssertionError("it never came to that")

    def close(self) -> None:
        self.one.close()
        self.other.close()
        self.loop.close()


@pytest.fixture
def ends() -> Iterator[Ends]:
    made = Ends()
    yield made
    made.close()


def test_messages_arrive_whole_and_in_order(ends: Ends) -> None:
    sent = [b"", b"x", b"y" * 700_000, b"z"]
    for message in sent:
        assert ends.one.send(message)
        ends.turn(lambda: not ends.one.queued_bytes)
    ends.turn(lambda: len(ends.heard) == len(sent))
    assert ends.heard == sent


def test_past_the_limit_a_message_is_not_queued() -> None:
    ends = Ends(limit=1000)
    assert ends.one.send(b"a" * 900)
    assert not ends.one.send(b"b" * 900)
    assert ends.one.queued_bytes == 904
    ends.turn(lambda: ends.heard)
    assert ends.heard == [b"a" * 900]
    assert ends.one.send(b"c" * 900)
    ends.close()


def test_a_message_that_is_longer_than_the_limit_ends_the_channel() -> None:
    with ExitStack() as stack:
        one, other = map(stack.enter_context, socket.socketpair())
        loop = Loop()
        stack.callback(loop.close)
        closed: list[bool] = []
        Channel(other, loop, received=lambda message: None, closed=lambda: closed.append(True), limit=100)
        one.sendall((101).to_bytes(4, "big"))
        loop.step(1)
        assert closed == [True]
        assert one.recv(1) == b""


def test_the_other_end_is_told_once_when_one_closes_after_what_was_sent(ends: Ends) -> None:
    ends.one.send(b"goodbye")
    ends.one.close()
    ends.turn(lambda: ends.closed)
    assert ends.heard == [b"goodbye"]
    assert ends.closed == ["other"]
    assert not ends.other.send(b"to nobody")


def test_what_a_dead_process_has_sent_can_be_read_out_at_once(ends: Ends) -> None:
    ends.one.send(b"x" * 150_000)
    ends.one.send(b"last words")
    ends.one.close()
    ends.other.read_out()
    assert ends.closed == ["other"]
    assert len(ends.heard) <= 2


def test_what_the_other_end_said_last_is_heard_even_if_it_can_be_sent_nothing_more() -> None:
    with ExitStack() as stack:
        one, other = socket.socketpair()
        loop = Loop()
        stack.callback(loop.close)
        heard: list[bytes] = []
        closed: list[bool] = []
        channel = Channel(other, loop, received=heard.append, closed=lambda: closed.append(True))
        one.sendall(framed(b"last words"))
        one.close()
        channel.send(b"too late")
        loop.call_soon(lambda: None)
        for _ in range(3):
            loop.step(0)
        assert heard == [b"last words"]
        assert closed == [True]


def test_an_error_in_one_message_keeps_no_other_from_being_heard(caplog: pytest.LogCaptureFixture) -> None:
    with ExitStack() as stack:
        one, other = map(stack.enter_context, socket.socketpair())
        loop = Loop()
        stack.callback(loop.close)
        heard: list[int] = []
        Channel(other, loop, received=lambda message: heard.append(int(message)), closed=lambda: None)
        one.sendall(framed(b"1") + framed(b"two") + framed(b"3"))
        loop.step(1)
        assert heard == [1, 3]
    assert "a message from another process is not understood: invalid literal for int()" in caplog.text


class Flood:
    """A channel that gets one bad message after the other, on a clock of its own."""

    def __init__(self, error: Exception) -> None:
        self.now = 0.0
        self.loop = Loop(lambda: self.now)
        self.sock, other = socket.socketpair()
        self.error = error
        self.heard = 0
        self.channel = Channel(other, self.loop, received=self.take, closed=lambda: None, peer="worker 3 (pid 7)")

    def take(self, message: bytes) -> None:
        self.heard += 1
        raise self.error

    def send(self, count: int) -> None:
        self.heard = 0
        self.sock.sendall(framed(b"nonsense") * count)
        while self.heard < count:
            self.loop.step(1)

    def later(self, seconds: float) -> None:
        self.now += seconds
        self.loop.step(0)

    def close(self) -> None:
        self.channel.close()
        self.sock.close()
        self.loop.close()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("\x1b[2Jno\nline"), "a message from worker 3 (pid 7) is not understood: \\x1b[2Jno\\nline"),
        (ZeroDivisionError("oh"), "unexpected error in a message from worker 3 (pid 7)"),
    ],
)
def test_a_flood_of_bad_messages_is_one_line_and_a_count_in_ten_seconds(
    error: Exception, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    flood = Flood(error)
    flood.send(1000)
    assert [record.getMessage() for record in caplog.records] == [said]
    assert (caplog.records[0].exc_info is not None) is not isinstance(error, ValueError)
    flood.later(10)
    flood.send(500)
    flood.later(10)
    flood.later(10)
    flood.send(2)
    flood.close()
    count = "messages from worker 3 (pid 7) that were passed over: %d more in the last 10 s"
    said_all = [said, count % 999, count % 500, said, count % 1]
    assert [record.getMessage() for record in caplog.records] == said_all


def test_a_forgotten_channel_leaves_the_other_processs_loop_alone(ends: Ends) -> None:
    ends.one.forget()
    assert not ends.one.open
    ends.turn(lambda: ends.closed)
    assert ends.closed == ["other"]


def test_what_is_said_last_is_waited_for_while_the_other_end_takes_it() -> None:
    one, other = socket.socketpair()
    loop, taken = Loop(), bytearray()
    channel = Channel(one, loop, received=lambda message: None, closed=lambda: None)

    def take() -> None:
        while data := other.recv(64 << 10):
            taken.extend(data)

    reader = threading.Thread(target=take)
    with other:
        channel.send(b"x" * (4 << 20))
        reader.start()
        channel.close(within=10)
        reader.join()
    loop.close()
    assert len(taken) == 4 + (4 << 20)


def test_an_end_that_takes_nothing_is_not_waited_for_any_longer() -> None:
    one, other = socket.socketpair()
    loop = Loop()
    channel = Channel(one, loop, received=lambda message: None, closed=lambda: None)
    with other:
        channel.send(b"x" * (4 << 20))
        channel.close(within=0.05)
    loop.close()
    assert not channel.open
