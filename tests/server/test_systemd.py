from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from microsock import App, Server
from microsock.errors import BindError
from microsock.server.systemd import Notifier, descriptor_of, inherited

pytestmark = pytest.mark.server

ME = str(os.getpid())
PATIENCE = 30.0


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """What systemd listens with."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(PATIENCE)
        yield sock


def environment(manager: socket.socket, **more: str) -> dict[str, str]:
    return {"NOTIFY_SOCKET": manager.getsockname(), **more}


# Sockets that systemd has bound.


def test_sockets_that_were_handed_to_us_are_addresses() -> None:
    assert inherited({"LISTEN_PID": ME, "LISTEN_FDS": "2"}) == ["fd://3", "fd://4"]


@pytest.mark.parametrize(
    "environ", [{}, {"LISTEN_PID": "1", "LISTEN_FDS": "2"}, {"LISTEN_PID": ME}, {"LISTEN_PID": ME, "LISTEN_FDS": "x"}]
)
def test_those_of_another_process_are_not(environ: dict[str, str]) -> None:
    assert inherited(environ) == []


def test_a_socket_has_a_number_or_the_name_of_its_unit() -> None:
    environ = {"LISTEN_PID": ME, "LISTEN_FDS": "2", "LISTEN_FDNAMES": "web:admin"}
    assert descriptor_of("7", {}) == 7
    assert descriptor_of("admin", environ) == 4
    with pytest.raises(BindError, match="no socket of that name; there are web, admin"):
        descriptor_of("shop", environ)
    for name in ("shop", "9" * 20):
        with pytest.raises(BindError, match=r"no socket of that name$"):
            descriptor_of(name, {})


def test_a_server_started_by_socket_activation_listens_there_by_itself(tmp_path: Path, manager: socket.socket) -> None:
    (tmp_path / "shop.py").write_text("from microsock import App\napp = App(access_log=False)\napp.ping()\n")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        # What systemd does between fork and exec: the socket becomes descriptor 3, the pid is this process's own.
        script = (
            "import os, sys; os.dup2(int(sys.argv[1]), 3);"
            "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1');"
            "os.execv(sys.executable, [sys.executable, '-m', 'microsock', 'shop'])"
        )
        command = [sys.executable, "-c", script, str(listening.fileno())]
        environ = os.environ | environment(manager, WATCHDOG_USEC="100000")
        with subprocess.Popen(
            command, cwd=tmp_path, env=environ, pass_fds=(listening.fileno(),), stderr=subprocess.PIPE, text=True
        ) as process:
            try:
                assert manager.recv(100) == b"READY=1"
                assert manager.recv(100) == b"WATCHDOG=1"
                assert manager.recv(100) == b"WATCHDOG=1"
                with socket.create_connection(listening.getsockname(), PATIENCE) as client:
                    client.sendall(b"GET /ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                    assert client.recv(65536).endswith(b"PONG")
                process.terminate()
                while (message := manager.recv(100)) == b"WATCHDOG=1":
                    pass
                assert message == b"STOPPING=1"
                assert process.wait(PATIENCE) == 0
            finally:
                process.kill()


# What systemd is told.


def test_it_is_told_how_the_service_is(manager: socket.socket) -> None:
    notifier = Notifier(environment(manager))
    calls: list[Callable[[], None]] = [notifier.ready, notifier.watchdog, notifier.stopping]
    for call in calls:
        call()
    assert [manager.recv(100) for _ in calls] == [b"READY=1", b"WATCHDOG=1", b"STOPPING=1"]


def test_a_reload_says_when_it_began(manager: socket.socket) -> None:
    Notifier(environment(manager)).reloading()
    first, _, second = manager.recv(100).decode().partition("\n")
    assert first == "RELOADING=1"
    name, _, micros = second.partition("=")
    assert name == "MONOTONIC_USEC"
    assert int(micros) > 0


def test_a_status_is_one_line(manager: socket.socket) -> None:
    Notifier(environment(manager)).ready("4 workers\nWATCHDOG=trigger")
    assert manager.recv(100) == b"READY=1\nSTATUS=4 workers WATCHDOG=trigger"


def test_an_abstract_socket_is_told_too() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0microsock-test-{ME}")
        manager.settimeout(PATIENCE)
        Notifier({"NOTIFY_SOCKET": f"@microsock-test-{ME}"}).ready()
        assert manager.recv(100) == b"READY=1"


@pytest.mark.parametrize(
    "environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "/nosuch"}, {"NOTIFY_SOCKET": "vsock:2"}]
)
def test_where_nobody_listens_nothing_happens(environ: dict[str, str]) -> None:
    Notifier(environ).ready()


@pytest.mark.parametrize(
    ("more", "seconds"),
    [
        ({"WATCHDOG_USEC": "3000000"}, 1.5),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": ME}, 1.5),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_fed_twice_in_its_time(
    more: dict[str, str], seconds: float | None, manager: socket.socket
) -> None:
    assert Notifier(environment(manager, **more)).watchdog_seconds == seconds
    assert Notifier(more).watchdog_seconds is None


def test_a_server_that_runs_in_a_program_tells_nobody(manager: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", manager.getsockname())
    with Server(App(), port=0) as server:
        server.step()
    manager.setblocking(False)
    with pytest.raises(BlockingIOError):
        manager.recv(100)
