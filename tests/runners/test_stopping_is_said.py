"""That it stops is said when the signal comes, whatever a handler does at the time."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from microsock.runners.console import say_stopping

from .workers import PATIENCE, wait_until

pytestmark = pytest.mark.server

APP = """
import hashlib, sys, time
from microsock import App
app = App(grace=60)

@app.get("/sleeps")
def sleeps(request):
    print("held", flush=True)
    time.sleep(60)

@app.get("/computes")
def computes(request):
    print("held", flush=True)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        hash(end)

@app.get("/prints")
def prints(request):
    print("held", flush=True)
    end = time.monotonic() + 60
    while time.monotonic() < end:
        sys.stderr.write("x")
        sys.stderr.flush()

@app.get("/idle")
def idle(request):
    print("held", flush=True)
    return ""
"""
HOW = {"one process": [], "workers": ["--workers", "2"], "reload": ["--reload"]}


def started(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    (folder / "films.py").write_text(APP)
    command = [sys.executable, "-m", "microsock", "--no-access-log", "--port", "0", *arguments, "films:app"]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)


class Errors:
    """What it writes on standard error, read without waiting for an end."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stderr is not None
        self._stream = process.stderr
        os.set_blocking(self._stream.fileno(), False)
        self.text = ""

    def have(self, words: str) -> bool:
        self.text += (self._stream.read() or b"").decode()
        return words in self.text


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("path", ["sleeps", "computes", "prints", "idle"])
@pytest.mark.parametrize("arguments", HOW.values(), ids=HOW.keys())
def test_it_is_said_at_once(tmp_path: Path, arguments: list[str], path: str, signum: signal.Signals) -> None:
    with started(tmp_path, *arguments) as process:
        try:
            errors = Errors(process)
            wait_until(lambda: errors.have("Press Ctrl+C"))
            port = int(errors.text.partition("http://127.0.0.1:")[2].partition(" ")[0])
            with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
                client.sendall(f"GET /{path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                assert process.stdout is not None
                assert process.stdout.readline() == b"held\n"
                process.send_signal(signum)
                # Far sooner than the handler returns.
                wait_until(lambda: errors.have("Stopping (press Ctrl+C again to stop at once)\n"))
            assert errors.text.count("Stopping") == 1
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def test_a_signal_during_a_slow_start_hook_is_said_too(tmp_path: Path) -> None:
    (tmp_path / "films.py").write_text(
        "import time\nfrom microsock import App\napp = App()\n"
        "@app.on_start\ndef slow():\n    print('held', flush=True)\n    time.sleep(60)\n"
    )
    command = [sys.executable, "-m", "microsock", "--port", "0", "films:app"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            errors = Errors(process)
            assert process.stdout is not None
            assert process.stdout.readline() == b"held\n"
            process.send_signal(signal.SIGTERM)
            wait_until(lambda: errors.have("Stopping"))
        finally:
            process.kill()


def test_it_never_waits_for_somebody_to_read_it(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    while True:
        try:
            os.write(writer, b"x" * 65536)
        except BlockingIOError:
            break
    os.set_blocking(writer, True)
    with os.fdopen(writer, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        began = time.monotonic()
        say_stopping()
        assert time.monotonic() - began < 5
        os.close(reader)
        say_stopping()
    say_stopping()
