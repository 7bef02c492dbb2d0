"""With 64 file descriptors and 150 clients a server neither spins nor fills the log, and comes back by itself."""

from __future__ import annotations

import os
import re
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

pytestmark = [pytest.mark.server, pytest.mark.timed]

APP = """
from microsock import App
app = App(head_timeout=0.4, access_log=False)
app.ping()
"""
CLIENTS = 150
PATIENCE = 30.0


@contextmanager
def server_with_64_descriptors(site: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    (site / "shop.py").write_text(APP)
    limited = ["sh", "-c", 'ulimit -n 64; exec "$@"', "sh"]
    command = [*limited, sys.executable, "-m", "microsock", "shop", "--port", "0", *arguments]
    with subprocess.Popen(command, cwd=site, text=True, stderr=subprocess.PIPE) as process:
        try:
            assert process.stderr is not None
            banner = [process.stderr.readline() for _ in range(3)]
            yield process, int(re.findall(r":(\d+) ", banner[1])[0])
        finally:
            process.kill()


def cpu_seconds(pid: int) -> float:
    """What a process has used so far, in user and system mode (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def tree(pid: int) -> list[int]:
    """A process and its children."""
    return [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]


def wait_until_all_are_closed(clients: list[socket.socket]) -> None:
    with selectors.DefaultSelector() as selector:
        for client in clients:
            selector.register(client, selectors.EVENT_READ)
        while selector.get_map():
            news = selector.select(PATIENCE)
            assert news, f"{len(selector.get_map())} clients hang"
            for key, _ in news:
                assert isinstance(key.fileobj, socket.socket)
                selector.unregister(key.fileobj)
                key.fileobj.close()


def try_one_process(arguments: list[str], message: str, tmp_path: Path) -> None:
    with server_with_64_descriptors(tmp_path, *arguments) as (process, port):
        began, used = time.monotonic(), cpu_seconds(process.pid)
        clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(CLIENTS)]
        wait_until_all_are_closed(clients)
        seconds = time.monotonic() - began
        used = cpu_seconds(process.pid) - used
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
            client.sendall(b"GET /ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert client.recv(65536).endswith(b"PONG")
        process.terminate()
        _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    lines = err.splitlines()
    assert message in lines[0]
    assert len(lines) <= seconds + 2
    # Opening and closing 150 connections takes a tenth of that; a loop that spins, all the seconds there are.
    assert used <= 0.25, f"{used:.2f} s of CPU in {seconds:.1f} s"


def test_what_h11_reads_is_answered_though_no_descriptor_is_left_to_load_it(tmp_path: Path) -> None:
    with server_with_64_descriptors(tmp_path, "--max-connections", "1000") as (process, port):
        clients = [socket.create_connection(("127.0.0.1", port), PATIENCE) for _ in range(CLIENTS)]
        assert process.stderr is not None
        assert "Too many open files" in process.stderr.readline()
        # HTTP/1.0 is not ordinary; the first request of all here is one.
        clients[0].sendall(b"GET /ping HTTP/1.0\r\n\r\n")
        assert clients[0].recv(65536).endswith(b"PONG")
        for client in clients:
            client.close()


def try_two_workers(arguments: list[str], message: str, tmp_path: Path) -> None:
    with server_with_64_descriptors(tmp_path, "-w", "2", *arguments) as (process, port):
        time.sleep(0.5)  # the second worker
        pids = tree(process.pid)
        assert len(pids) == 3
        began, used = time.monotonic(), sum(map(cpu_seconds, pids))
        clients = [socket.create_connection(("127.0.0.1", port)) for _ in range(CLIENTS)]
        wait_until_all_are_closed(clients)
        seconds = time.monotonic() - began
        used = sum(map(cpu_seconds, pids)) - used
        assert tree(process.pid) == pids, "a worker was lost"
        for _ in range(10):
            with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
                client.sendall(b"GET /ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                assert client.recv(65536).endswith(b"PONG")
        process.terminate()
        _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    *lines, last = err.splitlines()
    assert lines
    assert all(message in line for line in lines), err
    assert last == "Stopping (press Ctrl+C again to stop at once)"
    # Each worker speaks for itself, once a second at most.
    assert len(lines) <= 2 * (seconds + 2)
    assert used <= 0.5, f"{used:.2f} s of CPU in {seconds:.1f} s"


BOUNDS = {
    "max_connections is reached (32); new clients wait": [],
    "cannot accept a connection: Too many open files": ["--max-connections", "1000"],
}


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[tuple[object, str], Future[None]]]:
    """All at once: they wait for deadlines most of the time."""
    with ThreadPoolExecutor() as pool:
        yield {
            (trial, message): pool.submit(trial, arguments, message, tmp_path_factory.mktemp("site"))
            for trial in (try_one_process, try_two_workers)
            for message, arguments in BOUNDS.items()
        }


@pytest.mark.parametrize("message", BOUNDS)
def test_more_clients_than_descriptors(trials: dict[tuple[object, str], Future[None]], message: str) -> None:
    trials[try_one_process, message].result()


@pytest.mark.parametrize("message", BOUNDS)
def test_more_clients_than_two_workers_have_descriptors(
    trials: dict[tuple[object, str], Future[None]], message: str
) -> None:
    trials[try_two_workers, message].result()
