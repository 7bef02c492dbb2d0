"""Handshakes and TLS connections over a real socket, both ends turned by hand: no thread, no waiting."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
from collections.abc import Callable, Iterator

import pytest
from certs import client_context, issued

from microsock.server.certificates import Certificates
from microsock.server.loop import Loop
from microsock.server.tls import Handshake, TlsTransport
from microsock.server.transport import Transport
from microsock.settings import Settings

from .clock import Clock

pytestmark = pytest.mark.server

TURNS = 2000


class Reader:
    """A handler that wants to read, and keeps what it reads."""

    def __init__(self, transport: TlsTransport, size: int = 1 << 16) -> None:
        self.transport = transport
        self.size = size
        self.data = b""
        self.ended = False
        self.lost: ConnectionError | None = None
        self.writable = 0
        transport.handler = self
        transport.watch(True, False)

    def handle(self, readable: bool, writable: bool) -> None:
        self.writable += writable
        if not readable:
            return
        try:
            data = self.transport.recv(self.size)
        except ConnectionError as error:
            self.lost = error
            self.transport.watch(False, False)
            return
        self.data += data or b""
        if data == b"":
            self.ended = True
            self.transport.watch(False, False)

    def abort(self) -> None:
        self.transport.close()


class Desk:
    """A handshake on our side; the client's socket, whose TLS begins when asked to."""

    def __init__(self, seconds: float = 10.0) -> None:
        pem = issued("localhost")
        self.clock = Clock()
        self.loop = Loop(self.clock)
        self.context = Certificates(Settings(ssl_certfile=pem.certificate, ssl_keyfile=pem.key)).context
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.plain = socket.create_connection(listening.getsockname())
            ours, _ = listening.accept()
        self.outcome: list[TlsTransport | None] = []
        self.handshake = Handshake(ours, self.context, self.loop, seconds=seconds, done=self.done)
        self.tls: ssl.SSLSocket | None = None

    def done(self, handshake: Handshake, transport: TlsTransport | None) -> None:
        assert handshake is self.handshake
        self.outcome.append(transport)

    def shake(self, context: ssl.SSLContext | None = None) -> None:
        self.plain.setblocking(False)
        self.tls = (context or client_context()).wrap_socket(
            self.plain, server_hostname="localhost", do_handshake_on_connect=False
        )
        self.until(self.client_shaken)
        self.until(lambda: bool(self.outcome))

    def client_shaken(self) -> bool:
        assert self.tls is not None
        try:
            self.tls.do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return False
        return True

    def until(self, condition: Callable[[], object]) -> None:
        for _ in range(TURNS):
            if condition():
                return
            self.loop.step(0.001)
        raise AssertionError("it does not come about")

    @property
    def transport(self) -> TlsTransport:
        assert self.outcome
        assert self.outcome[0] is not None
        return self.outcome[0]

    @property
    def client(self) -> ssl.SSLSocket:
        assert self.tls is not None
        return self.tls

    def received(self, size: int = 1 << 16) -> bytes | None:
        """What the client has received, None if nothing."""
        try:
            return self.client.recv(size)
        except ssl.SSLWantReadError:
            return None

    def close(self) -> None:
        if not self.outcome:
            self.handshake.abort()
        if self.outcome[0] is not None:
            self.outcome[0].close()
        (self.tls or self.plain).close()
        self.loop.close()


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    yield desk
    desk.close()


@pytest.fixture
def shaken(desk: Desk) -> Desk:
    desk.shake()
    return desk


# The handshake.


def test_after_the_handshake_there_is_a_transport(shaken: Desk) -> None:
    transport: Transport = shaken.transport
    assert transport.recv(100) is None
    assert not shaken.loop.timers


def test_a_peer_that_says_nothing_is_closed_at_the_timeout(desk: Desk) -> None:
    desk.clock.now = 9.9
    desk.loop.step()
    assert desk.outcome == []
    desk.clock.now = 10
    desk.loop.step()
    assert desk.outcome == [None]
    assert desk.plain.recv(100) == b""


def test_a_peer_that_drips_its_hello_is_closed_at_the_timeout_too(desk: Desk) -> None:
    for second, byte in enumerate(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"):
        desk.clock.now = second
        desk.plain.setblocking(True)
        if not desk.outcome:
            desk.plain.send(bytes([byte]))
            desk.loop.step(0.1)
    assert desk.outcome == [None]


def test_in_a_hurry_there_is_less_time_and_never_more(desk: Desk) -> None:
    desk.handshake.hurry(60)
    desk.handshake.hurry(0.5)
    desk.clock.now = 0.5
    desk.loop.step()
    assert desk.outcome == [None]


def test_nonsense_ends_the_handshake(desk: Desk) -> None:
    desk.plain.send(b"\x00" * 100)
    desk.until(lambda: desk.outcome)
    assert desk.outcome == [None]


def test_a_peer_that_leaves_ends_the_handshake(desk: Desk) -> None:
    desk.plain.shutdown(socket.SHUT_WR)
    desk.until(lambda: desk.outcome)
    assert desk.outcome == [None]


def test_a_peer_that_resets_ends_the_handshake(desk: Desk) -> None:
    desk.plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    desk.plain.close()
    desk.until(lambda: desk.outcome)
    assert desk.outcome == [None]


def test_a_client_that_does_not_trust_us_is_gone(desk: Desk) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        desk.shake(ssl.create_default_context())
    desk.until(lambda: desk.outcome)
    if desk.outcome[0] is not None:  # in TLS 1.3 it tells after our last word
        reader = Reader(desk.outcome[0])
        desk.until(lambda: reader.lost or reader.ended)
    else:
        assert desk.outcome == [None]


def test_plain_http_is_told_in_plain_http(desk: Desk) -> None:
    desk.plain.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    desk.until(lambda: desk.outcome)
    desk.plain.setblocking(True)
    answer = b"".join(iter(lambda: desk.plain.recv(4096), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    assert b"this port speaks TLS" in body


# Reading.


def test_what_the_peer_sends_is_read(shaken: Desk) -> None:
    reader = Reader(shaken.transport)
    shaken.client.send(b"hello")
    shaken.until(lambda: reader.data == b"hello")


def test_more_than_one_record_is_read_at_once(shaken: Desk) -> None:
    reader = Reader(shaken.transport)
    rest = memoryview(bytes(200_000))
    sizes: list[int] = []

    def sent() -> bool:
        nonlocal rest
        if rest:
            with contextlib.suppress(ssl.SSLWantWriteError):
                rest = rest[shaken.client.send(rest) :]
        sizes.append(len(reader.data))
        return len(reader.data) == 200_000

    shaken.until(sent)


def test_what_openssl_holds_back_needs_no_news_from_the_socket(shaken: Desk) -> None:
    reader = Reader(shaken.transport, size=10)
    shaken.client.send(b"0123456789" * 100)
    shaken.until(lambda: len(reader.data) == 1000)


def test_nothing_is_read_while_nobody_wants_it(shaken: Desk) -> None:
    reader = Reader(shaken.transport, size=10)
    shaken.transport.watch(False, False)
    shaken.client.send(b"0123456789" * 3)
    shaken.until(lambda: shaken.transport.recv(10) == b"0123456789")
    for _ in range(5):
        shaken.loop.step(0.01)
    assert reader.data == b""
    shaken.transport.watch(True, False)
    shaken.until(lambda: len(reader.data) == 20)


def test_the_end_behind_full_records_is_told(shaken: Desk) -> None:
    reader = Reader(shaken.transport)
    shaken.client.send(bytes(16384))
    # close_notify without a FIN: the socket has no news after these bytes.
    with pytest.raises(ssl.SSLWantReadError):
        shaken.client.unwrap()
    shaken.until(lambda: reader.ended)
    assert len(reader.data) == 16384


def test_an_end_without_goodbye_is_an_end(shaken: Desk) -> None:
    reader = Reader(shaken.transport)
    shaken.client.shutdown(socket.SHUT_WR)  # of the socket below; no close_notify
    shaken.until(lambda: reader.ended)


def test_garbage_between_records_loses_the_connection(shaken: Desk) -> None:
    reader = Reader(shaken.transport)
    socket.socket.send(shaken.client, b"\x17\x03\x03\x00\x20" + bytes(32))
    shaken.until(lambda: reader.lost)


def test_a_reset_ends_the_connection(shaken: Desk) -> None:
    reader = Reader(shaken.transport)
    shaken.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    shaken.client.close()
    # Which of the two depends on OpenSSL's version; what is sent then loses it in any case.
    shaken.until(lambda: reader.lost or reader.ended)
    with pytest.raises(ConnectionError):
        shaken.transport.send(b"hello")


# Writing.


def test_what_is_sent_arrives(shaken: Desk) -> None:
    assert shaken.transport.send(b"hello") == 5
    shaken.until(lambda: shaken.received() == b"hello")


def test_of_two_pieces_the_first_goes_alone_and_the_second_behind_it(shaken: Desk) -> None:
    assert shaken.transport.send_two(b"head", b"body") == 4
    assert shaken.transport.send(b"body") == 4
    received = b""
    while len(received) < 8:
        received += shaken.received() or b""
    assert received == b"headbody"


def test_a_large_answer_is_taken_as_far_as_the_kernel_has_room_and_no_byte_is_lost(shaken: Desk) -> None:
    data = bytes(index % 251 for index in range(4_000_000))
    rest = memoryview(data)
    arrived: list[bytes] = []
    reader = Reader(shaken.transport)
    while rest:
        taken = shaken.transport.send(rest)
        rest = rest[taken:]
        if rest:
            assert taken < len(data)
            shaken.transport.watch(True, True)
            reader.writable = 0
            while (piece := shaken.received()) is not None:
                arrived.append(piece)
            shaken.until(lambda: reader.writable)
    assert shaken.transport.unacknowledged() >= 0
    while sum(map(len, arrived)) < len(data):
        arrived.append(shaken.received() or b"")
    assert b"".join(arrived) == data


def test_to_a_peer_that_is_gone_sending_is_a_connection_error(shaken: Desk) -> None:
    shaken.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    shaken.client.close()
    with pytest.raises(ConnectionError):
        for _ in range(TURNS):
            shaken.transport.send(b"hello")


# The end.


def test_our_end_is_said_and_what_the_peer_still_sends_is_drained(shaken: Desk) -> None:
    reader = Reader(shaken.transport)
    shaken.transport.shutdown_write()
    shaken.until(lambda: shaken.received() == b"")
    shaken.client.send(b"more")
    shaken.client.shutdown(socket.SHUT_WR)
    shaken.until(lambda: reader.ended)


def test_our_end_costs_nothing_where_the_peer_is_gone(shaken: Desk) -> None:
    shaken.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    shaken.client.close()
    shaken.transport.shutdown_write()
    shaken.transport.close()
    shaken.transport.close()


# Where TLS wants the other direction.


class Contrary(ssl.SSLSocket):
    """Wants to write before it reads and to read before it writes, once."""

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        raise ssl.SSLWantWriteError

    def send(self, data: object, flags: int = 0) -> int:
        raise ssl.SSLWantReadError


def test_a_read_that_wants_to_write_waits_for_room(shaken: Desk) -> None:
    transport, tls = shaken.transport, shaken.transport._tls
    kind = type(tls)
    reader = Reader(transport)
    tls.__class__ = Contrary
    shaken.client.send(b"hello")
    shaken.until(lambda: transport._read_wants_write)
    # The socket is readable all the time, but would not do; it has room, and that is tried.
    assert transport.events == 2
    tls.__class__ = kind
    shaken.until(lambda: reader.data == b"hello")
    assert transport.events == 1
    assert reader.writable == 0


def test_a_write_that_wants_to_read_waits_for_bytes(shaken: Desk) -> None:
    transport, tls = shaken.transport, shaken.transport._tls
    kind = type(tls)
    reader = Reader(transport)
    transport.watch(False, True)
    tls.__class__ = Contrary
    assert transport.send(b"hello") == 0
    assert transport.events == 1
    tls.__class__ = kind
    shaken.client.send(b"key update")
    shaken.until(lambda: reader.writable)
    assert reader.data == b""
    assert transport.send(b"hello") == 5
    assert transport.events == 2
    shaken.until(lambda: shaken.received() == b"hello")
