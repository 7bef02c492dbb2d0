"""Signals to the parent and to its whole group while something else is going on already."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from .workers import PATIENCE, STOPPING, Workers, wait_until, workers

pytestmark = pytest.mark.server

APP = """
import os, time
from microsock import App

app = App()
VERSION = 1

@app.get("/")
def index(request):
    return f"{VERSION} {os.getpid()}"

@app.websocket("/ws")
def echo(ws, message):
    ws.send(message)
"""
# Seen by the tests as the file "importing".
NEVER_READY = "open('importing', 'w').close()\nimport time\ntime.sleep(600)\n"
HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an app."""
    (tmp_path / "shop.py").write_text(APP)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    tmp_path.chmod(0o700)
    for name in [name for name in os.environ if name.startswith("MICROSOCK_")]:
        monkeypatch.delenv(name)
    return tmp_path


def versions(server: Workers) -> set[str]:
    return {server.get().split()[0] for _ in range(10)}


def reload_until_imported(server: Workers, site: Path) -> None:
    (site / "importing").unlink(missing_ok=True)
    server.signal(signal.SIGHUP)
    wait_until((site / "importing").exists)


def test_a_reload_during_a_reload_ends_the_workers_that_never_got_ready(site: Path) -> None:
    with workers(site) as server:
        wait_until(lambda: len(server.pids()) == 2)
        (site / "shop.py").write_text(NEVER_READY)
        for _ in range(3):
            reload_until_imported(server, site)
            wait_until(lambda: len(server.pids()) <= 3)
        assert versions(server) == {"1"}
        (site / "shop.py").write_text(APP.replace("VERSION = 1", "VERSION = 2"))
        server.signal(signal.SIGHUP)
        wait_until(lambda: "reload: all workers are new" in server)
        wait_until(lambda: len(server.pids()) == 2)
        assert versions(server) == {"2"}
        assert server.stop() == 0


def test_a_storm_of_reloads_ends_with_as_many_workers_as_before(site: Path) -> None:
    with workers(site) as server:
        wait_until(lambda: len(server.pids()) == 2)
        before = set(server.pids())
        for _ in range(30):
            server.signal(signal.SIGHUP)
            server.get()
        wait_until(lambda: len(server.pids()) == 2 and not before & set(server.pids()))
        assert server.stop() == 0


def test_stopping_during_a_reload_is_status_0_though_the_new_worker_never_gets_ready(site: Path) -> None:
    with workers(site) as server:
        wait_until(lambda: len(server.pids()) == 2)
        (site / "shop.py").write_text(NEVER_READY)
        reload_until_imported(server, site)
        assert server.stop() == 0
        assert not any("killed" in line for line in server.errors)


def test_a_term_to_the_whole_group_while_nobody_is_ready_yet_is_status_0(site: Path) -> None:
    (site / "shop.py").write_text(NEVER_READY)
    command = [sys.executable, "-m", "microsock", "-p", "0", "-w", "2", "shop"]
    with subprocess.Popen(command, cwd=site, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            wait_until((site / "importing").exists)
            os.killpg(process.pid, signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
            assert process.stderr is not None
            assert process.stderr.read() == f"{STOPPING}\n"
        finally:
            process.kill()


# Imports for as long as the file "hold" is there.
HELD = "import os, time\nopen('importing', 'w').close()\nwhile os.path.exists('hold'):\n    time.sleep(0.01)\n" + APP


@contextmanager
def held_up(site: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A server at ``site/here`` that is still importing the app; at the end it serves, and stops in order."""
    (site / "hold").touch()
    (site / "shop.py").write_text(HELD)
    command = [sys.executable, "-m", "microsock", "-b", "unix:here", *arguments, "shop"]
    with subprocess.Popen(command, cwd=site, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            wait_until((site / "importing").exists)
            yield process
            wait_until(lambda: b" 200 OK" in answer_at(site / "here"))
            process.terminate()
            assert process.wait(PATIENCE) == 0
            assert process.stderr is not None
            assert "Traceback" not in process.stderr.read()
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize("arguments", [[], ["-w", "2"], ["--reload"]], ids=["one", "workers", "reload"])
def test_signals_during_the_first_import_neither_end_nor_suspend_it(site: Path, arguments: list[str]) -> None:
    with held_up(site, *arguments) as process:
        for name in ("HUP", "USR1", "USR2", "TTIN", "TTOU", "USR1"):
            process.send_signal(signal.Signals[f"SIG{name}"])
            time.sleep(0.02)
        (site / "hold").unlink()


def test_a_reload_before_the_first_worker_is_ready_waits_for_it(site: Path) -> None:
    with held_up(site, "-w", "2") as process:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        first = set(children.read_text().split())
        process.send_signal(signal.SIGHUP)
        time.sleep(0.2)
        assert set(children.read_text().split()) == first
        (site / "hold").unlink()
        wait_until(lambda: len(now := set(children.read_text().split())) == 2 and not now & first)


def answer_at(path: Path) -> bytes:
    """What is answered at a Unix socket; nothing where nobody is there."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE)
        try:
            client.connect(str(path))
            client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return b"".join(iter(lambda: client.recv(4096), b""))
        except OSError:
            return b""


def test_there_is_always_one_worker_at_least(site: Path) -> None:
    with workers(site) as server:
        wait_until(lambda: len(server.pids()) == 2)
        for _ in range(5):
            server.signal(signal.SIGTTOU)
            server.get()
        wait_until(lambda: len(server.pids()) == 1)
        assert server.get()
        assert server.stop() == 0


def test_a_storm_of_dumps_holds_nobody_up_for_long(site: Path) -> None:
    with workers(site) as server:
        wait_until(lambda: len(server.pids()) == 2)
        for _ in range(200):
            server.signal(signal.SIGUSR1)
        assert versions(server) == {"1"}
        assert len(server.pids()) == 2
        assert server.stop() == 0


def test_a_failed_reload_does_not_say_that_all_workers_are_new(site: Path) -> None:
    with workers(site) as server:
        wait_until(lambda: len(server.pids()) == 2)
        (site / "shop.py").write_text("import requestz\n")
        server.signal(signal.SIGHUP)
        wait_until(lambda: "the workers from before stay" in server)
        assert versions(server) == {"1"}
        assert server.stop() == 0
        assert "reload: all workers are new" not in server


def test_max_requests_sends_the_websockets_of_that_worker_away_with_1012(site: Path) -> None:
    with (
        workers(site, "--runner", "preforked", "--max-requests", "5", count=1) as server,
        server.connect(HANDSHAKE) as client,
    ):
        assert client.recv(4096).startswith(b"HTTP/1.1 101 ")
        for _ in range(12):
            server.get()
        head = client.recv(4)
        assert (head[0], int.from_bytes(head[2:4], "big")) == (0x88, 1012)
        client.sendall(bytes([0x88, 0x80, 0, 0, 0, 0]))
        assert server.stop() == 0


@pytest.mark.parametrize("count", [1, 2])
def test_it_runs_with_its_standard_streams_closed(site: Path, count: int) -> None:
    command = [sys.executable, "-m", "microsock", "-b", "unix:here", "-w", str(count), "shop"]
    script = 'exec "$@" <&- >&- 2>&-'
    with subprocess.Popen(["sh", "-c", script, "sh", *command], cwd=site, start_new_session=True) as process:
        try:
            wait_until((site / "here").exists)
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(PATIENCE)
                client.connect(str(site / "here"))
                client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert client.recv(15) == b"HTTP/1.1 200 OK"
            standard = [str(Path(f"/proc/{process.pid}/fd/{fd}").readlink()) for fd in range(3)]
            assert standard == [os.devnull] * 3
            process.terminate()
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()
