"""Promises 55 and 56 of the feature table: only an earlier microsock server of ours is ended, and nobody else."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from microsock import BadSetting, BindError, free_port_if_stuck, is_port_free
from microsock.adapters import freeing
from microsock.adapters.mark import Mark
from microsock.adapters.ports import listening_on
from microsock.adapters.processes import begun, is_alive

pytestmark = pytest.mark.server

SERVER = """
import sys, signal, threading
from microsock import App, Server
app = App()
app.ping()
with Server(app, port=0{settings}) as server:
    {first}
    print(server.port, flush=True)
    {serve}
"""
OTHER = """
import socket
listening = socket.create_server(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
input()
"""


@contextmanager
def holder(code: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process counts as one that was started after all others, and as nobody's child."""
    monkeypatch.setattr(freeing, "begun", lambda pid: begun(pid) + (1 << 40) * (pid == os.getpid()))


def server(first: str = "pass", serve: str = "server.run()", settings: str = "") -> str:
    return SERVER.format(first=first, serve=serve, settings=settings)


# 55


def test_a_port_is_free_until_somebody_listens_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
        assert not is_port_free(port)
        assert not is_port_free(port, "")
        assert not is_port_free(port, "localhost")
        assert is_port_free(port, "127.0.0.2")
    assert is_port_free(port)


def test_a_connection_that_has_closed_does_not_keep_a_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            sock.accept()[0].close()  # our end closes first, and lingers in TIME_WAIT
    assert is_port_free(port)


def test_trying_does_not_take_the_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    assert all(is_port_free(port) for _ in range(3))
    socket.create_server(("127.0.0.1", port)).close()


@pytest.mark.parametrize("port", [0, -1, 65536, True, "80"])
def test_what_is_no_port_is_refused(port: int) -> None:
    for function in (is_port_free, free_port_if_stuck):
        with pytest.raises(BadSetting, match="expected a number from 1 to 65535"):
            function(port)


def test_a_host_that_is_not_ours_is_refused() -> None:
    with pytest.raises(BindError, match=r"192\.0\.2\.1"):
        is_port_free(8080, "192.0.2.1")
    with pytest.raises(BindError, match="does not resolve"):
        is_port_free(8080, "no such host")


# 56


def test_a_free_port_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
    assert free_port_if_stuck(port)


def test_an_earlier_server_of_ours_is_asked_to_stop(later: None) -> None:
    with holder(server()) as (process, port):
        assert free_port_if_stuck(port, timeout=20)
        assert process.wait(20) == 0
    assert is_port_free(port)


def test_a_server_that_only_listens_is_known_for_one_too(later: None) -> None:
    with holder(server(serve="input()")) as (process, port):
        assert free_port_if_stuck(port, timeout=20)
        assert process.wait(20) != 0


def test_one_that_does_not_end_is_killed_only_if_that_is_wanted(later: None, caplog: pytest.LogCaptureFixture) -> None:
    deaf = server(first="signal.signal(signal.SIGTERM, signal.SIG_IGN)", serve="threading.Event().wait()")
    with holder(deaf) as (process, port):
        assert not free_port_if_stuck(port, timeout=0.2)
        assert "did not end in 0.2 s; kill=True would end it" in caplog.text
        assert process.poll() is None
        assert free_port_if_stuck(port, timeout=0.2, kill=True)
        assert process.wait(20) == -9


def test_another_program_is_named_and_left_alone(later: None, caplog: pytest.LogCaptureFixture) -> None:
    with holder(OTHER) as (process, port):
        assert not free_port_if_stuck(port, timeout=0.2, kill=True)
        assert f"port {port} is held by pid {process.pid} (" in caplog.text
        assert "which is no microsock server: left alone" in caplog.text
        assert process.poll() is None


def test_a_program_that_only_imports_us_is_another_program(later: None, caplog: pytest.LogCaptureFixture) -> None:
    with holder("import microsock.cli" + OTHER) as (process, port):
        assert not free_port_if_stuck(port, timeout=0.2, kill=True)
        assert process.poll() is None


def test_a_clients_end_of_a_connection_is_nobodys_server(later: None) -> None:
    """The original ends with `kill -9` whoever has the port, clients too."""
    client = "import socket\ns = socket.create_connection(('127.0.0.1', {}))\nprint(s.getsockname()[1], flush=True)"
    with (
        socket.create_server(("127.0.0.1", 0)) as sock,
        holder(client.format(sock.getsockname()[1]) + "\ninput()") as (process, port),
    ):
        free_port_if_stuck(port, timeout=0.2, kill=True)
        assert process.poll() is None


def test_a_server_that_was_started_later_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with holder(server()) as (process, port):
        monkeypatch.setattr(freeing, "begun", lambda pid: begun(pid) + (1 << 40) * (pid == process.pid))
        assert not free_port_if_stuck(port, timeout=0.2, kill=True)
        assert "which was started later than this process" in caplog.text
        assert process.poll() is None


def test_another_users_server_is_left_alone(
    later: None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with holder(server()) as (process, port):
        monkeypatch.setattr(freeing, "owner_of", lambda pid: 12345)
        assert not free_port_if_stuck(port, timeout=0.2, kill=True)
        assert "another user's" in caplog.text
        assert process.poll() is None


def test_whose_sockets_cannot_be_seen_is_told_by_the_user(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
        found = listening_on(port)
        monkeypatch.setattr(freeing, "listening_on", lambda *where: [each._replace(pids=()) for each in found])
        assert not free_port_if_stuck(port)
    assert f"whose it is cannot be seen (user id {os.geteuid()})" in caplog.text


def test_this_process_and_its_ancestors_are_never_ended(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        Mark(sock)
        assert not free_port_if_stuck(sock.getsockname()[1], kill=True)
    assert "to which this process belongs" in caplog.text
    child = "import sys, microsock; print(microsock.free_port_if_stuck({port}, timeout=1, kill=True), flush=True)"
    parent = server(
        first="import subprocess; "
        f"print(subprocess.run([sys.executable, '-c', {child!r}.format(port=server.port)], check=True).returncode)",
        serve="",
    )
    done = subprocess.run([sys.executable, "-c", parent], text=True, capture_output=True, timeout=60)
    assert done.returncode == 0
    assert done.stdout.split()[:2] == ["False", "0"]


WORKERS = """
import os, socket, threading
from microsock.adapters.mark import Mark
sock = socket.create_server(("127.0.0.1", 0))
mark = Mark(sock)
if os.fork():
    print(sock.getsockname()[1], flush=True)
else:
    mark.renew(sock)  # as a worker does
threading.Event().wait()
"""


def test_a_worker_of_a_server_that_was_killed_is_a_server_itself(later: None) -> None:
    """It ends by itself within half a second, unless it is held: then it can be ended like any other."""
    with holder(WORKERS) as (process, port):
        process.kill()
        process.wait(20)
        assert not is_port_free(port)
        assert free_port_if_stuck(port, timeout=20)
    assert is_port_free(port)


# Children, and programs that were servers once.

ONCE = """
import http.server
with Server(App(), "127.0.0.1", 0) as server:
    server.port
"""
CHILD = """
import http.server, os
parent = Server(App(), "127.0.0.1", 0)
parent.port
if os.fork():
    os.wait()
    os._exit(0)
"""
ANOTHER = """
server = http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler)
print(server.server_port, os.getpid(), flush=True)
server.serve_forever()
"""


@pytest.mark.parametrize("before", [ONCE, CHILD], ids=["a program that served once", "a server's forked child"])
def test_who_serves_something_else_now_is_left_alone(
    before: str, later: None, caplog: pytest.LogCaptureFixture
) -> None:
    command = [sys.executable, "-c", "import os\nfrom microsock import App, Server\n" + before + ANOTHER]
    with subprocess.Popen(command, text=True, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        port, pid = map(int, process.stdout.readline().split())
        try:
            assert not free_port_if_stuck(port, timeout=0.5, kill=True)
            assert "which is no microsock server: left alone" in caplog.text
            assert is_alive(pid)
        finally:
            os.kill(pid, signal.SIGKILL)


def test_a_forked_child_that_only_inherited_the_socket_is_left_alone(later: None) -> None:
    """Where the child has not closed its copy the port stays taken; it is not a server all the same."""
    forking = server(first="import os; child = os.fork() or threading.Event().wait(); print(child)", serve="input()")
    with holder(forking) as (process, child):
        assert process.stdout is not None
        port = int(process.stdout.readline())
        try:
            free_port_if_stuck(port, timeout=5, kill=True)
            assert process.wait(20)
            assert is_alive(child)
        finally:
            os.kill(child, signal.SIGKILL)


def test_one_whose_beginning_is_not_known_is_left_alone(later: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with holder(server()) as (process, port):
        monkeypatch.setattr(freeing, "begun", lambda pid: 0)
        assert not free_port_if_stuck(port, timeout=0.2, kill=True)
        assert process.poll() is None
