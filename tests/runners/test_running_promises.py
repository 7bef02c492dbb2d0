"""What the feature table promises of running and stopping (its rows G 58 to 66), each by its number."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pace import quickest
from running import started
from wire import ask, handshake

from microsock import App, Client, Server
from microsock.testing import read_frames

from .workers import PATIENCE, Workers, state, wait_until, workers

pytestmark = [pytest.mark.server, pytest.mark.timed]

SHOP = """
import os, time
from microsock import App

app = App(access_log=False)

@app.get("/")
def index(request):
    return str(os.getpid())

@app.get("/slow")
def slow(request):
    time.sleep(1)
    return "slow"

@app.get("/held")
def held(request):
    open("holds", "w").close()
    while not os.path.exists("free"):
        time.sleep(0.01)
    return "held"
"""
PROGRAM = """
import os
from microsock import App, Server

app = App(access_log=False)
app.on_start(lambda: print("started", flush=True))
app.on_stop(lambda: print("stopped", flush=True))
"""
IN_A_BLOCK = """
with Server(app, port=0) as server:
    server.step()
    if os.fork() == 0:
        raise SystemExit  # a child that knows nothing of it
    os.wait()
    assert server.is_listening
"""
AT_EXIT = """
server = Server(app, port=0)
server.step()
if os.fork() == 0:
    raise SystemExit
os.wait()
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an app."""
    (tmp_path / "shop.py").write_text(SHOP)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    tmp_path.chmod(0o700)
    return tmp_path


@pytest.fixture
def app() -> App:
    app = App(access_log=False)
    app.get("/")(lambda request: "hello")
    app.websocket("/ws")(lambda ws, message: message)
    return app


@contextmanager
def in_a_thread(server: Server) -> Iterator[threading.Thread]:
    """The server runs there; that it comes back is for the block to bring about."""
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield thread
    finally:
        server.shutdown()
        thread.join(PATIENCE)
        assert not thread.is_alive()


def get(address: tuple[str, int], path: str = "/") -> bytes:
    with socket.create_connection(address, PATIENCE) as client:
        client.sendall(ask(path, "Connection: close"))
        return b"".join(iter(lambda: client.recv(4096), b""))


def pids_that_answer(server: Workers, count: int) -> set[str]:
    """Once so many different workers have."""
    found: set[str] = set()
    wait_until(lambda: found.add(server.get()) or len(found) >= count)  # type: ignore[func-returns-value]
    return found


def test_58_run_takes_seconds_and_returns_and_never_exits(app: App) -> None:
    with Server(app, port=0) as server:
        stopper = threading.Timer(0.2, server.shutdown)
        stopper.start()
        began = time.monotonic()
        server.run(timeout=0.05, sleep=0.001)
        assert time.monotonic() - began >= 0.15
        stopper.join()
    assert not server.is_listening


def test_58_app_run_takes_a_runner_and_a_number_of_workers_and_gives_the_status(folder: Path) -> None:
    program = "from shop import app\nprint('status', app.run(port=0, runner='preforked', workers=2), flush=True)\n"
    command = [sys.executable, "-c", program]
    with started(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        assert "preforked, 2 workers" in process.stderr.readline()
        process.terminate()
        out, _ = process.communicate(timeout=PATIENCE)
    assert out == "status 0\n"


def test_59_one_thread_serves_many_open_connections_and_an_idle_one_blocks_nobody(app: App) -> None:
    with Server(app, port=0) as server, in_a_thread(server):
        idle = [socket.create_connection(server.address, PATIENCE) for _ in range(50)]
        before = threading.active_count()
        assert [get(server.address)[-5:] for _ in range(5)] == [b"hello"] * 5
        assert threading.active_count() == before
        for client in idle:
            client.sendall(ask())
            assert client.recv(4096).endswith(b"hello")
            client.close()


def test_59_handlers_run_one_at_a_time() -> None:
    app, inside, most = App(access_log=False), list[None](), list[int]()

    @app.get("/")
    def index(request: object) -> str:
        inside.append(None)
        most.append(len(inside))
        time.sleep(0.02)
        inside.pop()
        return "hello"

    with Server(app, port=0) as server, in_a_thread(server):
        clients = [threading.Thread(target=get, args=(server.address,)) for _ in range(10)]
        for client in clients:
            client.start()
        for client in clients:
            client.join(PATIENCE)
    assert most == [1] * 10


def test_60_a_slow_handler_in_one_worker_holds_nobody_of_another(folder: Path) -> None:
    with workers(folder, count=2) as server:
        before = pids_that_answer(server, 2)
        held = server.connect(ask("/held"))
        wait_until((folder / "holds").exists)
        # Whom the busy one had taken waits for it; who comes now does not, however long it is held.
        assert len({server.get() for _ in range(20)}) == 1
        (folder / "free").touch()
        assert held.recv(4096).endswith(b"held")
        held.close()
        assert pids_that_answer(server, 2) == before
        assert server.stop() == 0


def test_60_workers_live_long(folder: Path) -> None:
    with workers(folder, count=2) as server:
        before = pids_that_answer(server, 2)
        assert {server.get() for _ in range(100)} <= before
        assert server.stop() == 0


def test_61_a_worker_that_dies_is_reaped_and_replaced(folder: Path) -> None:
    with workers(folder, count=2) as server:
        victim = int(min(pids_that_answer(server, 2)))
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: len(server.pids()) == 2 and victim not in server.pids())
        wait_until(lambda: state(victim) == "")  # no zombie is left
        assert server.stop() == 0


def test_61_workers_are_recycled_by_the_number_of_requests(folder: Path) -> None:
    with workers(folder, "--max-requests", "10", count=2) as server:
        assert len(pids_that_answer(server, 5)) >= 5
        assert server.stop() == 0


def test_61_there_is_no_orphan(folder: Path) -> None:
    def seconds_of_orphans() -> float:
        with workers(folder, count=2) as server:
            pids = pids_that_answer(server, 2)
            server.process.kill()
            server.process.wait(PATIENCE)
            began = time.monotonic()
            wait_until(lambda: all(state(int(pid)) in ("", "Z") for pid in pids))
            return time.monotonic() - began

    assert quickest(seconds_of_orphans, 1) < 1


def test_62_shutdown_may_come_from_another_thread_and_more_than_once_and_routes_stay(app: App) -> None:
    with Server(app, port=0) as server, in_a_thread(server) as thread:
        assert get(server.address).endswith(b"hello")
        for _ in range(3):
            server.shutdown()
        thread.join(PATIENCE)
        server.shutdown()
    with Server(app, port=0) as again, in_a_thread(again):
        assert get(again.address).endswith(b"hello")


def test_62_websockets_get_1001_and_connected_clients_their_disconnect_handler(app: App) -> None:
    left: list[str] = []
    app.connect(lambda client, clients: None)

    @app.disconnect
    def disconnect(client: Client) -> None:
        left.append(client.key)

    with Server(app, port=0) as server, in_a_thread(server) as thread:
        get(server.address, "/connect")
        with socket.create_connection(server.address, PATIENCE) as chat:
            chat.sendall(handshake())
            assert chat.recv(4096).startswith(b"HTTP/1.1 101 ")
            server.shutdown()
            (frame,) = read_frames(bytearray(chat.recv(4096)))
        assert frame.payload[:2] == (1001).to_bytes(2, "big")
        thread.join(PATIENCE)
    assert left == ["127.0.0.1"]


def test_62_kill_forces_after_the_timeout(app: App) -> None:
    def seconds_to_stop() -> float:
        with Server(app, port=0) as server, in_a_thread(server) as thread:
            with socket.create_connection(server.address, PATIENCE) as silent:
                silent.sendall(handshake())
                silent.recv(4096)
                began = time.monotonic()
                server.shutdown(kill=True, timeout=0.3)
                thread.join(PATIENCE)
            seconds = time.monotonic() - began
        assert seconds > 0.2
        return seconds

    assert quickest(seconds_to_stop, 2) < 2


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize(("signum", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_63_int_and_term_drain_and_a_second_one_forces(
    folder: Path, count: int, signum: signal.Signals, status: int
) -> None:
    (folder / "shop.py").write_text(SHOP.replace("time.sleep(1)", "time.sleep(0.5)"))
    with workers(folder, count=count) as server:
        silent = server.connect(ask("/slow"))
        time.sleep(0.1)
        server.signal(signum)
        assert silent.recv(4096).endswith(b"slow")
        silent.close()
        assert server.wait() == 0
    (folder / "shop.py").write_text(SHOP.replace("time.sleep(1)", "time.sleep(60)"))

    def seconds_to_stop() -> float:
        with workers(folder, count=count) as server:
            held = server.connect(ask("/slow"))
            time.sleep(0.2)
            began = time.monotonic()
            server.signal(signum)
            time.sleep(0.2)
            server.signal(signum)
            assert server.wait() == status
            seconds = time.monotonic() - began
            held.close()
        return seconds

    assert quickest(seconds_to_stop, 3) < 3


def test_63_hup_reloads(folder: Path) -> None:
    with workers(folder, count=2) as server:
        before = pids_that_answer(server, 2)
        server.signal(signal.SIGHUP)
        wait_until(lambda: "reload: all workers are new" in server)
        assert not pids_that_answer(server, 2) & before
        assert server.stop() == 0


def test_63_old_handlers_are_restored(app: App) -> None:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    with Server(app, port=0) as server:
        server.post(server.shutdown)
        server.run()
    assert [signal.getsignal(number) for number in numbers] == before


@pytest.mark.parametrize("serving", [IN_A_BLOCK, AT_EXIT], ids=["with", "atexit"])
def test_64_start_and_stop_run_in_the_process_that_serves_and_in_no_child_of_it(tmp_path: Path, serving: str) -> None:
    (tmp_path / "program.py").write_text(PROGRAM + serving)
    # From Python 3.12 on a fork beside another thread (here the watchdog's) is warned of.
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "program.py"]
    ended = subprocess.run(command, cwd=tmp_path, text=True, capture_output=True, timeout=PATIENCE)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout == "started\nstopped\n"


def test_64_a_process_may_serve_what_was_bound_before_it_was_forked(app: App) -> None:
    server = Server(app, port=0)
    child = os.fork()
    if child == 0:
        server.run()
        os._exit(0)
    try:
        assert get(server.address).endswith(b"hello")
        os.kill(child, signal.SIGTERM)
        assert os.waitpid(child, 0)[1] == 0
    finally:
        server.shutdown()


@pytest.mark.parametrize("count", [1, 2])
def test_65_status_reload_and_stop_through_the_pid_file(folder: Path, count: int) -> None:
    def command(*words: str) -> subprocess.CompletedProcess[str]:
        arguments = [sys.executable, "-m", "microsock", *words, "--pid-file", "pid"]
        return subprocess.run(arguments, cwd=folder, text=True, capture_output=True, timeout=PATIENCE)

    with workers(folder, "--pid-file", "pid", count=count) as server:
        assert server.get()
        assert '"connections"' in command("status").stdout
        assert command("reload").returncode == 0
        wait_until(lambda: "reload" in server)
        assert command("stop").returncode == 0
        assert server.wait() == 0
    assert command("stop").returncode == 1


def test_65_stop_kill_ends_what_does_not_end_by_itself(folder: Path) -> None:
    (folder / "shop.py").write_text(SHOP.replace("time.sleep(1)", "time.sleep(60)"))
    with workers(folder, "--pid-file", "pid", "--grace", "1", count=1) as server:
        held = server.connect(ask("/slow"))
        time.sleep(0.2)
        stop = [sys.executable, "-m", "microsock", "stop", "--kill", "--timeout", "1", "--pid-file", "pid"]
        assert subprocess.run(stop, cwd=folder, capture_output=True, timeout=PATIENCE).returncode == 0
        server.wait()
        held.close()


def test_66_each_claim_of_efficiency_has_a_test_or_a_benchmark() -> None:
    # What keeps a server from being exhausted, and what it costs: where each of them is held.
    root = Path(__file__).parents[2]
    for place in (
        "tests/soak/test_slow.py",  # slow and idle clients
        "tests/soak/test_soak.py",  # memory of sockets, of lazy readers, of floods
        "tests/soak/test_workers.py",  # reloads and dying workers under load
        "tests/server/test_descriptors.py",  # descriptors
        "tests/protocol/test_cost.py",  # input that is dear to parse
        "tests/runners/test_slow_handlers.py",  # blocking calls and processors
        "benchmarks/two_workers.py",  # processors
        "benchmarks/run.py",  # requests and messages a second
    ):
        assert (root / place).is_file(), place
