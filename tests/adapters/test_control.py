"""The control socket: what is asked over it, by whom, and where it lies."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import socket
import stat
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microsock import BindError, MicrosockError, Overloaded
from microsock.adapters import control_client
from microsock.adapters.control import Commands, ControlServer, open_control
from microsock.adapters.control_client import NoServer
from microsock.adapters.control_path import control_path, own_directory, path_of_port
from microsock.server.loop import Loop
from microsock.settings import Settings

pytestmark = pytest.mark.server

DEADLINE = 20.0


class Obeys(Commands):
    """Notes what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[object, ...]] = []
        self.error: Exception | None = None

    def publish(self, topic: str, data: str | bytes, retain: bool) -> None:
        if self.error is not None:
            raise self.error
        self.told.append(("publish", topic, data, retain))

    def status(self) -> dict[str, object]:
        return {"connections": 3}

    def stop(self, kill: bool) -> None:
        self.told.append(("stop", kill))

    def reload(self) -> str:
        return "everything"


class Place:
    """A control server on a loop whose turns a thread takes while a client waits."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = 0.0
        self.loop = Loop(lambda: self.clock)
        self.commands = Obeys()
        self.server = ControlServer(str(path), self.loop, self.commands, max_message_size=1000)

    def during(self, call: Callable[[], object]) -> object:
        """What a call in another thread gives while the loop turns here."""
        given: list[object] = []

        def work() -> None:
            try:
                given.append(call())
            except Exception as error:
                given.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        end = time.monotonic() + DEADLINE
        while thread.is_alive() and time.monotonic() < end:
            self.loop.step(0.01)
        thread.join(1)
        if isinstance(given[0], Exception):
            raise given[0]
        return given[0]

    def says(self, line: bytes) -> bytes:
        """What it answers to these bytes."""
        return bytes(self.during(lambda: self._talk(line)))  # type: ignore[no-any-return, call-overload]

    def _talk(self, line: bytes) -> bytes:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(DEADLINE)
            sock.connect(str(self.path))
            sock.sendall(line)
            return b"".join(iter(lambda: sock.recv(65536), b""))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    place = Place(tmp_path / "control.sock")
    yield place
    place.server.close()
    place.loop.close()


# What is asked.


@pytest.mark.parametrize(
    ("data", "arrives"),
    [("grüß dich", "grüß dich"), (b"\x00\xff", b"\x00\xff"), ({"a": 1}, '{"a":1}'), ([1, "b"], '[1,"b"]')],
)
def test_what_is_published_arrives_as_a_message_would(place: Place, data: object, arrives: object) -> None:
    place.during(lambda: control_client.publish("news", data, place.path, retain=True))  # type: ignore[arg-type]
    assert place.commands.told == [("publish", "news", arrives, True)]


def test_what_cannot_be_published_is_refused_before_anybody_is_asked(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="a message is a str, bytes, dict or list"):
        control_client.publish("news", 5, tmp_path / "nowhere")  # type: ignore[arg-type]


def test_a_server_that_is_behind_says_so(place: Place) -> None:
    place.commands.error = Overloaded("too far behind")
    with pytest.raises(Overloaded, match="too far behind"):
        place.during(lambda: control_client.publish("news", "x", place.path))


def test_an_error_of_the_server_is_the_clients_too_and_is_logged(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    place.commands.error = ZeroDivisionError("oh")
    with pytest.raises(MicrosockError, match="ZeroDivisionError: oh"):
        place.during(lambda: control_client.publish("news", "x", place.path))
    assert "error in a command" in caplog.text


def test_a_message_over_the_limit_is_refused_by_its_bytes(place: Place) -> None:
    place.during(lambda: control_client.publish("news", "x" * 1000, place.path))
    with pytest.raises(ValueError, match="larger than max_message_size"):
        place.during(lambda: control_client.publish("news", "ü" * 501, place.path))


def test_status_reload_and_stop_give_their_answers(place: Place) -> None:
    path = place.path
    assert place.during(lambda: control_client.status(path)) == {"connections": 3}
    assert place.during(lambda: control_client.reload(path)) == "everything"
    assert place.during(lambda: control_client.stop(path)) == os.getpid()
    assert place.during(lambda: control_client.stop(path, kill=True)) == os.getpid()
    assert place.commands.told == [("stop", False), ("stop", True)]


def test_it_stops_even_if_nobody_waits_for_the_answer(place: Place) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(place.path))
        sock.sendall(b'{"command": "stop"}\n')
    for _ in range(5):
        place.loop.step(0)
    assert place.commands.told == [("stop", False)]


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"hello\n", "Expecting value"),
        (b"\n", "Expecting value"),
        (b'{"command": "stop", "kill": 1}\n', "stop takes kill: true or false, not 1"),
        (b'{"command": "stop", "kill": NaN}\n', "NaN"),
        (b'{"command": "publish", "topic": "' + b"t" * 1025 + b'", "text": ["a"]}\n', "publish takes a topic"),
        (b'{"command": "publish", "topic": "a", "text": ' + b"9" * 5000 + b"}\n", "digits"),
        (b'{"command": "\\u001b[2J"}\n', "unknown command '\\x1b[2J'"),
        (b'{"command": "' + b"x" * 9000 + b'"}\n', "unknown command 'xxx"),
        ('{"command": "status"}\n'.encode("utf-16"), "utf-8"),
        (b"[1]\n", 'expected one line of JSON with a "command"'),
        (b'{"command": 5}\n', 'expected one line of JSON with a "command"'),
        (b'{"command": "dance"}\n', "unknown command 'dance'; known are publish, status, stop, reload"),
        (b'{"command": "publish"}\n', "publish takes a topic"),
        (b'{"command": "publish", "topic": "a"}\n', "either a text or base64"),
        (b'{"command": "publish", "topic": "a", "text": "b", "base64": "Yg=="}\n', "either a text or base64"),
        (b'{"command": "publish", "topic": "a", "base64": "?"}\n', "no base64"),
        (b'{"command": "publish", "topic": "a", "text": "b", "retain": 1}\n', "retain"),
        (b"[" * 9000 + b"\n", ""),  # for being too deep or unfinished, as the version of Python has it
        (b"\xff\n", "utf-8"),
        (b'{"command": "publish", "topic": "a", "text": "' + b"x" * 20_000 + b'"}\n', "longer than 10096 bytes"),
    ],
    ids=range(20),
)
def test_what_is_no_command_is_refused_and_says_why(place: Place, line: bytes, error: str) -> None:
    answer = json.loads(place.says(line))
    assert answer["ok"] is False
    assert error in answer["error"]
    assert answer["error"].isprintable()
    assert len(answer["error"]) <= 500
    assert place.commands.told == []


@given(
    st.binary()
    | st.dictionaries(
        st.sampled_from(["command", "topic", "text", "base64", "retain", "kill"]),
        st.sampled_from(["publish", "status", "stop", "reload", True, 7, None, "\ud800", "Yg==", [[]], 1e999]),
    ).map(lambda said: json.dumps(said).encode())
)
def test_whatever_is_asked_there_is_one_line_of_json_for_an_answer(asked: bytes) -> None:
    server = object.__new__(ControlServer)
    server.path, server.commands, server.max_message_size = "x", Obeys(), 1000
    line, then = server.obey(asked)
    assert line.count(b"\n") == 1
    assert isinstance(json.loads(line)["ok"], bool)
    assert then is None or json.loads(line)["pid"] == os.getpid()


def test_errors_of_the_server_that_a_client_repeats_are_one_traceback(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    place.commands.error = ZeroDivisionError("oh")
    for _ in range(5):
        assert b"ZeroDivisionError: oh" in place.says(b'{"command": "publish", "topic": "a", "text": "b"}\n')
    place.server.close()
    assert [record.exc_info is not None for record in caplog.records] == [True, False]
    assert "4 more in the last 10 s" in caplog.records[1].getMessage()


def test_bytes_that_are_not_ascii_may_be_published(place: Place) -> None:
    encoded = base64.b64encode(bytes(range(256))).decode()
    line = json.dumps({"command": "publish", "topic": "a", "base64": encoded}).encode() + b"\n"
    assert json.loads(place.says(line)) == {"ok": True}
    assert place.commands.told == [("publish", "a", bytes(range(256)), False)]


def test_a_lone_surrogate_is_refused(place: Place) -> None:
    answer = json.loads(place.says(b'{"command": "publish", "topic": "a", "text": "\\ud800"}\n'))
    assert (answer["ok"], place.commands.told) == (False, [])


def test_a_client_that_says_nothing_is_hung_up_on_after_five_seconds(place: Place) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(DEADLINE)
        sock.connect(str(place.path))
        place.loop.step(0)
        sock.sendall(b'{"comm')
        place.clock = 4.9
        place.loop.step(0)
        sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            sock.recv(1)
        place.clock = 5.0
        place.loop.step(0)
        sock.settimeout(DEADLINE)
        with contextlib.suppress(ConnectionResetError):  # where what it had said was not read yet
            assert sock.recv(1) == b""


def test_no_more_than_32_are_heard_at_a_time(place: Place) -> None:
    socks = []
    for _ in range(40):
        socks.append(socket.socket(socket.AF_UNIX))
        socks[-1].connect(str(place.path))
        place.loop.step(0)
    hung_up = 0
    for sock in socks:
        sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            hung_up += sock.recv(1) == b""
        sock.close()
    assert hung_up == 8


# Where it lies, and who may.


def test_the_socket_is_its_users_alone(place: Place) -> None:
    assert stat.S_IMODE(place.path.stat().st_mode) == 0o600
    assert os.listdir(place.path.parent) == ["control.sock"]  # noqa: PTH208


def test_another_user_is_not_heard_even_where_the_file_lets_him() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can be another user")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        place = Place(Path(folder, "control.sock"))
        place.path.chmod(0o666)
        heard = [place.during(partial(stranger_asks, place.path, user)) for user in (65534, 0)]
        place.server.close()
        place.loop.close()
    assert heard == ["", '{"ok": true, "status": {"connections": 3}}\n']


def stranger_asks(path: Path, user: int) -> str:
    script = """
import socket, sys
with socket.socket(socket.AF_UNIX) as sock:
    sock.connect(sys.argv[1])
    try:
        sock.sendall(b'{"command": "status"}\\n')
        print(sock.makefile().read(), end="")
    except ConnectionError:
        pass  # hung up on before it could ask
"""
    words = ["/usr/bin/env", "python3", "-c", script, str(path)]
    found = subprocess.run(words, user=user, cwd="/", capture_output=True, text=True, timeout=DEADLINE, check=True)
    return found.stdout


def test_it_takes_its_file_away_at_the_end(place: Place) -> None:
    place.server.close()
    place.server.close()
    assert not place.path.exists()


def test_the_place_of_a_server_that_died_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
        dead.listen()
    place = Place(path)
    assert place.during(lambda: control_client.status(path)) == {"connections": 3}
    place.server.close()
    place.loop.close()


def test_the_place_of_a_server_that_lives_is_not_taken(place: Place) -> None:
    with pytest.raises(BindError, match="another server listens for commands at"):
        ControlServer(str(place.path), place.loop, place.commands)
    assert place.during(lambda: control_client.status(place.path)) == {"connections": 3}


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path, place: Place) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("precious")
    with pytest.raises(BindError, match="cannot listen for commands at"):
        ControlServer(str(path), place.loop, place.commands)
    assert path.read_text() == "precious"


def test_a_path_that_cannot_be_is_a_bind_error(tmp_path: Path, place: Place) -> None:
    for path in (tmp_path / "no" / "such" / "folder.sock", tmp_path / ("x" * 120)):
        with pytest.raises(BindError, match="cannot listen for commands at"):
            ControlServer(str(path), place.loop, place.commands)


def test_another_servers_file_is_not_taken_away(place: Place) -> None:
    place.path.unlink()
    place.path.write_text("another's")
    place.server.close()
    assert place.path.read_text() == "another's"


def test_a_worker_lets_go_of_it_without_a_trace(place: Place) -> None:
    path = place.path.with_name("other.sock")
    inherited = ControlServer(str(path), place.loop, place.commands)
    inherited.leave_to_parent()
    inherited.close()
    assert path.exists()


def test_nobody_there_says_where_it_looked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with pytest.raises(NoServer, match=rf"^no server at {tmp_path}/x\.sock \(No such file or directory\)$"):
        control_client.status(tmp_path / "x.sock")
    with pytest.raises(ConnectionError, match=r"^no server at port 4242 \(no control socket answers at .*4242\.sock: "):
        control_client.stop(4242)


def test_a_server_whose_loop_is_held_is_told_from_one_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_client, "_SECONDS", 0.05)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as silent:
        silent.bind(str(tmp_path / "silent.sock"))
        silent.listen()
        with pytest.raises(NoServer, match="is there but does not answer: a handler may hold it"):
            control_client.status(tmp_path / "silent.sock")


def test_the_settings_say_where_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert control_path("/run/c.sock", "/run/app.pid", 8080) == "/run/c.sock"
    assert control_path(None, "/run/app.pid", 8080) == "/run/app.pid.sock"
    assert control_path(None, None, 8080) == str(tmp_path / "microsock-8080.sock")
    assert control_path(None, None, 0) is None


def test_without_a_runtime_directory_it_lies_in_one_of_the_users_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    path = Path(path_of_port(8080))
    assert path == tmp_path / f"microsock-{os.geteuid()}" / "microsock-8080.sock"
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder whose name leaves room: a socket's may have 107 bytes, and `tmp_path` of itself can have 80."""
    with TemporaryDirectory() as folder:
        yield Path(folder)


def test_a_server_outside_of_a_session_is_found_from_within_one(
    short_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(short_path))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    place = Place(Path(path_of_port(8080)))
    (short_path / "session").mkdir(0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short_path / "session"))
    assert place.during(lambda: control_client.status(8080)) == {"connections": 3}
    place.server.close()
    place.loop.close()


@pytest.mark.parametrize(
    "prepare", [lambda path: path.mkdir(0o777) or path.chmod(0o777), lambda path: path.write_text("")]
)
def test_a_directory_that_others_may_write_to_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prepare: Callable[[Path], object]
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    prepare(tmp_path / f"microsock-{os.geteuid()}")
    with pytest.raises(MicrosockError, match="not a directory of this user's alone"):
        own_directory()


def test_a_link_that_another_user_left_there_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    (tmp_path / "elsewhere").mkdir(0o700)
    (tmp_path / f"microsock-{os.geteuid()}").symlink_to("elsewhere")
    with pytest.raises(MicrosockError, match="not a directory of this user's alone"):
        own_directory()


def test_at_the_place_by_default_a_failure_is_a_line_in_the_log(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tmp_path.chmod(0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    first = open_control(Settings(), 4242, place.loop, place.commands)
    assert first is not None
    assert open_control(Settings(), 4242, place.loop, place.commands) is None
    assert "no control socket: " in caplog.text
    with pytest.raises(BindError):
        open_control(Settings(control=str(first.path)), 4242, place.loop, place.commands)
    assert open_control(Settings(), 4243, place.loop, place.commands, by_default=False) is None
    first.close()
