"""How many connections one address may have."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from certs import client_context, issued

from microsock import App, BadSetting, Request, Server
from microsock.request import Address
from microsock.server.listener import UNIX_CLIENT
from microsock.server.per_address import REFUSAL, AddressLimit

HELLO = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


def test_one_address_may_have_so_many_and_others_have_theirs() -> None:
    limit = AddressLimit(2)
    here, there = [Address("1.2.3.4", port) for port in (1, 2, 3)], Address("1.2.3.5", 1)
    assert [limit.admit(client) for client in (*here, there)] == [True, True, False, True]
    limit.released(here[0])
    assert [limit.admit(client) for client in here] == [True, False, False]


def test_the_hosts_of_one_ipv6_network_are_one() -> None:
    limit = AddressLimit(2)
    hosts = ("2001:db8::1", "2001:db8::ffff:2", "2001:db8:0:0:9::", "2001:db8:0:1::1")
    assert [limit.admit(Address(host, 1)) for host in hosts] == [True, True, False, True]


def test_clients_of_a_unix_socket_are_not_counted() -> None:
    limit = AddressLimit(1)
    assert all(limit.admit(UNIX_CLIENT) for _ in range(9))
    limit.released(UNIX_CLIENT)
    assert len(limit) == 0


def test_an_address_is_forgotten_with_its_last_connection() -> None:
    limit = AddressLimit(5)
    clients = [Address(f"10.0.{number}.1", 9) for number in range(200)]
    for client in clients * 2:
        limit.admit(client)
    for client in clients * 2:
        limit.released(client)
    assert len(limit) == 0


def test_what_is_refused_has_the_length_that_it_says() -> None:
    head, _, body = REFUSAL.partition(b"\r\n\r\n")
    assert b"Content-Length: %d\r\n" % len(body) in head


@pytest.mark.parametrize("value", [0, -1, "many"])
def test_the_setting_is_a_number_from_one_up(value: object) -> None:
    with pytest.raises(BadSetting, match="max_connections_per_address"):
        Server(App(), port=0, autostart=False, max_connections_per_address=value)


# Over real sockets.


@contextlib.contextmanager
def serving(**settings: Any) -> Iterator[Server]:
    app = App(access_log=False)

    @app.get("/")
    def hello(request: Request) -> str:
        return "hello"

    with Server(app, port=0, max_connections_per_address=2, **settings) as server:
        yield server


def connected(server: Server) -> socket.socket:
    client = socket.create_connection(server.address)
    client.settimeout(10)
    turn(server)
    return client


def turn(server: Server) -> None:
    for _ in range(5):
        server.step(0.01)


@pytest.mark.server
def test_a_client_past_the_limit_is_told_and_closed_and_the_others_are_served() -> None:
    with serving() as server, contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connected(server)) for _ in range(2)]
        with connected(server) as refused:
            assert b"".join(iter(lambda: refused.recv(4096), b"")) == REFUSAL
        for client in clients:
            client.sendall(HELLO)
            turn(server)
            assert client.recv(4096).endswith(b"hello")
        clients[0].close()
        turn(server)
        with connected(server) as welcome:
            welcome.sendall(HELLO)
            turn(server)
            assert welcome.recv(4096).endswith(b"hello")
        assert server.app.report()["connections"]["refused"] == 1


@pytest.mark.server
def test_handshakes_count_and_who_is_refused_with_tls_is_closed() -> None:
    pem = issued("localhost")
    with serving(ssl_certfile=pem.certificate, ssl_keyfile=pem.key) as server, contextlib.ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(connected(server))
        with connected(server) as refused:
            assert refused.recv(4096) == b""
        stack.pop_all().close()
        turn(server)
        context = client_context()
        with connected(server) as client:
            client.setblocking(False)
            with context.wrap_socket(client, server_hostname="localhost", do_handshake_on_connect=False) as tls:
                for _ in range(20):
                    with contextlib.suppress(ssl.SSLWantReadError):
                        tls.do_handshake()
                        break
                    turn(server)
                assert tls.version() is not None


@pytest.mark.server
def test_over_a_unix_socket_any_number_may_come(tmp_path: Path) -> None:
    app = App(access_log=False)
    path = tmp_path / "s"
    with Server(app, f"unix:{path}", max_connections_per_address=1) as server, contextlib.ExitStack() as stack:
        for _ in range(5):
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.connect(str(path))
        turn(server)
        assert server.app.report()["connections"]["open"] == 5
