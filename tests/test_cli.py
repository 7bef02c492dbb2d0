from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from microsock import __version__
from microsock.cli import main
from microsock.settings import SETTINGS

PATIENCE = 30.0
STOPPING = "Stopping (press Ctrl+C again to stop at once)\n"
PARKED = b"GET /parked HTTP/1.1\r\nHost: localhost\r\n\r\n"

APP = """
import os, signal, threading
from microsock import App, Pending

app = App(body_timeout=3)

@app.get("/")
def index(request):
    return "hello"

@app.route("/notes/{id:int}", methods=["GET", "POST"])
def notes(request, id):
    return {}

@app.get("/parked")
def parked(request):
    return Pending(finite=True)

@app.get("/stuck")
def stuck(request):
    os.kill(os.getpid(), signal.SIGINT)
    print("stuck", flush=True)
    threading.Event().wait()

@app.websocket("/chat")
def chat(ws, message):
    return message

def create():
    return app
"""


@pytest.fixture(autouse=True)
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory one is in, with an app."""
    (tmp_path / "shop.py").write_text(APP)
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("MICROSOCK_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    monkeypatch.setattr(sys, "modules", sys.modules.copy())
    return tmp_path


class Command:
    """``python -m microsock`` in a process of its own, once it listens."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.banner = [self.error_line() for _ in range(3)]
        found = re.search(r"Listening on (http://\S+) \(pid (\d+)\)", self.banner[1])
        assert found, "".join([*self.banner, *(process.stderr or [])])
        self.url, self.pid = found[1], int(found[2])

    def error_line(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.readline()

    def output_line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def get(self, path: str = "/") -> bytes:
        with urllib.request.urlopen(self.url + path, timeout=PATIENCE) as answer:
            return bytes(answer.read())

    def connect(self, request: bytes) -> socket.socket:
        host, _, port = self.url.removeprefix("http://").partition(":")
        client = socket.create_connection((host, int(port)), PATIENCE)
        client.sendall(request)
        return client

    def finish(self, *signals: signal.Signals) -> tuple[int, str, str]:
        """Send signals, and give exit status, output and errors."""
        for signum in signals:
            self.process.send_signal(signum)
        out, err = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out, err


@contextmanager
def running(*arguments: str, program: tuple[str, ...] = (sys.executable, "-m", "microsock")) -> Iterator[Command]:
    command = [*program, *arguments]
    with subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            yield Command(process)
        finally:
            process.kill()


def failing(*arguments: str) -> tuple[int, str]:
    """Exit status and errors of a command that never listens."""
    command = [sys.executable, "-m", "microsock", *arguments]
    ended = subprocess.run(command, text=True, capture_output=True, timeout=PATIENCE)
    assert ended.stdout == ""
    return ended.returncode, ended.stderr


def exits(*arguments: str) -> int:
    """The exit status of a command line that the parser answers itself."""
    with pytest.raises(SystemExit) as left:
        main(arguments)
    assert isinstance(left.value.code, int)
    return left.value.code


# Serving.


@pytest.mark.server
def test_it_serves_and_a_signal_is_status_0() -> None:
    with running("shop:app", "--port", "0") as command:
        assert command.get() == b"hello"
        status, out, err = command.finish(signal.SIGTERM)
    assert command.banner[0] == f"microsock {__version__} · shop:app · 4 routes, 1 websocket · sequential\n"
    assert command.pid == command.process.pid
    assert command.banner[2] == "Press Ctrl+C to stop.\n"
    assert re.fullmatch(r"\d\d:\d\d:\d\d 127\.0\.0\.1 GET / 200 5B \d+\.\dms\n", out)
    assert (status, err) == (0, STOPPING)


@pytest.mark.server
def test_the_installed_program_is_the_same_command() -> None:
    program = Path(sys.executable).parent / "microsock"
    with running("shop", "-b", "localhost:0", "--no-access-log", program=(str(program),)) as command:
        assert command.get() == b"hello"
        assert command.finish(signal.SIGINT) == (0, "", STOPPING)


@pytest.mark.server
def test_when_the_grace_time_ends_it_cuts_what_is_open_and_is_still_status_0() -> None:
    with running("shop", "--port", "0", "--grace", "500ms") as command, command.connect(PARKED):
        assert command.get() == b"hello"
        status, _, err = command.finish(signal.SIGTERM)
    assert status == 0
    assert "WARNING the time to stop is over; connections cut: 1" in err


@pytest.mark.server
def test_a_second_ctrl_c_stops_at_once_even_a_handler_that_never_returns() -> None:
    with running("shop", "--port", "0") as command, command.connect(PARKED.replace(b"parked", b"stuck")):
        # The handler has sent the first one.
        assert command.output_line() == "stuck\n"
        status, _, err = command.finish(signal.SIGINT)
    assert status == 130
    assert "Traceback" not in err


@pytest.mark.server
def test_once_nobody_reads_its_output_it_goes_on_without_access_lines() -> None:
    with running("shop", "--port", "0") as command:
        assert command.process.stdout is not None
        command.process.stdout.close()
        command.process.stdout = None
        for _ in range(3):
            assert command.get() == b"hello"
        status, _, err = command.finish(signal.SIGTERM)
    assert status == 0
    assert err.removesuffix(STOPPING).count("\n") == 1
    assert "WARNING nobody reads standard output any more; no access lines from here on" in err


@pytest.mark.server
def test_a_crash_of_the_server_is_status_1_with_its_traceback(site: Path) -> None:
    crash = "import selectors\ndef crash(self, timeout):\n    raise OSError('no more events')\n"
    (site / "crash.py").write_text(APP + crash + "selectors.DefaultSelector.select = crash\n")
    status, err = failing("crash", "--port", "0")
    assert status == 1
    assert err.startswith("Traceback")
    assert err.endswith("OSError: no more events\n")


@pytest.mark.server
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_being_asked_to_stop_during_the_import_is_status_0(site: Path, name: str) -> None:
    slow = f"import os, signal, time\nos.kill(os.getpid(), signal.{name})\ntime.sleep(600)\n"
    (site / "slow.py").write_text(slow)
    assert failing("slow") == (0, "")


@pytest.mark.server
def test_flags_are_stronger_than_the_environment_and_that_than_the_app(
    capfd: pytest.CaptureFixture[str], site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    show = (
        "import signal\n@app.on_start\ndef show():\n    print(app._sites[0].settings)\n    os.kill(os.getpid(), 15)\n"
    )
    (site / "show.py").write_text(APP + show)
    monkeypatch.setenv("MICROSOCK_BODY_TIMEOUT", "2s")
    monkeypatch.setenv("MICROSOCK_GRACE", "2s")
    monkeypatch.setenv("MICROSOCK_PORT", "0")
    monkeypatch.setenv("MICROSOCK_HOST", "localhost")
    assert main(["show", "--grace", "1", "--ping-interval", "none", "--max-body-size", "2k", "--no-websocket"]) == 0
    out, err = capfd.readouterr()
    assert "body_timeout=2.0" in out
    assert " grace=1.0" in out
    assert "ping_interval=None" in out
    assert "max_body_size=2048" in out
    assert "websocket=False" in out
    assert "Listening on http://127.0.0.1:" in err
    assert ":8080" not in err


# What goes wrong before it serves.


@pytest.mark.server
def test_a_port_in_use_is_status_4_before_the_app_starts(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (site / "late.py").write_text(APP + "@app.on_start\ndef late():\n    print('started')\n")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["late", "-p", str(port)]) == 4
    out, err = capsys.readouterr()
    assert out == ""
    start, end = (
        f"error: 127.0.0.1:{port} is in use by pid {os.getpid()} (",
        "); stop it, or use --port 0 for a free port\n",
    )
    assert err.startswith(start)
    assert err.endswith(end)


def test_an_address_that_cannot_be_bound_is_status_4(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["shop", "-b", "nosuch.invalid:80"]) == 4
    assert "error: cannot listen on nosuch.invalid:80: the name does not resolve" in capsys.readouterr().err


def test_an_app_that_is_not_there_is_status_3(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["shpo:app"]) == 3
    expected = f'error: cannot import module "shpo" (no shpo.py or package in {site}; did you mean "shop"?)\n'
    assert capsys.readouterr().err == expected


def test_an_app_that_fails_to_import_is_status_3_with_its_own_lines(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (site / "bad.py").write_text("def load():\n    import requestz\nload()\n")
    assert main(["bad"]) == 3
    assert capsys.readouterr().err.splitlines()[:4] == [
        "error: while importing bad.py: ModuleNotFoundError: No module named 'requestz'",
        "Traceback (most recent call last):",
        f'  File "{site}/bad.py", line 3, in <module>',
        "    load()",
    ]


@pytest.mark.server
def test_a_start_hook_that_fails_is_status_3_with_its_own_lines(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (site / "hook.py").write_text("from microsock import App\napp = App()\n@app.on_start\ndef fail():\n    1/0\n")
    assert main(["hook", "-p0"]) == 3
    assert capsys.readouterr().err.splitlines()[:3] == [
        "error: on_start raised ZeroDivisionError: division by zero",
        "Traceback (most recent call last):",
        f'  File "{site}/hook.py", line 5, in fail',
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: APP"),
        (["shop", "--grase", "1"], "unrecognized arguments: --grase 1"),
        (["shop", "--max-h", "1"], "unrecognized arguments: --max-h 1"),
        (["shop", "--grace", "x"], "argument --grace: grace is 'x'; expected a number of seconds"),
        (
            ["shop", "--slow-reader", "wait"],
            "argument --slow-reader: slow_reader is 'wait'; expected 'close' or 'drop'",
        ),
        (["shop", "--port", "http"], "argument -p/--port: invalid int value: 'http'"),
        (["shop", "--app-dir", "nowhere"], "argument --app-dir: 'nowhere' is no directory"),
        (["shop", "-b", ":1", "-p", "1"], "give --bind, or --host and --port, not both"),
    ],
)
def test_a_bad_command_line_is_status_2(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert exits(*arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"error: {message}")
    assert err.endswith(" (see microsock --help)\n")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("PORT", "http", "MICROSOCK_PORT is 'http'; expected a number from 0 (any free port) to 65535"),
        ("PORT", "65536", "port is 65536; expected a number from 0 (any free port) to 65535"),
        ("BIND", "http://a", "address 'http://a' is not understood"),
        ("GRACE", "x", "grace is 'x'; expected a number of seconds"),
    ],
)
def test_a_bad_environment_is_status_2(
    name: str, value: str, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(f"MICROSOCK_{name}", value)
    assert main(["shop"]) == 2
    assert capsys.readouterr().err.startswith(f"error: {message}")


@pytest.mark.server
def test_a_port_given_by_flag_is_stronger_than_an_address_in_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MICROSOCK_BIND", "http://a")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["shop", "-p", str(taken.getsockname()[1])]) == 4


def test_a_control_socket_that_cannot_be_is_status_4_and_told_without_an_errno(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = site / "no" / "control.sock"
    assert main(["shop", "-p", "0", "--control", str(path)]) == 4
    assert capsys.readouterr().err == f"error: cannot listen for commands at {path}: No such file or directory\n"


def test_a_runner_is_looked_for_where_the_app_is(
    site: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (site / "sevens.py").write_text("class Seven:\n    def run(self, task):\n        return 7\n")
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert main(["shop:app", "--app-dir", str(site), "--runner", "sevens:Seven"]) == 7


# Inspecting.


def test_version_and_help_are_status_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert exits("--version") == 0
    assert capsys.readouterr().out == f"microsock {__version__}\n"
    assert exits("--help") == 0
    text = capsys.readouterr().out
    flags = [name for name, setting in SETTINGS.items() if setting.kind != "function"]
    assert all(f"--{name.replace('_', '-')}" in text for name in flags)
    assert "largest request head; 431 past it (16k)" in " ".join(text.split())


def test_check_imports_the_app_and_checks_the_settings(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["shop:app", "--check"]) == 0
    assert capsys.readouterr().out == "shop:app is fine: 4 routes, 1 websocket\n"
    monkeypatch.setenv("MICROSOCK_MAX_HEADERS", "0")
    assert main(["shop:app", "--check"]) == 2
    assert capsys.readouterr().err.startswith("error: max_headers is 0; expected a number of at least 1")


def test_check_reads_the_certificates(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["shop:app", "--check", "--ssl-certfile", "gone.pem"]) == 2
    assert capsys.readouterr() == ("", "error: ssl_certfile: cannot read gone.pem: No such file or directory\n")


def test_routes_are_listed_with_their_methods_and_handlers(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["shop", "--routes"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "GET       /                index",
        "GET|POST  /notes/{id:int}  notes",
        "GET       /parked          parked",
        "GET       /stuck           stuck",
        "WS        /chat            chat",
    ]


def test_an_app_without_routes_lists_none(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (site / "empty.py").write_text("from microsock import App\napp = App()\n")
    assert main(["empty", "--routes"]) == 0
    assert capsys.readouterr().out == "\n"


def test_the_app_may_be_somewhere_else_and_made_by_a_function(
    site: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert main(["shop:create", "--factory", "--app-dir", str(site), "--check"]) == 0


def test_every_flag_can_be_set_in_the_environment(
    site: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    monkeypatch.setenv("MICROSOCK_APP_DIR", str(site))
    monkeypatch.setenv("MICROSOCK_FACTORY", "true")
    assert main(["shop:create", "--check"]) == 0
