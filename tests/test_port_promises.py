"""What the feature table promises of ports (its rows F 55 to 57), each by its number."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from microsock import BindError, Server, free_port_if_stuck, is_port_free
from microsock.app import App
from microsock.cli import main

pytestmark = pytest.mark.server

PATIENCE = 30.0
# Started first: to be freed by a program that is started later.
EARLIER = (
    "from microsock import App, Server; server = Server(App(), port=0); print(server.port, flush=True); server.run()"
)
FOREIGN = (
    "import socket; held = socket.create_server(('127.0.0.1', 0)); print(held.getsockname()[1], flush=True); input()"
)
LATER = "import sys, microsock; print(microsock.free_port_if_stuck(int(sys.argv[1]), timeout=10))"


@contextmanager
def holder(code: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A program that holds a port."""
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


def later(port: int) -> str:
    """What a program that is started now is told of a port that it wants freed."""
    command = [sys.executable, "-c", LATER, str(port)]
    return subprocess.run(command, text=True, capture_output=True, timeout=PATIENCE, check=True).stdout.strip()


def test_55_a_port_is_free_or_not_as_a_bind_shows() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        assert not is_port_free(port)
        assert is_port_free(port, host="127.0.0.2")
    assert is_port_free(port)


def test_56_an_earlier_server_of_ours_is_asked_to_stop_and_its_port_is_free() -> None:
    with holder(EARLIER) as (process, port):
        assert later(port) == "True"
        assert process.wait(PATIENCE) == 0
        assert is_port_free(port)


def test_56_whoever_else_holds_it_is_left_alone_and_so_are_clients() -> None:
    with holder(FOREIGN) as (process, port), socket.create_connection(("127.0.0.1", port)):
        assert later(port) == "False"
        assert process.poll() is None
        assert not free_port_if_stuck(port)
        assert not is_port_free(port)


@pytest.mark.parametrize(("kill", "answer"), [(False, "False"), (True, "True")])
def test_56_one_that_does_not_end_is_killed_only_where_that_is_asked_for(kill: bool, answer: str) -> None:
    with holder("import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM]); " + EARLIER) as (
        process,
        port,
    ):
        code = LATER.replace("timeout=10", f"timeout=0.5, kill={kill}")
        command = [sys.executable, "-c", code, str(port)]
        told = subprocess.run(command, text=True, capture_output=True, timeout=PATIENCE, check=True)
        assert told.stdout.strip() == answer
        if kill:
            assert process.wait(PATIENCE) == -signal.SIGKILL
        else:
            assert process.poll() is None


def test_57_port_prints_who_holds_it(capsys: pytest.CaptureFixture[str]) -> None:
    with Server(App(), port=0) as server:
        assert main(["port", str(server.port)]) == 0
        assert f"pid {os.getpid()}" in capsys.readouterr().out


def test_57_a_port_in_use_names_its_holder_where_it_is_wanted() -> None:
    with holder(FOREIGN) as (process, port), pytest.raises(BindError, match=f"in use by pid {process.pid}"):
        Server(App(), port=port)
