"""The client's end of the control socket, where what answers is hostile, broken or slow."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microsock import MicrosockError, Overloaded
from microsock.adapters import control_client
from microsock.adapters.control_client import Control, NoServer, connected
from microsock.adapters.peers import Peer

pytestmark = pytest.mark.server

Answers = Callable[..., Path]


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.fixture
def answers(folder: Path) -> Iterator[Answers]:
    """Makes a socket at which each client gets these pieces, with a pause before each."""
    threads: list[threading.Thread] = []
    stop = threading.Event()

    def serve(listening: socket.socket, pieces: list[bytes], pause: float) -> None:
        with listening:
            listening.settimeout(20)
            try:
                client, _ = listening.accept()
            except OSError:  # nobody came, or the test has ended
                return
        with client, contextlib.suppress(OSError):
            client.recv(1 << 16)
            for piece in pieces:
                if stop.wait(pause):
                    return
                client.sendall(piece)

    def make(*pieces: bytes, pause: float = 0.0) -> Path:
        path = folder / f"{len(threads)}.sock"
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(str(path))
        listening.listen()
        threads.append(threading.Thread(target=serve, args=(listening, list(pieces), pause)))
        threads[-1].start()
        return path

    yield make
    stop.set()
    for number, thread in enumerate(threads):
        with socket.socket(socket.AF_UNIX) as last, contextlib.suppress(OSError):
            last.connect(str(folder / f"{number}.sock"))
        thread.join(20)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"\n", "Expecting value"),
        (b"hello\n", "Expecting value"),
        (b"[]\n", "no JSON object"),
        (b"NaN\n", "NaN is no JSON"),
        (b'{"ok": true, "status": 1e999}\n', "no|large|finite"),
        (b'{"ok": true, "status": {"a": [1e999]}}\n', "no|large|finite"),
        (b'{"ok": true, "status": ' + b"9" * 5000 + b"}\n", "digits"),
        (b"[" * 200_000 + b"\n", "."),
        (b'{"ok": true, "status": {"a": ' + b"[" * 100 + b"]" * 100 + b"}}\n", "nested too deeply"),
        (b'{"ok": true, "status": "\xff"}\n', "utf-8"),
        (b'{"ok": true}\n', "its status is None"),
        (b'{"ok": true, "status": [1]}\n', r"its status is \[1\]"),
        (b'{"ok": 1, "status": {}}\n', "neither that it was done nor"),
        (b"{}\n", "neither that it was done nor"),
        (b'{"ok": false}\n', "'type' is no text"),
        (b'{"ok": false, "type": [], "error": "x"}\n', "'type' is no text"),
        (b'{"ok": false, "type": "ValueError", "error": 5}\n', "'error' is no text"),
        (b"x" * (5 << 20), "longer than 4194304 bytes"),
    ],
    ids=range(18),
)
def test_an_answer_that_no_server_gives_is_an_error_that_says_so(answers: Answers, line: bytes, says: str) -> None:
    with pytest.raises(MicrosockError, match=r"^what answers at .*\.sock is no microsock server: ") as raised:
        control_client.status(answers(line))
    assert not isinstance(raised.value, NoServer)
    assert raised.match(says)
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 800


@pytest.mark.parametrize("pid", [-1, 0, "7", 7.0, True, None, 1 << 31, [7], {}])
def test_a_pid_that_is_none_is_such_an_answer(answers: Answers, pid: object) -> None:
    with pytest.raises(MicrosockError, match="'pid' is no number from 1 to"):
        control_client.stop(answers(json.dumps({"ok": True, "pid": pid}).encode() + b"\n"))


@pytest.mark.parametrize("said", [None, 5, ["x"]])
def test_a_reload_that_is_no_text_is_such_an_answer(answers: Answers, said: object) -> None:
    with pytest.raises(MicrosockError, match="'reloads' is no text"):
        control_client.reload(answers(json.dumps({"ok": True, "reloads": said}).encode() + b"\n"))


def test_the_pid_of_what_stops_is_the_kernels_word_for_it(answers: Answers) -> None:
    assert control_client.stop(answers(b'{"ok": true, "pid": 4242}\n')) == os.getpid()


@pytest.mark.parametrize(
    ("kind", "error"), [("ValueError", ValueError), ("Overloaded", Overloaded), ("SystemExit", MicrosockError)]
)
def test_what_a_refusal_says_does_nothing_on_a_terminal(answers: Answers, kind: str, error: type[Exception]) -> None:
    text = "\x1b[2J\r\nno\u202e\x9b1m" + "x" * 5000
    line = json.dumps({"ok": False, "type": kind, "error": text}).encode() + b"\n"
    with pytest.raises(error) as raised:
        control_client.publish("news", "x", answers(line))
    assert str(raised.value).startswith(r"\x1b[2J\r\nno\u202e\x9b1mxxx")
    assert len(str(raised.value)) < 600


def test_one_that_hangs_up_in_the_middle_is_no_server(answers: Answers) -> None:
    with pytest.raises(NoServer, match="hung up without an answer"):
        control_client.status(answers())
    with pytest.raises(NoServer, match="hung up in the middle of an answer"):
        control_client.status(answers(b'{"ok": true, "status": {}}'))


def test_what_comes_behind_the_answer_is_not_waited_for(answers: Answers) -> None:
    path = answers(b'{"ok": true, "status": {"a": 1}}\n', *[b"x"] * 10_000, pause=0.02)
    assert control_client.status(path) == {"a": 1}


def test_an_answer_that_trickles_is_given_up_at_one_deadline_for_all_of_it(
    answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_client, "_SECONDS", 0.3)
    began = time.monotonic()
    with pytest.raises(NoServer, match="is there but does not answer"):
        control_client.status(answers(*[b"x"] * 10_000, pause=0.005))
    assert time.monotonic() - began < 5.0


@pytest.mark.parametrize("path", ["a\0b", "x" * 200, ".", "/dev/null"])
def test_a_path_that_is_no_socket_is_no_server(path: str) -> None:
    with pytest.raises(NoServer, match="no server at"):
        control_client.status(path)


# Who listens there.

STRANGER = """
import os, socket, sys
sock = socket.socket(socket.AF_UNIX)
sock.bind(sys.argv[1])
os.chmod(sys.argv[1], 0o777)
sock.listen()
print(flush=True)
peer, _ = sock.accept()
print(len(peer.recv(1000)), flush=True)
"""


def test_another_users_socket_is_told_nothing(folder: Path) -> None:
    if os.geteuid() != 0:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("only root can be another user")
    folder.chmod(0o777)
    path = folder / "a.sock"
    command = ["/usr/bin/env", "python3", "-c", STRANGER, str(path)]
    with subprocess.Popen(command, user=65534, cwd="/", stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(MicrosockError, match=r"is user id 65534's and not yours \(user id 0\), so it is told"):
            control_client.publish("news", "a secret", path)
        assert process.stdout.readline() == "0\n"


@pytest.mark.parametrize("user", [4242, 65534])
def test_where_the_kernel_does_not_say_the_files_owner_counts(
    user: int, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_client, "peer_of", lambda sock: None)
    assert control_client.status(answers(b'{"ok": true, "status": {}}\n')) == {}
    path = answers(b'{"ok": true, "status": {}}\n')
    real = os.lstat
    monkeypatch.setattr(os, "lstat", lambda path: os.stat_result([*real(path)[:4], user, *real(path)[5:]]))
    with pytest.raises(MicrosockError, match=f"is user id {user}'s"):
        control_client.status(path)


def test_where_a_pid_cannot_be_known_the_servers_own_word_is_given(
    answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_client, "peer_of", lambda sock: Peer(0, os.geteuid()))
    path = answers(b'{"ok": true, "pid": 4242}\n')
    with connected(path) as control:
        assert control.pid == 0
        assert control.stop() == 4242
    assert not control.listens()


class Scripted:
    """A connected socket that gives these bytes, in pieces, and then its end."""

    def __init__(self, data: bytes, size: int) -> None:
        self.data = data
        self.size = size

    def settimeout(self, seconds: float) -> None: ...

    def connect(self, path: str) -> None: ...

    def sendall(self, data: bytes) -> None: ...

    def recv(self, size: int) -> bytes:
        piece, self.data = self.data[: self.size], self.data[self.size :]
        return piece


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["ok", "pid", "error", "type"]), inner),
    max_leaves=8,
)
LINES = st.binary() | JSON.map(lambda value: json.dumps(value).encode() + b"\n")
SAID = st.dictionaries(st.sampled_from(["ok", "pid", "error", "type", "status", "reloads"]), JSON)


@settings(max_examples=40, deadline=None)
@given(LINES | SAID.map(lambda value: json.dumps(value).encode() + b"\n"), st.integers(1, 100))
def test_whatever_answers_it_is_an_answer_or_an_error_of_ours(data: bytes, size: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(control_client, "peer_of", lambda sock: Peer(7, os.geteuid()))
        for ask in (Control.stop, lambda control: control.ask("status")):
            control = Control("x", Path("x"), cast(socket.socket, Scripted(data, size)))
            with contextlib.suppress(MicrosockError, ValueError, TypeError):
                found = ask(control)
                assert found == 7 if isinstance(found, int) else found["ok"] is True


def test_the_module_loads_nothing_heavy() -> None:
    code = "import sys, microsock; microsock.publish; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"asyncio", "microsock.server.loop", "microsock.server.server"} & set(done.stdout.split())
