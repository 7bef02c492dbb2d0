"""A sample of the cases through a real socket, against a server in a thread."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from microsock import Server

from .case import NEXT, Case
from .checks import continued
from .subject import make_app
from .table import CASES, UNMET
from .verdict import Outcome, verdict

pytestmark = pytest.mark.server

# Nothing takes so long; it only ends a test that would hang.
_PATIENCE = 20.0
_SAMPLE = [case for case in CASES if not case.wait and case.name not in UNMET][::3]


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with Server(make_app(), port=0, access_log=False, allowed_hosts="*") as server:
        assert server.port is not None
        thread = threading.Thread(target=server.run)
        thread.start()
        yield server.port
        server.shutdown()
        thread.join(_PATIENCE)
    assert not thread.is_alive()


def _run(port: int, case: Case) -> Outcome:
    with socket.create_connection(("127.0.0.1", port), _PATIENCE) as connection:
        received = b""
        try:
            connection.sendall(case.raw)
            if continued in case.checks:
                received = connection.recv(65_536)
            connection.sendall(case.rest)
            if case.closes is False:
                connection.sendall(NEXT)
            if case.closes is not True or case.half_close:
                connection.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused while it was still being sent; the answer must be readable all the same
        received += _read_to_end(connection)
    return _without_follow_up(case, received)


def _read_to_end(connection: socket.socket) -> bytes:
    received = bytearray()
    while piece := connection.recv(65_536):
        received += piece
    return bytes(received)


def _without_follow_up(case: Case, received: bytes) -> Outcome:
    if case.closes is not False:
        return Outcome(received, ended=True)
    # The connection is ours to end; what answers NEXT is the last answer.
    start = received.rfind(b"HTTP/1.1 ")
    return Outcome(received[:start], ended=False, follow_up=received[start:])


@pytest.mark.parametrize("case", _SAMPLE, ids=str)
def test_the_answer_is_right(port: int, case: Case) -> None:
    complaints = verdict(case, _run(port, case))
    assert not complaints, f"RFC {case.section}, {case.level}: {case.name}"
