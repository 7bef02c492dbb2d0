"""As a container's first process: orphans are reaped in every runner, and no exit status of the app's own children."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from running import status_of
from wire import ask

from .workers import PATIENCE, wait_until

pytestmark = pytest.mark.server

APP = """
import os, subprocess, time
from microsock import App

app = App(access_log=False)

@app.get("/")
def index(request):
    return "hello"

@app.get("/orphans")
def orphans(request):
    for _ in range(3):
        subprocess.run(["sh", "-c", "sleep 0.05 & exit 0"])
    own = subprocess.Popen(["sh", "-c", "exit 7"])
    time.sleep(0.3)
    return {"own": own.wait(), "zombies": zombies()}

@app.get("/end/{status:int}")
def end(request, status):
    os._exit(status)

def zombies():
    found = []
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as file:
                text = file.read()
        except OSError:
            continue
        if text.rpartition(")")[2].split()[0] == "Z":
            found.append(text)
    return found
"""
IN_A_NAMESPACE = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
RUNNERS = {"one": (), "workers": ("-w", "2"), "reload": ("--reload",), "program": ()}


def unshared() -> bool:
    """Whether this user may have a container's view of processes."""
    return (
        bool(shutil.which("unshare")) and subprocess.run([*IN_A_NAMESPACE, "true"], capture_output=True).returncode == 0
    )


needs_unshare = pytest.mark.skipif(not unshared(), reason="needs unshare(1), and the right to use it")


@contextmanager
def first_process(folder: Path, runner: str) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A server as process 1, at ``folder/here``, and the path of its log."""
    (folder / "shop.py").write_text(APP + "\nif __name__ == '__main__': raise SystemExit(app.run('unix:here'))\n")
    words = ["shop.py"] if runner == "program" else ["-m", "microsock", "-b", "unix:here", *RUNNERS[runner], "shop"]
    log = folder / "log"
    with log.open("w") as errors:
        process = subprocess.Popen(
            [*IN_A_NAMESPACE, sys.executable, *words], cwd=folder, stdout=errors, stderr=errors, text=True
        )
    try:
        wait_until(lambda: "Listening" in log.read_text())
        yield process, log
    finally:
        process.kill()
        status_of(process)


def get(folder: Path, path: str) -> str:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE)
        client.connect(str(folder / "here"))
        client.sendall(ask(path, "Connection: close"))
        answer = b"".join(iter(lambda: client.recv(4096), b""))
    return answer.partition(b"\r\n\r\n")[2].decode()


def first_pid(process: subprocess.Popen[str]) -> int:
    """Process 1, as it is known outside."""
    return int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0])


@needs_unshare
@pytest.mark.parametrize("runner", RUNNERS)
def test_orphans_are_reaped_and_the_apps_own_children_are_left_to_it(tmp_path: Path, runner: str) -> None:
    with first_process(tmp_path, runner) as (process, log):
        wait_until(lambda: get(tmp_path, "/") == "hello")
        assert json.loads(get(tmp_path, "/orphans")) == {"own": 7, "zombies": []}
        subprocess.run(["kill", "-TERM", str(first_pid(process))], check=True)
        assert status_of(process) == 0
        assert "Traceback" not in log.read_text()
        assert not (tmp_path / "here").exists()


@needs_unshare
@pytest.mark.parametrize("status", [0, 3])
def test_the_first_process_ends_with_the_status_of_the_server(tmp_path: Path, status: int) -> None:
    with first_process(tmp_path, "one") as (process, _):
        get(tmp_path, f"/end/{status}")
        assert status_of(process) == status


@needs_unshare
def test_signals_to_the_first_process_are_the_servers(tmp_path: Path) -> None:
    with first_process(tmp_path, "one") as (process, log):
        wait_until(lambda: get(tmp_path, "/") == "hello")
        for name, said in (("HUP", "cannot reload its code"), ("USR1", "connections"), ("TTIN", "no workers to add")):
            subprocess.run(["kill", f"-{name}", str(first_pid(process))], check=True)
            wait_until(lambda said=said: said in log.read_text())  # type: ignore[misc]
        subprocess.run(["kill", "-INT", str(first_pid(process))], check=True)
        assert status_of(process) == 0
