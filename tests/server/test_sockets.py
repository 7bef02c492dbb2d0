from __future__ import annotations

import errno
import os
import socket
import struct
import weakref
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from microsock.server.loop import Loop
from microsock.server.sockets import SocketTransport
from microsock.server.transport import Transport

pytestmark = pytest.mark.server


class Ends(NamedTuple):
    """A transport on our end of a TCP connection, and the peer's socket."""

    transport: SocketTransport
    ours: socket.socket
    peer: socket.socket
    loop: Loop


class Recorder:
    """A handler that writes down what it is told."""

    def __init__(self, fails: bool = False, fails_to_abort: bool = False) -> None:
        self.news: list[object] = []
        self._fails = fails
        self._fails_to_abort = fails_to_abort

    def handle(self, readable: bool, writable: bool) -> None:
        self.news.append((readable, writable))
        if self._fails:
            raise RuntimeError("handle is broken")

    def abort(self) -> None:
        self.news.append("aborted")
        if self._fails_to_abort:
            raise RuntimeError("abort is broken")


@pytest.fixture
def ends() -> Iterator[Ends]:
    loop = Loop()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        peer = socket.create_connection(listening.getsockname())
        ours, _ = listening.accept()
    transport = SocketTransport(ours, loop)
    with peer:
        yield Ends(transport, ours, peer, loop)
    transport.close()
    loop.close()


def reset(peer: socket.socket) -> None:
    """Close so that the other end is told by a RST."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


def test_the_socket_never_blocks_sends_at_once_and_has_a_bounded_buffer(ends: Ends) -> None:
    assert not ends.ours.getblocking()
    assert not os.get_inheritable(ends.ours.fileno())
    assert ends.ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
    # Linux doubles what it is asked for, to have room for its own records.
    assert ends.ours.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) <= 2 * (256 << 10)


def test_a_unix_socket_has_no_nodelay_to_set() -> None:
    loop = Loop()
    ours, theirs = socket.socketpair()
    transport: Transport = SocketTransport(ours, loop)
    theirs.send(b"hello")
    assert transport.recv(100) == b"hello"
    transport.close()
    theirs.close()
    loop.close()


def test_recv_tells_nothing_now_from_the_end(ends: Ends) -> None:
    assert ends.transport.recv(100) is None
    ends.peer.send(b"hello")
    assert ends.transport.recv(2) == b"he"
    assert ends.transport.recv(100) == b"llo"
    ends.peer.shutdown(socket.SHUT_WR)
    assert ends.transport.recv(100) == b""


def test_send_takes_what_fits_and_then_nothing(ends: Ends) -> None:
    data = memoryview(bytes(8 << 20))
    taken = ends.transport.send(data)
    assert 0 < taken < len(data)
    while ends.transport.send(data):
        pass
    assert ends.transport.send(data) == 0


def test_two_pieces_leave_together_as_far_as_they_fit(ends: Ends) -> None:
    assert ends.transport.send_two(b"head", memoryview(b"body")) == 8
    first, second = b"h" * 100, b"b" * (8 << 20)
    taken = ends.transport.send_two(first, second)
    assert len(first) < taken < len(second)
    while more := ends.transport.send_two(memoryview(second)[taken - 100 :], b"end"):
        taken += more
    received = bytearray()
    while len(received) < taken + 8:
        received += ends.peer.recv(1 << 20)
    assert received == b"headbody" + (first + second)[:taken]


def test_unacknowledged_bytes_are_counted_until_the_peer_takes_them(ends: Ends) -> None:
    assert ends.transport.unacknowledged() == 0
    sent = 0
    while taken := ends.transport.send(bytes(64 << 10)):
        sent += taken
    waiting = ends.transport.unacknowledged()
    assert 0 < waiting <= sent
    while sent:
        sent -= len(ends.peer.recv(1 << 20))
    assert ends.transport.unacknowledged() == 0


def test_a_reset_by_the_peer_is_a_connection_error(ends: Ends) -> None:
    reset(ends.peer)
    with pytest.raises(ConnectionResetError):
        ends.transport.recv(100)
    with pytest.raises(ConnectionError):
        ends.transport.send(b"x")
    with pytest.raises(ConnectionError):
        ends.transport.send_two(b"x", b"y")


class Unreachable(socket.socket):
    """A socket whose peer the network cannot reach any more."""

    def recv(self, *arguments: object) -> bytes:
        raise TimeoutError(errno.ETIMEDOUT, "timed out")

    def send(self, *arguments: object) -> int:
        raise OSError(errno.EHOSTUNREACH, "no route to host")

    def sendmsg(self, *arguments: object) -> int:
        raise OSError(errno.EHOSTUNREACH, "no route to host")

    def shutdown(self, how: int) -> None:
        raise OSError(errno.EIO, "broken")


def test_whatever_ends_a_connection_is_a_connection_error() -> None:
    loop = Loop()
    transport = SocketTransport(Unreachable(), loop)
    with pytest.raises(ConnectionError, match="timed out"):
        transport.recv(100)
    with pytest.raises(ConnectionError, match="no route to host") as lost:
        transport.send(b"x")
    assert lost.value.errno == errno.EHOSTUNREACH
    with pytest.raises(ConnectionError, match="no route to host"):
        transport.send_two(b"x", b"y")
    with pytest.raises(OSError, match="broken"):
        transport.shutdown_write()
    transport.close()
    loop.close()


def test_ending_our_side_leaves_the_peers_open(ends: Ends) -> None:
    ends.transport.shutdown_write()
    assert ends.peer.recv(100) == b""
    ends.peer.send(b"still here")
    assert ends.transport.recv(100) == b"still here"


def test_ending_our_side_after_a_reset_is_no_error(ends: Ends) -> None:
    reset(ends.peer)
    with pytest.raises(ConnectionResetError):
        ends.transport.recv(100)
    ends.transport.shutdown_write()


def test_the_handler_hears_what_it_watches_for(ends: Ends) -> None:
    handler = ends.transport.handler = Recorder()
    ends.transport.watch(True, False)
    ends.loop.step()
    ends.peer.send(b"hello")
    ends.loop.step(1)
    ends.transport.watch(False, True)
    ends.loop.step(1)
    ends.transport.watch(False, False)
    ends.loop.step()
    assert handler.news == [(True, False), (False, True)]


def test_without_a_handler_news_is_left_for_later(ends: Ends) -> None:
    ends.transport.watch(True, True)
    ends.loop.step()
    handler = ends.transport.handler = Recorder()
    ends.loop.step()
    assert handler.news == [(False, True)]


def test_a_closed_transport_lets_go_of_everything(ends: Ends) -> None:
    told = weakref.ref(handler := Recorder())
    ends.transport.handler = handler
    del handler
    ends.transport.watch(True, True)
    ends.transport.close()
    ends.transport.close()
    assert told() is None
    assert ends.ours.fileno() == -1
    assert ends.loop.step() == 0
    assert ends.peer.recv(100) == b""


def test_a_handler_that_raises_is_aborted_and_logged(ends: Ends, caplog: pytest.LogCaptureFixture) -> None:
    handler = ends.transport.handler = Recorder(fails=True)
    ends.transport.watch(False, True)
    ends.loop.step()
    assert handler.news == [(False, True), "aborted"]
    assert "handle is broken" in caplog.text
    assert ends.ours.fileno() == -1


def test_a_handler_that_cannot_even_abort_is_not_called_again(ends: Ends, caplog: pytest.LogCaptureFixture) -> None:
    handler = ends.transport.handler = Recorder(fails=True, fails_to_abort=True)
    ends.transport.watch(False, True)
    ends.loop.step()
    ends.loop.step()
    assert handler.news == [(False, True), "aborted"]
    assert "abort is broken" in caplog.text
