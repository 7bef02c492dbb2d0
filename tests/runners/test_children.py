"""Processes that the app itself starts, in every runner: they end as they like, and the server does not notice."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from running import status_of
from wire import ask, handshake

from microsock.testing import build_frame, read_frames

from .workers import PATIENCE, state, wait_until

pytestmark = pytest.mark.server

APP = """
import atexit, concurrent.futures, multiprocessing, os, signal, subprocess, sys, threading, time
from pathlib import Path
from microsock import App, sleep

app = App()
HERE, OWN = Path(__file__).parent, os.getpid()
pools = {}

def note(text):
    with open(HERE / "notes", "a") as notes:
        notes.write(text + "\\n")

app.on_start(lambda: globals().update(OWN=os.getpid()))
app.on_stop(lambda: note("stopped by " + ("the server" if os.getpid() == OWN else "a child")))

@app.get("/")
def index(request):
    return str(os.getpid())

@app.get("/fork/{end}")
def fork(request, end):
    return forked(end)

@app.get("/blocking/fork/{end}", blocking=True)
def fork_in_a_thread(request, end):
    return forked(end)

@app.get("/streaming/fork/{end}")
def fork_while_streaming(request, end):
    yield "a "
    yield from sleep(0)
    yield forked(end)

@app.websocket("/ws")
def echo(ws, message):
    return forked(message) if message != "hello" else message

@echo.on_close
def closed(ws, code, reason):
    note(f"closed {code} in {'the server' if os.getpid() == OWN else 'a child'}")

def forked(end):
    pid = os.fork()
    if pid == 0:
        atexit.register(note, "exit functions " + end)
        return ENDS[end]()
    return str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

def fail():
    raise ValueError("on purpose")

ENDS = {
    "return": lambda: "the child's",
    "raise": fail,
    "exit": sys.exit,
    "exit-3": lambda: sys.exit(3),
    "exit-now": lambda: os._exit(4),
    "term": lambda: (os.kill(os.getpid(), signal.SIGTERM), time.sleep(60)),
    "int": lambda: (os.kill(os.getpid(), signal.SIGINT), time.sleep(60)),
    "hup": lambda: (os.kill(os.getpid(), signal.SIGHUP), time.sleep(60)),
    "usr1": lambda: (os.kill(os.getpid(), signal.SIGUSR1), time.sleep(60)),
}

def about():
    names = []
    for each in os.listdir("/proc/self/fd"):
        try:
            names.append(os.readlink("/proc/self/fd/" + each))
        except OSError:
            pass
    handlers = [repr(signal.getsignal(getattr(signal, name))) for name in
                ("SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGTTIN", "SIGTTOU", "SIGCHLD")]
    return {
        "files": [name for name in names if name.startswith("socket:") or "eventpoll" in name],
        "handlers": sorted(set(handlers)),
        "blocked": sorted(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, []))),
        "wakeup": signal.set_wakeup_fd(-1),
        "publish": refused(lambda: pools["ws"].send("x")) if "ws" in pools else "",
    }

def refused(call):
    try:
        call()
    except RuntimeError as error:
        return str(error)
    return ""

@app.get("/about")
def about_a_child(request):
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply(about)

@app.get("/blocking/about", blocking=True)
def about_a_child_of_a_thread(request):
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
        return pool.submit(about).result()

@app.get("/terminate")
def terminate(request):
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,))
    child.start()
    child.terminate()
    child.join(20)
    return str(child.exitcode)

@app.get("/pool/{method}", blocking=True)
def pool(request, method):
    with multiprocessing.get_context(method).Pool(2) as pool:
        return str(pool.map(abs, [-1, -2]))

@app.get("/program/{name}")
def program(request, name):
    with subprocess.Popen(["sleep", "600"]) as child:
        child.send_signal(getattr(signal, name))
        return str(child.wait(20))

@app.get("/stay/{what}", blocking=True)
def stay(request, what):
    return str(STAYING[what]())

def keep_pool():
    pools["executor"] = made = concurrent.futures.ProcessPoolExecutor(2)
    list(made.map(abs, [-1, -2]))
    return [*made._processes]

def keep_daemon():
    child = multiprocessing.Process(target=time.sleep, args=(600,), daemon=True)
    child.start()
    return [child.pid]

def keep_process():
    child = multiprocessing.Process(target=time.sleep, args=(600,))
    child.start()
    return [child.pid]

def keep_busy_pool():
    pids = keep_pool()
    for _ in range(6):
        pools["executor"].submit(time.sleep, 600)
    return pids

@app.get("/hold")
def hold(request):
    note(f"holds {keep_busy_pool()}")
    time.sleep(600)

def keep_thread():
    threading.Thread(target=time.sleep, args=(600,), daemon=False).start()
    return []

def keep_fork():
    pid = os.fork()
    if pid == 0:
        time.sleep(600)
    return [pid]

def keep_job():
    pools["jobs"] = made = concurrent.futures.ThreadPoolExecutor(1)
    for name in ("first", "second"):
        made.submit(lambda name=name: (time.sleep(0.5), note(name + " job")))
    return []

def keep_short_thread():
    threading.Thread(target=lambda: (time.sleep(0.7), note("thread")), daemon=False).start()
    return []

STAYING = {name[5:].replace("_", "-"): value for name, value in list(globals().items()) if name.startswith("keep_")}
"""
RUNNERS = {"one": [], "workers": ["-w", "2"], "reload": ["--reload"]}
ENDS = {
    "return": 0,
    "raise": 1,
    "exit": 0,
    "exit-3": 3,
    "exit-now": 4,
    "term": -signal.SIGTERM,
    "hup": -signal.SIGHUP,
    "usr1": -signal.SIGUSR1,
}


class Server:
    """A real server with such an app."""

    def __init__(self, folder: Path, runner: str, *arguments: str) -> None:
        (folder / "forks.py").write_text(APP)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.folder = folder
        command = [
            sys.executable,
            "-W",
            "ignore",
            "-m",
            "microsock",
            "-p",
            str(self.port),
            *RUNNERS[runner],
            *arguments,
        ]
        self.log = folder / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, "forks"], cwd=folder, start_new_session=True, stdout=log, stderr=log, text=True
            )
        wait_until(self.answers)

    def answers(self) -> bool:
        with suppress(OSError):
            return bool(self.get())
        assert self.process.poll() is None, self.log.read_text()
        return False

    def get(self, path: str = "/") -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=PATIENCE) as answer:
            return str(answer.read().decode())

    def connect(self, data: bytes) -> socket.socket:
        client = socket.create_connection(("127.0.0.1", self.port), PATIENCE)
        client.sendall(data)
        return client

    def notes(self) -> list[str]:
        return (self.folder / "notes").read_text().splitlines() if (self.folder / "notes").exists() else []

    def group(self) -> set[int]:
        """All living processes of its group, itself among them."""
        found = set()
        for path in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                fields = path.read_text().rpartition(")")[2].split()
                if int(fields[2]) == self.process.pid and fields[0] != "Z":
                    found.add(int(path.parent.name))
        return found

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return status_of(self.process)

    def is_listening(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        status_of(self.process)


@contextmanager
def serving(folder: Path, runner: str, *arguments: str) -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(folder))
        patch.delenv("MICROSOCK_RELOAD", raising=False)
        server = Server(folder, runner, *arguments)
    try:
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="module", params=RUNNERS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for all that leaves nothing behind; in the end it stops in order."""
    runner = str(request.param)
    with serving(tmp_path_factory.mktemp(runner), runner, "--grace", "5") as server:
        yield server
        began = time.monotonic()
        assert server.stop() == 0, server.log.read_text()
        assert time.monotonic() - began < 4
        assert not server.is_listening()
        wait_until(lambda: server.group() == set())
        # Each worker's own, and no child's.
        assert {note for note in server.notes() if note.startswith("stopped")} == {"stopped by the server"}


def whole(sock: socket.socket) -> bytes:
    return b"".join(iter(lambda: sock.recv(65536), b""))


@pytest.mark.parametrize("end", ENDS)
def test_a_forked_child_may_end_in_any_way_and_the_client_has_one_answer(server: Server, end: str) -> None:
    for way in ("", "/blocking", "/streaming"):
        with server.connect(handshake("/ws")) as chat:
            chat.recv(4096)
            one_answer(server, chat, way, end)
    assert not any("in a child" in note for note in server.notes())


def one_answer(server: Server, chat: socket.socket, way: str, end: str) -> None:
    with server.connect(ask(f"{way}/fork/{end}", "Connection: close")) as client:
        answer = whole(client)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert str(ENDS[end]).encode() in answer
    assert b"the child's" not in answer
    # The server serves on, and the child has closed nobody else's WebSocket.
    assert server.get()
    chat.sendall(build_frame(1, b"hello"))
    (frame,) = read_frames(bytearray(chat.recv(4096)))
    assert (frame.opcode, frame.payload) == (1, b"hello")


@pytest.mark.parametrize("end", ENDS)
def test_a_child_of_a_websocket_handler_does_not_end_the_websocket(server: Server, end: str) -> None:
    with server.connect(handshake("/ws")) as chat:
        chat.recv(4096)
        for message in (end, "hello"):
            chat.sendall(build_frame(1, message.encode()))
            (frame,) = read_frames(bytearray(chat.recv(4096)))
            assert frame.payload.decode() == str(ENDS.get(message, message))


def test_ctrl_c_ends_a_child_as_it_ends_every_program(server: Server) -> None:
    assert server.get("/fork/int") in ("130", "-2")


def test_exit_functions_are_called_in_a_child_that_python_would_call_them_in(server: Server) -> None:
    before = len(server.notes())
    for end in ("return", "raise", "exit", "exit-now"):
        server.get(f"/fork/{end}")
        server.get(f"/blocking/fork/{end}")
    assert server.notes()[before:] == [f"exit functions {end}" for end in ("return", "raise", "exit") for _ in "12"]


@pytest.mark.parametrize("path", ["/about", "/blocking/about"])
def test_a_child_has_no_handler_and_no_descriptor_of_the_server(server: Server, path: str) -> None:
    with server.connect(handshake("/ws")) as chat, server.connect(ask()) as idle:
        chat.recv(4096), idle.recv(4096)
        about = json.loads(server.get(path))
    default_int = [name for name in about["handlers"] if "default_int_handler" in name]
    assert set(about["handlers"]) == {repr(signal.SIG_DFL), *default_int}
    assert about["files"] == []
    assert (about["blocked"], about["wakeup"]) == ([], -1)


def test_a_child_ends_at_terminate(server: Server) -> None:
    assert [server.get("/terminate") for _ in range(5)] == ["-15"] * 5


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_pools_of_every_start_method_work_and_end(server: Server, method: str) -> None:
    assert server.get(f"/pool/{method}") == "[1, 2]"


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1"])
def test_a_program_that_the_app_starts_hears_every_signal(server: Server, name: str) -> None:
    assert server.get(f"/program/{name}") == str(-signal.Signals[name])


def started(server: Server, *kinds: str) -> list[int]:
    """The processes that stay once the app has started these kinds of what stays."""
    return [int(pid) for kind in kinds for pid in json.loads(server.get(f"/stay/{kind}"))]


def living(pids: list[int]) -> list[int]:
    return [pid for pid in pids if state(pid) not in ("", "Z")]


# The end, while something of the app still runs.

RUNS = pytest.mark.parametrize("runner", RUNNERS)


@RUNS
def test_idle_pools_and_daemons_end_with_the_server_at_once_and_a_fork_goes_on(tmp_path: Path, runner: str) -> None:
    with serving(tmp_path, runner) as server:
        own, pools = started(server, "fork"), started(server, "pool", "daemon")
        began = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - began < 5
        assert not server.is_listening()
        assert living(pools) == []
        # It is the app's own: it is left as it is, as by any program.
        assert living(own) == own


@RUNS
def test_what_does_not_end_by_itself_has_the_grace_time_and_no_more(tmp_path: Path, runner: str) -> None:
    with serving(tmp_path, runner, "--grace", "1") as server:
        pids = started(server, "process", "busy-pool", "thread")
        began = time.monotonic()
        assert server.stop() == 0, server.log.read_text()
        assert 0.9 < time.monotonic() - began < 5
        assert living(pids) == []
        wait_until(lambda: server.group() == set())
        assert not server.is_listening()


@pytest.mark.parametrize("last", [signal.SIGTERM, signal.SIGKILL], ids=["stopped", "parent-killed"])
def test_the_pool_of_a_worker_that_a_handler_holds_ends_with_it(tmp_path: Path, last: signal.Signals) -> None:
    with serving(tmp_path, "workers", "--grace", "0.5") as server, server.connect(ask("/hold")):
        wait_until(lambda: bool(server.notes()))
        pids = json.loads(server.notes()[0].removeprefix("holds "))
        assert living(pids) == pids
        server.process.send_signal(last)
        assert status_of(server.process) == (0 if last == signal.SIGTERM else -last)
        wait_until(lambda: not living(pids))
        wait_until(lambda: server.group() == set())


@RUNS
def test_jobs_and_threads_are_finished_before_the_end(tmp_path: Path, runner: str) -> None:
    with serving(tmp_path, runner) as server:
        server.get("/stay/job"), server.get("/stay/short-thread")
        assert server.stop() == 0
        assert set(server.notes()) >= {"first job", "second job", "thread"}


def test_jobs_are_finished_by_a_worker_that_is_replaced(tmp_path: Path) -> None:
    with serving(tmp_path, "workers") as server:
        server.get("/stay/job")
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "reload: all workers are new" in server.log.read_text())
        wait_until(lambda: "second job" in server.notes())
        assert server.stop() == 0


@RUNS
def test_a_second_signal_does_not_wait_for_threads(tmp_path: Path, runner: str) -> None:
    with serving(tmp_path, runner, "--grace", "60") as server:
        server.get("/stay/thread"), server.get("/stay/busy-pool")
        server.process.send_signal(signal.SIGINT)
        wait_until(lambda: "stopped by the server" in server.notes())
        began = time.monotonic()
        server.process.send_signal(signal.SIGINT)
        assert status_of(server.process) == 130
        assert time.monotonic() - began < 5
        wait_until(lambda: server.group() == set())
