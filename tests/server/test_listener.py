from __future__ import annotations

import errno
import logging
import os
import resource
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from microsock.request import Address
from microsock.server.binding import Bound
from microsock.server.certificates import Certificates
from microsock.server.listener import UNIX_CLIENT, Listener, client_address, connection_limit
from microsock.server.loop import Loop
from microsock.server.unixsocket import bind_unix

from .clock import Clock

pytestmark = pytest.mark.server


class Sparse(socket.socket):
    """A listening socket that accepts only while the system has something to give."""

    errors: list[int]

    def accept(self) -> tuple[socket.socket, tuple[str, int]]:
        if self.errors:
            number = self.errors.pop(0)
            raise OSError(number, os.strerror(number))
        return super().accept()


class Desk:
    """A listener on a clock, its clients, and those whom it let in."""

    def __init__(self, max_connections: int = 100, sockets: int = 1, batch: int = 16) -> None:
        self.clock = Clock()
        self.loop = Loop(self.clock)
        self.listening = [self.bound() for _ in range(sockets)]
        self.accepted: list[tuple[socket.socket, Address]] = []
        self.clients: list[socket.socket] = []
        bound = [Bound(sock) for sock in self.listening]
        self.listener = Listener(bound, self.loop, max_connections=max_connections, accepted=self.let_in, batch=batch)
        self.drained = 0

    def bound(self) -> Sparse:
        sock = Sparse()
        sock.errors = []
        sock.bind(("127.0.0.1", 0))
        sock.listen(100)
        sock.setblocking(False)
        return sock

    def let_in(self, sock: socket.socket, client: Address, certificates: Certificates | None) -> None:
        self.accepted.append((sock, client))

    def connect(self, count: int = 1, to: int = 0) -> None:
        for _ in range(count):
            self.clients.append(socket.create_connection(self.listening[to].getsockname()))

    def turns(self, count: int = 1, at: float | None = None) -> int:
        """How many are in after that many turns."""
        if at is not None:
            self.clock.now = at
        for _ in range(count):
            self.loop.step()
        return len(self.accepted)

    def drain(self, most: int = 100) -> None:
        self.listener.drain(most, self.note_drained)

    def note_drained(self) -> None:
        self.drained += 1

    def leave(self) -> None:
        """One of those inside leaves."""
        sock, client = self.accepted.pop()
        sock.close()
        self.listener.released(client)

    def close(self) -> None:
        self.listener.close()
        self.loop.close()
        for sock in [*self.clients, *(sock for sock, _ in self.accepted)]:
            sock.close()


@pytest.fixture
def desk() -> Iterator[Desk]:
    desk = Desk()
    yield desk
    desk.close()


@pytest.fixture
def small() -> Iterator[Desk]:
    desk = Desk(max_connections=2)
    yield desk
    desk.close()


@pytest.fixture
def modest() -> Iterator[Desk]:
    desk = Desk(batch=1)
    yield desk
    desk.close()


def test_a_client_is_let_in_with_its_address(desk: Desk) -> None:
    assert desk.turns() == 0
    desk.connect()
    assert desk.turns() == 1
    assert desk.accepted[0][1] == Address(*desk.clients[0].getsockname())
    assert desk.listener.connections == 1


def test_a_client_of_a_unix_socket_has_no_address_of_its_own(desk: Desk, tmp_path: Path) -> None:
    sock, _ = bind_unix(str(tmp_path / "a.sock"), None, 16)
    listener = Listener([Bound(sock)], desk.loop, max_connections=5, accepted=desk.let_in)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(sock.getsockname())
        assert desk.turns() == 1
    assert desk.accepted[0][1] == UNIX_CLIENT == Address("unix", 0)
    listener.close()


@pytest.mark.parametrize(
    ("peer", "host"), [("::ffff:192.0.2.7", "192.0.2.7"), ("::ffff:1", "::ffff:1"), ("::1", "::1")]
)
def test_a_client_of_ipv4_shows_as_one_on_an_ipv6_socket_too(peer: str, host: str) -> None:
    assert client_address((peer, 7, 0, 0)) == Address(host, 7)


def test_one_turn_accepts_at_most_16_so_that_others_get_theirs(desk: Desk) -> None:
    desk.connect(40)
    assert desk.turns() == 16
    assert desk.turns() == 32
    assert desk.turns() == 40


def test_all_its_sockets_are_listened_on() -> None:
    desk = Desk(sockets=2)
    desk.connect(to=0)
    desk.connect(to=1)
    assert desk.turns() == 2
    desk.close()


def test_past_the_most_connections_clients_wait_until_one_leaves(small: Desk, caplog: pytest.LogCaptureFixture) -> None:
    small.connect(5)
    assert small.turns(3) == 2
    assert "max_connections is reached (2); new clients wait" in caplog.text
    small.leave()
    assert small.turns(3) == 2
    small.leave()
    small.leave()
    assert small.turns(3) == 2


def test_at_the_limit_the_loop_rests(small: Desk) -> None:
    small.connect(5)
    small.turns()
    assert small.loop.step() == 0


def test_a_server_at_its_limit_writes_one_line_a_second(small: Desk, caplog: pytest.LogCaptureFixture) -> None:
    small.connect(30)
    for tenth in range(25):
        small.turns(at=tenth / 10)
        if tenth:
            small.leave()
    assert len(caplog.records) == 3


def test_a_client_that_gave_up_in_the_backlog_is_passed_over(desk: Desk) -> None:
    desk.listening[0].errors = [errno.ECONNABORTED]
    desk.connect()
    assert desk.turns() == 1


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
def test_without_descriptors_it_looks_away_longer_and_longer_up_to_a_second(number: int, desk: Desk) -> None:
    desk.listening[0].errors = [number] * 6
    desk.connect()
    pauses = []
    while not desk.turns():
        assert desk.loop.step() == 0
        wait = desk.loop.next_timeout()
        assert wait is not None
        pauses.append(wait)
        desk.turns(at=desk.clock.now + wait)
    assert pauses == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.0, 1.0])


def test_after_it_could_accept_again_the_pauses_are_short_again(desk: Desk) -> None:
    desk.listening[0].errors = [errno.EMFILE, errno.EMFILE]
    desk.connect()
    desk.turns()
    desk.turns(2, at=0.1)
    assert desk.turns(2, at=0.4) == 1
    desk.listening[0].errors = [errno.EMFILE]
    desk.connect()
    desk.turns()
    assert desk.loop.next_timeout() == pytest.approx(0.1)


def test_while_it_looks_away_it_writes_one_line_a_second(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    desk.listening[0].errors = [errno.EMFILE] * 1000
    desk.connect()
    for tenth in range(30):
        desk.turns(3, at=tenth / 10)
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 3
    assert messages[0] == "cannot accept a connection: Too many open files (0 are open); new clients wait"
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


def test_a_client_that_cannot_be_served_is_closed_and_not_counted(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    def refuse(sock: socket.socket, client: Address, certificates: Certificates | None) -> None:
        raise RuntimeError("nobody at home")

    listener = Listener([Bound(desk.bound())], desk.loop, max_connections=5, accepted=refuse)
    with socket.create_connection(listener.bound[0].sock.getsockname()) as client:
        desk.turns()
        assert client.recv(100) == b""
    assert listener.connections == 0
    assert "nobody at home" in caplog.text
    listener.close()


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 40])
def test_before_it_closes_it_accepts_who_waits(desk: Desk, count: int) -> None:
    desk.connect(count)
    desk.drain()
    assert desk.turns(4) == count
    assert (desk.listener.closed, desk.drained) == (True, 1)


@pytest.mark.parametrize("count", [1, 5, 6])
def test_it_accepts_no_more_in_one_turn_than_before_when_it_is_about_to_close(modest: Desk, count: int) -> None:
    modest.connect(count)
    modest.drain()
    assert [len(modest.accepted), *(modest.turns() for _ in range(count))] == [*range(1, count + 1), count]
    assert modest.drained == 1


def test_two_that_drain_one_backlog_share_it_and_leave_nobody_behind(modest: Desk) -> None:
    desk, taken = modest, list[socket.socket]()
    same = Bound(socket.socket(fileno=os.dup(desk.listening[0].fileno())))  # as another worker has it
    same.sock.setblocking(False)
    other = Listener([same], desk.loop, max_connections=9, accepted=lambda sock, *_: taken.append(sock), batch=1)
    desk.connect(7)
    desk.drain()
    other.drain(100, desk.note_drained)
    desk.turns(7)
    assert sorted([len(desk.accepted), len(taken)]) == [3, 4]
    assert (desk.listener.closed, other.closed, desk.drained) == (True, True, 2)
    for sock in taken:
        sock.close()


def test_who_connects_all_the_time_cannot_keep_it_from_closing(desk: Desk) -> None:
    desk.connect(20)
    desk.drain(most=5)
    assert (len(desk.accepted), desk.listener.closed, desk.drained) == (5, True, 1)


def test_where_the_limit_is_reached_the_rest_of_the_backlog_waits_for_room(small: Desk) -> None:
    small.connect(3)
    small.drain()
    assert small.turns(3) == 2
    assert small.drained == 0
    small.leave()
    assert small.turns(2) == 2
    small.leave()
    small.turns(2)
    assert small.drained == 1


def test_without_a_descriptor_to_be_had_the_backlog_waits_for_one(desk: Desk) -> None:
    desk.connect(2)
    desk.listening[0].errors = [errno.EMFILE]
    desk.drain()
    assert desk.turns(2) == 0
    assert desk.turns(3, at=1) == 2
    assert desk.listener.closed


@pytest.mark.parametrize("ours", [True, False])
def test_a_backlog_that_is_emptied_takes_nobody_more_where_it_is_ours(ours: bool) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=50) as sock:
        bound = Bound(sock, ours=ours)
        bound.queue_nobody()
        clients = [socket.socket() for _ in range(4)]
        for client in clients:
            client.settimeout(0.2)
        came = [client.connect_ex(sock.getsockname()) == 0 for client in clients]
        assert came == ([True, False, False, False] if ours else [True] * 4)
        for client in clients:
            client.close()


def test_closed_while_it_looked_away_it_stays_closed(desk: Desk) -> None:
    desk.listening[0].errors = [errno.EMFILE]
    desk.connect()
    desk.turns()
    where = desk.listening[0].getsockname()
    desk.listener.close()
    assert desk.turns(2, at=5) == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(where)


def test_the_limit_is_the_setting_or_what_the_descriptors_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: (64, 64))
    assert connection_limit(None) == 32
    assert connection_limit(500) == 500
    monkeypatch.setattr(resource, "getrlimit", lambda which: (16, 16))
    assert connection_limit(None) == 1
