"""The subcommands, against real servers; promises 57 and 65 of the feature table."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pages import page
from running import Running, running, started

from microsock import commands
from microsock.adapters import control_client
from microsock.adapters.peers import Peer
from microsock.adapters.pidfile import read_pid_file
from microsock.adapters.processes import begun
from microsock.cli import main
from microsock.commands import COMMANDS

pytestmark = pytest.mark.server

APP = """
import pathlib, time
from microsock import App
app = App()
app.ping()

@app.get("/stuck")
def stuck(request):
    pathlib.Path(__file__).with_name("stuck").touch()
    while True:
        try:
            time.sleep(60)
        except KeyboardInterrupt:
            pass

@app.websocket("/news")
def news(ws, message):
    return None

@news.on_open
def opened(ws):
    ws.subscribe("news")
    ws.send("ready")
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "shop.py").write_text(APP)
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("MICROSOCK_")]:
        monkeypatch.delenv(name)
    tmp_path.chmod(0o700)
    # No server but those of these tests can be found, whatever else runs on this machine.
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def server(folder: Path) -> Iterator[Running]:
    with running("--app-dir", str(folder), "--pid-file", str(folder / "pid"), "shop") as server:
        yield server


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Path]]:
    """A server that no test stops, and its folder."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "shop.py").write_text(APP)
    with running("--app-dir", str(folder), "--pid-file", str(folder / "pid"), "shop") as server:
        yield server, folder


@pytest.fixture
def shared(lasting: tuple[Running, Path], folder: Path, monkeypatch: pytest.MonkeyPatch) -> Running:
    """That server; the tests run in its folder."""
    server, place = lasting
    monkeypatch.chdir(place)
    return server


Printed = pytest.CaptureFixture[str]


def test_stop_waits_until_the_server_of_a_pid_file_has_ended(server: Running, capsys: Printed) -> None:
    assert main(["stop", "--pid-file", "pid"]) == 0
    assert server.process.wait(10) == 0
    assert capsys.readouterr() == (f"stopped pid {server.process.pid}\n", "")
    assert not Path("pid").exists()
    assert main(["stop", "--pid-file", "pid"]) == 1
    assert "no server at pid: there is no such file" in capsys.readouterr().err


def test_the_pid_file_may_come_from_the_environment(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICROSOCK_PID_FILE", "pid")
    assert main(["stop"]) == 0
    assert server.process.wait(10) == 0


def test_stop_finds_a_server_by_its_port_too(folder: Path, capsys: Printed) -> None:
    with running("--app-dir", str(folder), "shop") as server:
        assert main(["stop", "--port", str(server.port)]) == 0
        assert server.process.wait(10) == 0
        assert capsys.readouterr().out == f"stopped pid {server.process.pid}\n"
        assert main(["stop", "--port", str(server.port)]) == 1
        assert "no server at port" in capsys.readouterr().err


def test_a_stale_pid_file_is_told_from_a_server(capsys: Printed) -> None:
    Path("pid").write_text("999999999\n1\n")
    for word in ("stop", "reload"):
        assert main([word, "--pid-file", "pid"]) == 1
        assert "pid 999999999 has ended and left the file behind" in capsys.readouterr().err


def test_a_process_with_the_same_number_is_not_signalled() -> None:
    Path("pid").write_text(f"{os.getpid()}\n1\n")
    assert main(["stop", "--kill", "--pid-file", "pid"]) == 1


def test_stop_kill_ends_what_does_not_end_by_itself(folder: Path, capsys: Printed) -> None:
    command = [sys.executable, "-m", "microsock", "--port", "0", "--pid-file", "pid", "shop"]
    with started(command, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        banner = [process.stderr.readline() for _ in range(3)]
        port = int(banner[1].rpartition(" (")[0].rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"GET /stuck HTTP/1.1\r\nHost: localhost\r\n\r\n")
            wait_for(Path("stuck"))
            assert main(["stop", "--pid-file", "pid", "--timeout", "0.3"]) == 1
            assert "still runs; --kill ends it" in capsys.readouterr().err
            assert main(["stop", "--pid-file", "pid", "--timeout", "0.3", "--kill"]) == 0
        assert process.wait(10) == -signal.SIGKILL


# Whose process it is.


class Sent:
    """Signals, in place of the kernel that would deliver them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.all: list[tuple[int, int]] = []
        monkeypatch.setattr(signal, "pidfd_send_signal", lambda fd, signum: self.all.append((-fd, signum)))
        self._kill = os.kill
        monkeypatch.setattr(os, "kill", self.kill)

    def kill(self, pid: int, signum: int) -> None:
        if signum:
            self.all.append((pid, signum))
        else:
            self._kill(pid, 0)


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    return Sent(monkeypatch)


@contextmanager
def stranger(*, listens_at: str = "", answer: bytes = b"") -> Iterator[subprocess.Popen[bytes]]:
    """A program that is no server, and may speak at a control socket."""
    code = "import socket, sys\nsock = socket.socket(socket.AF_UNIX)\n"
    if listens_at:
        code += f"sock.bind({listens_at!r})\nsock.listen()\n"
    code += "print(flush=True)\n"
    if listens_at:
        code += f"peer = sock.accept()[0]\npeer.recv(4096)\npeer.sendall({answer!r})\npeer.close()\n"
    # It ends with its standard input: in some of these tests no signal reaches anybody.
    command = [sys.executable, "-c", code + "sys.stdin.read()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process


def test_a_pid_file_that_names_another_program_has_nobody_signalled(sent: Sent, capsys: Printed) -> None:
    with stranger() as process:
        for began in (f"{begun(process.pid)}", ""):
            Path("pid").write_text(f"{process.pid}\n{began}\n")
            for word in (["stop"], ["stop", "--kill", "--timeout", "0"], ["reload"]):
                assert main([*word, "--pid-file", "pid"]) == 1
                said = capsys.readouterr().err
                assert f"pid is not believed: pid {process.pid} (" in said
                assert "is no microsock server; nothing was signalled" in said
    assert sent.all == []


@pytest.mark.parametrize("text", ["1", "1 {}", "0", "-1", "4294967297", "1\n{}\n7"])
def test_no_process_below_2_is_ever_signalled(text: str, sent: Sent, capsys: Printed) -> None:
    Path("pid").write_text(text.format(begun(1)))
    for word in (["stop"], ["stop", "--kill", "--timeout", "0"], ["reload"]):
        assert main([*word, "--pid-file", "pid"]) == 1
        assert capsys.readouterr().err.startswith("error: ")
    assert sent.all == []


def test_a_server_that_is_the_first_process_is_asked_and_not_signalled(
    sent: Sent, monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    Path("pid").write_text("1\n")
    monkeypatch.setattr(commands, "why_no_server", lambda path, named: "")
    with stranger(listens_at="pid.sock", answer=b'{"ok": true, "reloads": "it\\u001b does", "pid": 1}\n'):
        assert main(["reload", "--pid-file", "pid"]) == 0
        assert capsys.readouterr().out == "it\\x1b does\n"
    Path("pid.sock").unlink()
    monkeypatch.setattr(control_client, "peer_of", lambda sock: Peer(1, os.geteuid()))
    with stranger(listens_at="pid.sock", answer=b'{"ok": true, "pid": 1}\n'):
        assert main(["stop", "--pid-file", "pid", "--timeout", "0.05"]) == 1
        assert "pid 1 was asked to stop and still runs; it is never killed" in capsys.readouterr().err
    assert sent.all == []


@pytest.mark.parametrize("pid", [-1, 0, 1, 4242, "own", "its"])
def test_who_listens_at_a_control_socket_and_is_no_server_is_not_killed(
    pid: object, sent: Sent, capsys: Printed
) -> None:
    named = os.getppid() if pid == "own" else 7 if pid == "its" else pid
    with stranger(listens_at="a.sock", answer=json.dumps({"ok": True, "pid": named}).encode() + b"\n") as process:
        assert main(["stop", "--control", "a.sock", "--kill", "--timeout", "0"]) == 1
        assert process.poll() is None
    assert sent.all == []
    assert "a.sock" in capsys.readouterr().err


def test_a_server_whose_process_is_not_to_be_seen_has_ended_when_nobody_listens(
    server: Running, monkeypatch: pytest.MonkeyPatch, capsys: Printed
) -> None:
    monkeypatch.setattr(control_client, "peer_of", lambda sock: Peer(0, os.geteuid()))
    assert main(["stop", "--control", "pid.sock"]) == 0
    assert capsys.readouterr().out == "stopped the server at pid.sock\n"
    assert server.process.wait(10) == 0


def test_a_server_that_drains_already_can_still_be_killed(folder: Path) -> None:
    for workers in ("1", "2"):
        with running("--app-dir", str(folder), "--pid-file", str(folder / "pid"), "-w", workers, "shop") as server:
            with socket.create_connection(("127.0.0.1", server.port)) as client:
                client.sendall(b"GET /stuck HTTP/1.1\r\nHost: localhost\r\n\r\n")
                wait_for(Path("stuck"))
                assert main(["stop", "--pid-file", "pid", "--timeout", "0.3"]) == 1
                assert main(["stop", "--pid-file", "pid", "--timeout", "0.1", "--kill"]) == 0
            assert server.process.wait(10) in (0, -signal.SIGKILL)
        Path("stuck").unlink()
        Path("pid").unlink(missing_ok=True)


@pytest.mark.parametrize("seconds", ["nan", "inf", "-1", "1e9", "soon"])
def test_a_time_that_cannot_be_waited_for_is_status_2(seconds: str, capsys: Printed) -> None:
    with pytest.raises(SystemExit) as left:
        main(["stop", f"--timeout={seconds}"])
    assert left.value.code == 2


def test_what_is_said_of_elsewhere_does_nothing_on_a_terminal(capsys: Printed) -> None:
    assert main(["status", "--control", "\x1b[2J\n.sock"]) == 1
    assert capsys.readouterr().err == "error: no server at \\x1b[2J\\n.sock (No such file or directory)\n"
    line = b'{"ok": true, "status": {"topic": "\\u001b[2J", "a": "\x7f\xc2\x9b\xe2\x80\xae"}}\n'
    with stranger(listens_at="a.sock", answer=line):
        assert main(["status", "--control", "a.sock"]) == 0
    out = capsys.readouterr().out
    assert json.loads(out) == {"topic": "\x1b[2J", "a": "\x7f\x9b\u202e"}
    assert out.replace("\n", "").isprintable()


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} does not appear"
        time.sleep(0.01)


def test_reload_is_heard(shared: Running, capsys: Printed) -> None:
    assert main(["reload", "--pid-file", "pid"]) == 0
    assert capsys.readouterr().out == f"asked pid {shared.process.pid} to reload\n"
    assert main(["reload", "--control", "pid.sock"]) == 0
    assert capsys.readouterr().out.strip()
    assert main(["status", "--pid-file", "pid"]) == 0


def test_status_is_json(shared: Running, capsys: Printed) -> None:
    for given in (["--pid-file", "pid"], ["--control", "pid.sock"]):
        assert main(["status", *given]) == 0
        assert isinstance(json.loads(capsys.readouterr().out), dict)


def test_publish_reaches_who_follows_the_topic(shared: Running) -> None:
    from websockets.sync.client import connect

    with connect(f"{shared.websocket_url}/news") as ws:
        assert ws.recv(10) == "ready"
        for data, text in (('{"a": 1}', '{"a":1}'), ('"hello"', "hello"), ("[1]", "[1]")):
            assert main(["publish", "--pid-file", "pid", "news", data]) == 0
            assert ws.recv(10) == text


@pytest.mark.parametrize(
    "flags",
    [
        ["--pid-file", "{folder}/pid"],
        ["--control", "{folder}/socket"],
        ["--workers", "2", "--pid-file", "{folder}/pid"],
    ],
    ids=["pid file", "control", "workers with a pid file"],
)
def test_a_server_whose_socket_lies_elsewhere_is_found_by_its_port(
    folder: Path, flags: list[str], capsys: Printed
) -> None:
    from websockets.sync.client import connect

    given = [each.format(folder=folder) for each in flags]
    with running("--app-dir", str(folder), *given, "shop") as server:
        port = str(server.port)
        with connect(f"{server.websocket_url}/news") as ws:
            assert ws.recv(10) == "ready"
            assert main(["publish", "-p", port, "news", '"hello"']) == 0
            assert ws.recv(10) == "hello"
        assert main(["status", "-p", port]) == 0
        assert main(["stop", "-p", port]) == 0
        assert main(["status", "-p", port]) == 1
    assert "no server at port" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["publish", "news", "'\"\\ud83d\"'".strip("'")], 2, "lone surrogate"),
        (["publish", "news", "[1e999]"], 2, "too large a number"),
        (["publish", "news", "[" * 100_000], 2, "nested too deeply"),
        (["publish", "news", "hello"], 2, "'hello' is no JSON"),
        (["publish", "news", "7"], 2, "neither a text, nor an object, nor an array"),
        (["publish", "-p", "9", "news", '"x"'], 1, "no server at port 9"),
        (["status", "-p", "9"], 1, "no server at port 9"),
        (["status", "--control", "no.sock"], 1, "no server at no.sock"),
        (["reload"], 1, "no server at port 8080"),
        (["port", "0"], 2, "expected a number from 1 to 65535"),
        (["reload", "--pid-file", "none"], 1, "there is no such file"),
    ],
)
def test_what_does_not_work_says_why(arguments: list[str], status: int, message: str, capsys: Printed) -> None:
    assert main(arguments) == status
    assert message in capsys.readouterr().err


def test_the_control_path_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch, capsys: Printed) -> None:
    monkeypatch.setenv("MICROSOCK_CONTROL", "no.sock")
    assert main(["status"]) == 1
    assert "no server at no.sock" in capsys.readouterr().err
    monkeypatch.setenv("MICROSOCK_PID_FILE", "pid")
    assert main(["status"]) == 1
    assert "no server at no.sock" in capsys.readouterr().err
    assert main(["status", "--pid-file", "other"]) == 1
    assert "no server at other.sock" in capsys.readouterr().err


def test_port_names_who_holds_it(shared: Running, capsys: Printed) -> None:
    assert main(["port", str(shared.port)]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"127.0.0.1:{shared.port} is held by pid {shared.process.pid} (")
    assert "microsock" in out


def test_port_names_every_address(capsys: Printed) -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as six:
        port = six.getsockname()[1]
        with socket.create_server(("127.0.0.1", port)):
            assert main(["port", str(port)]) == 0
    lines = sorted(line.split(" is held")[0] for line in capsys.readouterr().out.splitlines())
    assert lines == [f"127.0.0.1:{port}", f"[::1]:{port}"]
    assert main(["port", str(port)]) == 1
    assert capsys.readouterr().err == f"nobody listens on port {port}\n"


@pytest.mark.parametrize(
    "arguments", [["stop", "--no"], ["stop", "--pid-file", "a", "--port", "1"], ["port"], ["publish"]]
)
def test_a_bad_command_line_is_status_2(arguments: list[str], capsys: Printed) -> None:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert left.value.code == 2
    assert capsys.readouterr().err.endswith(f"(see microsock {arguments[0]} --help)\n")


def test_a_bare_word_is_the_subcommand_and_a_module_of_that_name_has_a_colon(folder: Path, capsys: Printed) -> None:
    (folder / "status.py").write_text("from microsock import App\napp = App()\n")
    assert main(["--app-dir", str(folder), "--check", "status:app"]) == 0
    assert "status:app is fine" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["--check", "status"])
    assert "a module of that name is written status:app" in capsys.readouterr().err
    sys.modules.pop("status", None)


def test_a_second_server_does_not_take_over_the_pid_file(shared: Running) -> None:
    command = [sys.executable, "-m", "microsock", "--port", "0", "--pid-file", "pid", "--control", "own.sock", "shop"]
    done = subprocess.run(command, text=True, capture_output=True, timeout=30)
    assert done.returncode == 2
    assert f"belongs to pid {shared.process.pid}, which still runs" in done.stderr
    found = read_pid_file("pid")
    assert found is not None
    assert found.pid == shared.process.pid


def test_a_server_of_several_workers_is_stopped_by_its_pid_file(folder: Path, capsys: Printed) -> None:
    with running("--app-dir", str(folder), "--pid-file", str(folder / "pid"), "-w", "2", "shop") as server:
        assert main(["port", str(server.port)]) == 0
        assert f"is held by pid {server.process.pid} (" in capsys.readouterr().out
        assert main(["stop", "--pid-file", "pid"]) == 0
        assert server.process.wait(10) == 0
    assert not Path("pid").exists()


def test_the_page_on_ports_names_every_flag_of_every_subcommand(capsys: Printed) -> None:
    text = page("ports.md").read_text()
    for word in COMMANDS:
        with pytest.raises(SystemExit):
            main([word, "--help"])
        flags = set(re.findall(r"--[a-z][a-z-]+", capsys.readouterr().out)) - {"--help"}
        assert f"`{word}" in text
        assert not {flag for flag in flags if flag not in text}
