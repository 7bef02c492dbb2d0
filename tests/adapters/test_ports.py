from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from microsock.adapters import ports
from microsock.adapters.ports import Holder, holder_of

pytestmark = pytest.mark.server


def listening(host: str, family: int = socket.AF_INET) -> socket.socket:
    sock = socket.socket(family)
    sock.bind((host, 0))
    sock.listen()
    return sock


@pytest.mark.parametrize("asked", ["127.0.0.1", "0.0.0.0"])
def test_the_holder_of_a_port_is_named_by_pid_and_command(asked: str) -> None:
    with listening("127.0.0.1") as sock:
        holder = holder_of(asked, sock.getsockname()[1])
    assert holder is not None
    assert holder.pid == os.getpid()
    assert Path(sys.executable).name.startswith("python")
    assert "py" in holder.command


def test_a_socket_on_every_interface_holds_the_port_of_each() -> None:
    with listening("0.0.0.0") as sock:
        assert holder_of("127.0.0.1", sock.getsockname()[1]) is not None


def test_an_ipv6_port_has_a_holder_too() -> None:
    with listening("::1", socket.AF_INET6) as sock:
        port = sock.getsockname()[1]
        assert holder_of("::1", port) is not None
        assert holder_of("127.0.0.1", port) is None


def test_the_same_port_of_another_address_is_free() -> None:
    with listening("127.0.0.1") as sock:
        assert holder_of("127.0.0.2", sock.getsockname()[1]) is None


def test_a_port_that_only_a_client_uses_has_no_holder() -> None:
    with listening("127.0.0.1") as sock, socket.create_connection(sock.getsockname()) as client:
        assert holder_of("127.0.0.1", client.getsockname()[1]) is None


def test_of_several_processes_with_one_socket_the_first_is_named() -> None:
    with listening("127.0.0.1") as sock:
        command = [sys.executable, "-c", "input()"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[sock.fileno()]) as child:
            holder = holder_of("127.0.0.1", sock.getsockname()[1])
    assert holder is not None
    # That is the child where the kernel has come to the end of its numbers and begun anew.
    assert holder.pid == min(os.getpid(), child.pid)


def test_a_command_is_shown_on_one_short_line() -> None:
    code = (
        "import socket, sys; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); input()"
    )
    command = [sys.executable, "-c", code, "a\nb" + "x" * 500]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        holder = holder_of("127.0.0.1", int(process.stdout.readline()))
        process.communicate("\n")
    assert holder is not None
    assert holder.pid == process.pid
    assert holder.command.isprintable()
    assert len(holder.command) <= 120
    assert str(Holder(7, "python app.py")) == "pid 7 (python app.py)"


def test_where_there_is_no_proc_nothing_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "_PROC", tmp_path / "missing")
    with listening("127.0.0.1") as sock:
        assert holder_of("127.0.0.1", sock.getsockname()[1]) is None


def test_a_process_that_is_not_ours_to_look_into_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with listening("127.0.0.1") as sock:
        port = sock.getsockname()[1]
        (tmp_path / "net").mkdir()
        (tmp_path / "net" / "tcp").write_text(Path("/proc/net/tcp").read_text())
        (tmp_path / "1" / "fd").mkdir(parents=True)
        (tmp_path / "1" / "fd" / "0").touch()
        monkeypatch.setattr(ports, "_PROC", tmp_path)
        assert holder_of("127.0.0.1", port) is None
