"""``server.run(simultaneous=True)`` and ``app.run(workers=…)``: workers forked from a program that has the app."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import pytest
from running import started

from microsock import App, BadSetting, Server

from .workers import PATIENCE, wait_until

pytestmark = pytest.mark.server

PROGRAM = """
import atexit, os, signal, sys
from microsock import App, Server

app = App(access_log=False)

@app.get("/")
def index(request):
    return str(os.getpid())

@app.get("/end")
def end(request):
    os.kill(os.getppid(), signal.SIGTERM)
    return "ending"

atexit.register(lambda: print("atexit", os.getpid(), flush=True))
before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)]
"""

SERVER = """
server = Server(app, port=0).set_max_processes(3)
print(server.port, flush=True)
server.run(simultaneous=True)
"""

RUN = """
print("status", app.run(port=0, workers=2), flush=True)
"""

AFTER = """
assert before == [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)]
print("returned", os.getpid(), flush=True)
"""


def get(port: int, path: str = "/") -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=PATIENCE) as answer:
        return str(answer.read().decode())


def test_a_server_runs_in_as_many_processes_as_it_was_told_and_returns_in_its_own(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM + SERVER + AFTER)
    command = [sys.executable, "program.py"]
    with started(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        seen: set[str] = set()
        wait_until(lambda: seen.add(get(port)) or len(seen) == 3)  # type: ignore[func-returns-value]
        assert str(process.pid) not in seen
        assert get(port, "/end") == "ending"
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err) == (0, "")
    # What the program has registered runs in the program, and in no worker.
    assert out.splitlines() == [f"returned {process.pid}", f"atexit {process.pid}"]


def test_app_run_with_workers_reloads_them_with_the_same_code_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM + RUN + AFTER)
    command = [sys.executable, "program.py"]
    with started(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        banner = [process.stderr.readline() for _ in range(3)]
        assert banner[0].endswith(" · 2 routes, 0 websockets · preforked, 2 workers\n")
        found = re.search(r"http://127\.0\.0\.1:(\d+)", banner[1])
        assert found
        before = get(int(found[1]))
        process.send_signal(signal.SIGHUP)
        assert "their code stays the same" in process.stderr.readline()
        wait_until(lambda: get(int(found[1])) != before)
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=PATIENCE)
    assert "status 0" in out
    assert f"returned {process.pid}" in out


def test_shutdown_from_another_thread_ends_it_and_a_second_call_does_nothing() -> None:
    app = App(access_log=False)
    app.get("/")(lambda request: "hello")
    with Server(app, port=0) as server:

        def stop() -> None:
            assert get(server.port) == "hello"
            server.shutdown()

        stopper = threading.Thread(target=stop)
        stopper.start()
        server.run(simultaneous=True)
        stopper.join(PATIENCE)
        server.shutdown()
    assert not server.is_listening


def test_the_number_of_processes_must_be_one_at_least() -> None:
    server = Server(App(), autostart=False)
    assert server.set_max_processes(4) is server
    assert server.settings.workers == 4
    with pytest.raises(BadSetting, match="workers is 0"):
        server.set_max_processes(0)
