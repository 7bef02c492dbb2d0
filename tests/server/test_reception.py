from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import suppress

import pytest
from certs import client_context, issued

from microsock.request import Address
from microsock.server.certificates import Certificates
from microsock.server.loop import Loop
from microsock.server.reception import Reception
from microsock.server.sockets import SocketTransport
from microsock.server.tls import TlsTransport
from microsock.settings import Settings

from .clock import Clock

pytestmark = pytest.mark.server

CLIENT = Address("192.0.2.7", 7)
TURNS = 2000


class Hall:
    """A reception, and what it tells."""

    def __init__(self) -> None:
        pem = issued("localhost")
        self.certificates = Certificates(Settings(ssl_certfile=pem.certificate, ssl_keyfile=pem.key))
        self.clock = Clock()
        self.loop = Loop(self.clock)
        self.welcomed: list[tuple[SocketTransport, Address, str]] = []
        self.left = 0
        self.fails = False
        self.clients: list[socket.socket] = []
        self.reception = Reception(self.loop, 10, welcome=self.welcome, left=self.leave)

    def welcome(self, transport: SocketTransport, client: Address, scheme: str) -> None:
        if self.fails:
            raise RuntimeError("nobody at home")
        self.welcomed.append((transport, client, scheme))

    def leave(self, client: Address) -> None:
        assert client == CLIENT
        self.left += 1

    def pair(self) -> socket.socket:
        """Our end of a connection; the client's stands in ``clients``."""
        with socket.create_server(("127.0.0.1", 0)) as listening:
            self.clients.append(socket.create_connection(listening.getsockname()))
            return listening.accept()[0]

    def come(self, tls: bool = True) -> None:
        self.reception.receive(self.pair(), CLIENT, self.certificates if tls else None)

    def shake(self) -> None:
        """The last client does its part, until the reception has nobody left to wait for."""
        plain = self.clients.pop()
        plain.setblocking(False)
        tls = client_context().wrap_socket(plain, server_hostname="localhost", do_handshake_on_connect=False)
        self.clients.append(tls)
        for _ in range(TURNS):
            if not self.reception.waiting:
                return
            with suppress(ssl.SSLWantReadError):
                tls.do_handshake()
            self.loop.step(0.001)
        raise AssertionError("the handshake hangs")

    def close(self) -> None:
        self.reception.abort()
        for transport, _, _ in self.welcomed:
            transport.close()
        for client in self.clients:
            client.close()
        self.loop.close()


@pytest.fixture
def hall() -> Iterator[Hall]:
    hall = Hall()
    yield hall
    hall.close()


def test_plain_http_comes_in_at_once(hall: Hall) -> None:
    hall.come(tls=False)
    [(transport, client, scheme)] = hall.welcomed
    assert (type(transport), client, scheme) == (SocketTransport, CLIENT, "http")


def test_tls_comes_in_after_its_handshake(hall: Hall) -> None:
    hall.come()
    assert (hall.welcomed, hall.reception.waiting) == ([], 1)
    hall.shake()
    [(transport, client, scheme)] = hall.welcomed
    assert (type(transport), client, scheme) == (TlsTransport, CLIENT, "https")
    assert hall.left == 0


def test_who_does_not_end_its_handshake_has_left(hall: Hall) -> None:
    hall.come()
    hall.clock.now = 10
    hall.loop.step()
    assert (hall.welcomed, hall.reception.waiting, hall.left) == ([], 0, 1)


def test_a_socket_that_is_gone_before_its_handshake_has_left(hall: Hall) -> None:
    sock = hall.pair()
    sock.close()
    hall.reception.receive(sock, CLIENT, hall.certificates)
    assert (hall.reception.waiting, hall.left) == (0, 1)


def test_who_cannot_be_welcomed_is_closed_and_has_left(hall: Hall, caplog: pytest.LogCaptureFixture) -> None:
    hall.fails = True
    hall.come()
    hall.shake()
    assert (hall.welcomed, hall.left) == ([], 1)
    assert "nobody at home" in caplog.text
    with pytest.raises(RuntimeError, match="nobody at home"):
        hall.come(tls=False)


def test_while_the_server_stops_there_is_half_a_second(hall: Hall) -> None:
    hall.come()
    hall.reception.drain()
    hall.come()
    hall.clock.now = 0.5
    hall.loop.step()
    assert (hall.reception.waiting, hall.left) == (0, 2)


def test_a_handshake_that_ends_in_time_is_welcome_while_the_server_stops(hall: Hall) -> None:
    hall.come()
    hall.reception.drain()
    hall.shake()
    assert len(hall.welcomed) == 1


def test_given_up_all_have_left(hall: Hall) -> None:
    hall.come()
    hall.come()
    hall.reception.abort()
    assert (hall.reception.waiting, hall.left) == (0, 2)
    for client in hall.clients:
        assert client.recv(1) == b""
