from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
from collections.abc import Iterator

import pytest

from microsock.errors import BindError, PortInUseError
from microsock.request import Address
from microsock.server.binding import bind

pytestmark = pytest.mark.server


@contextlib.contextmanager
def bound(host: str, port: int = 0) -> Iterator[list[socket.socket]]:
    sockets = bind(Address(host, port), 16)
    try:
        yield sockets
    finally:
        for sock in sockets:
            sock.close()


Found = tuple[socket.AddressFamily, int, int, str, tuple[str, int]]


def answers(*found: tuple[socket.AddressFamily, str]) -> object:
    """A resolver that knows these addresses."""

    def getaddrinfo(*arguments: object, **more: object) -> list[Found]:
        return [(family, socket.SOCK_STREAM, 6, "", (host, 0)) for family, host in found]

    return getaddrinfo


def test_port_0_finds_a_free_port_that_accepts() -> None:
    with bound("127.0.0.1") as [sock], socket.create_connection(sock.getsockname()) as client:
        assert client.getpeername() == sock.getsockname()


def test_the_sockets_neither_block_nor_are_inherited() -> None:
    with bound("127.0.0.1") as [sock]:
        assert not sock.getblocking()
        assert not os.get_inheritable(sock.fileno())


def test_every_address_of_a_name_is_bound_to_one_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", answers((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")))
    with bound("two.example") as sockets:
        assert [sock.getsockname()[0] for sock in sockets] == ["127.0.0.1", "::1"]
        assert len({sock.getsockname()[1] for sock in sockets}) == 1


def test_an_address_that_is_named_twice_is_bound_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", answers(*[(socket.AF_INET, "127.0.0.1")] * 2))
    with bound("twice.example") as sockets:
        assert len(sockets) == 1


def test_every_interface_means_both_families() -> None:
    with bound("") as sockets:
        assert {sock.family for sock in sockets} == {socket.AF_INET, socket.AF_INET6}


def test_an_address_that_this_machine_lacks_is_passed_over_if_there_is_another(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(socket, "getaddrinfo", answers((socket.AF_INET6, "2001:db8::1"), (socket.AF_INET, "127.0.0.1")))
    with bound("half.example") as sockets:
        assert [sock.family for sock in sockets] == [socket.AF_INET]
    assert "this machine does not have that address" in caplog.text


def test_a_port_in_use_names_its_holder() -> None:
    with bound("127.0.0.1") as [sock]:
        port = sock.getsockname()[1]
        with pytest.raises(PortInUseError, match=rf"127\.0\.0\.1:{port} is in use by pid {os.getpid()} \(") as refused:
            bind(Address("127.0.0.1", port), 16)
    assert refused.value.errno == errno.EADDRINUSE
    assert isinstance(refused.value, OSError)


def test_a_holder_that_cannot_be_known_is_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("microsock.adapters.ports.holder_of", lambda host, port: None)
    with bound("127.0.0.1") as [sock], pytest.raises(PortInUseError, match=r"is in use$"):
        bind(Address(*sock.getsockname()), 16)


def test_a_free_port_that_the_second_address_cannot_have_is_tried_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", answers((socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "127.0.0.2")))
    with socket.socket() as taken:
        real_listen = socket.socket.listen
        times: list[int] = []

        def listen(self: socket.socket, backlog: int) -> None:
            real_listen(self, backlog)
            port = self.getsockname()[1]
            times.append(port)
            if len(times) == 1:
                taken.bind(("127.0.0.2", port))
                real_listen(taken, 1)

        monkeypatch.setattr(socket.socket, "listen", listen)
        with bound("two.example") as sockets:
            assert len(sockets) == 2
            assert sockets[0].getsockname()[1] == times[-1]


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(BindError, match=r"cannot listen on 192\.0\.2\.1:80: this machine does not have that address"):
        bind(Address("192.0.2.1", 80), 16)


@pytest.mark.parametrize("host", ["nosuch.invalid", "a..b"])
def test_a_name_that_does_not_resolve_is_refused(host: str) -> None:
    with pytest.raises(BindError, match=f"cannot listen on {host}:80: the name does not resolve"):
        bind(Address(host, 80), 16)


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (
            errno.EACCES,
            "cannot listen on port 80: permission denied (ports below 1024 need root or CAP_NET_BIND_SERVICE)",
        ),
        (errno.EMFILE, "cannot listen on 127.0.0.1:80: Too many open files"),
    ],
)
def test_what_the_system_refuses_is_said_in_words(number: int, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: socket.socket, address: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(socket.socket, "bind", refuse)
    with pytest.raises(BindError) as refused:
        bind(Address("127.0.0.1", 80), 16)
    assert str(refused.value) == message
    assert refused.value.errno == number
