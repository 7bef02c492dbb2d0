"""The parent and its workers, as operators and clients see them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from pace import quickest
from running import started

from microsock import __version__

from .workers import PATIENCE, STOPPING, Workers, failing, state, wait_until, workers

pytestmark = [pytest.mark.server, pytest.mark.timed]

APP = """
import os, signal, time
from microsock import App, Pending

app = App()

@app.get("/")
def index(request):
    return str(os.getpid())

@app.get("/hang")
def hang(request):
    open("hangs", "w").close()
    time.sleep(60)

@app.get("/parked")
def parked(request):
    return Pending(finite=True)

@app.on_stop
def stopped():
    with open("stopped", "a") as file:
        file.write(f"{os.getpid()}\\n")
"""

DIES_WHILE_BROKEN = """
@app.on_start
def end():
    if os.path.exists("broken"):
        os._exit(9)
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an app."""
    (tmp_path / "shop.py").write_text(APP)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    tmp_path.chmod(0o700)
    for name in [name for name in os.environ if name.startswith("MICROSOCK_")]:
        monkeypatch.delenv(name)
    return tmp_path


def all_ready(server: Workers, count: int = 2) -> list[int]:
    """The pids, once so many workers have answered."""
    wait_until(lambda: len(server.pids()) == count)
    found: set[str] = set()
    wait_until(lambda: found.add(server.get()) or found == set(map(str, server.pids())))  # type: ignore[func-returns-value]
    return server.pids()


# Beginning.


def test_several_workers_serve_on_one_port_and_the_banner_says_so(site: Path) -> None:
    with workers(site, count=3) as server:
        pids = all_ready(server, 3)
        assert server.process.pid not in pids
        assert server.stop() == 0
    first, second, third, last = server.errors
    assert last == STOPPING
    assert first == f"microsock {__version__} · shop · 3 routes, 0 websockets · preforked, 3 workers"
    assert second.endswith(f"(pid {server.process.pid})")
    assert third == "Press Ctrl+C to stop."


def test_the_parent_does_not_import_the_app_and_has_no_threads(site: Path) -> None:
    (site / "shop.py").write_text(APP + "open(f'imported-{os.getpid()}', 'w').close()\n")
    with workers(site) as server:
        pids = all_ready(server)
        assert {path.name for path in site.glob("imported-*")} == {f"imported-{pid}" for pid in pids}
        assert len(list(Path(f"/proc/{server.process.pid}/task").iterdir())) == 1
        assert server.stop() == 0


@pytest.mark.parametrize("variable", ["WEB_CONCURRENCY", "MICROSOCK_WORKERS"])
def test_the_number_of_workers_may_come_from_the_environment(
    site: Path, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", "2" if variable == "WEB_CONCURRENCY" else "7")
    monkeypatch.setenv(variable, "2")
    with workers(site, count=None) as server:
        assert server.errors[0].endswith("preforked, 2 workers")
        assert server.stop() == 0


def test_one_worker_by_its_runners_name(site: Path) -> None:
    with workers(site, "--runner", "preforked", count=1) as server:
        assert server.errors[0].endswith("preforked, 1 worker")
        assert server.stop() == 0


def test_settings_of_the_app_that_come_too_late_are_told_once(site: Path) -> None:
    (site / "shop.py").write_text(APP.replace("App()", "App(worker_timeout=7, backlog=1024)"))
    with workers(site) as server:
        all_ready(server)
        assert server.stop() == 0
    (line,) = [line for line in server.errors if "comes too late" in line]
    assert "worker_timeout=7.0" in line
    assert "MICROSOCK_WORKER_TIMEOUT (in use: 30.0)" in line


def test_an_app_that_cannot_be_imported_is_status_3_with_its_own_traceback_once(site: Path) -> None:
    (site / "bad.py").write_text("def load():\n    import requestz\nload()\n")
    status, errors = failing(site, "-w", "3", "bad")
    assert status == 3
    assert errors.splitlines()[:3] == [
        "error: while importing bad.py: ModuleNotFoundError: No module named 'requestz'",
        "Traceback (most recent call last):",
        f'  File "{site}/bad.py", line 3, in <module>',
    ]
    assert errors.count("Traceback") == 1


def test_a_start_hook_that_fails_is_status_3(site: Path) -> None:
    (site / "hook.py").write_text("from microsock import App\napp = App()\napp.on_start(lambda: 1 / 0)\n")
    status, errors = failing(site, "-w", "2", "hook")
    assert status == 3
    assert errors.startswith("error: on_start raised ZeroDivisionError: division by zero\nTraceback")


def test_workers_that_die_at_boot_without_a_word_are_status_3(site: Path) -> None:
    (site / "dies.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
    status, errors = failing(site, "-w", "2", "dies")
    assert status == 3
    assert re.fullmatch(r"error: worker \d \(pid \d+\) was killed by SIGKILL before it was ready\n", errors)


def test_a_port_in_use_is_status_4_before_anything_is_forked(site: Path) -> None:
    with workers(site) as server:
        status, errors = failing(site, "-w", "2", "-p", str(server.port), "shop")
        assert status == 4
        assert f"127.0.0.1:{server.port} is in use by pid" in errors
        assert server.stop() == 0


# Workers that die.


def test_a_worker_that_is_killed_is_replaced_within_a_tenth_of_a_second(site: Path) -> None:
    with workers(site) as server:

        def seconds_without_one() -> float:
            victim, other = all_ready(server)
            time.sleep(1.0)  # younger ones are put off on purpose
            began = time.monotonic()
            os.kill(victim, signal.SIGKILL)
            wait_until(lambda: len(server.pids()) == 2 and victim not in server.pids())
            seconds = time.monotonic() - began
            assert other in all_ready(server)
            wait_until(lambda: f"(pid {victim}) was killed by SIGKILL; another takes its place" in server)
            assert state(victim) == ""  # no zombie
            return seconds

        assert quickest(seconds_without_one, 0.1) < 0.1
        assert server.stop() == 0


def deaths(server: Workers) -> int:
    return sum("exited with status 9; another takes its place" in line for line in server.errors)


def test_workers_that_cannot_live_are_begun_later_and_later(site: Path) -> None:
    (site / "shop.py").write_text(APP + DIES_WHILE_BROKEN)
    with workers(site) as server:
        victim, _ = all_ready(server)
        (site / "broken").touch()
        began = time.monotonic()
        os.kill(victim, signal.SIGKILL)
        wait_until(lambda: deaths(server) >= 4)
        # Put off by a tenth of a second, two and four before the next three are begun.
        assert time.monotonic() - began >= 0.7
        (site / "broken").unlink()
        wait_until(lambda: len(server.pids()) == 2)
        all_ready(server)
        assert server.stop() == 0


def test_a_worker_that_hangs_is_killed_and_replaced_and_its_stack_is_shown(site: Path) -> None:
    with workers(site, "--worker-timeout", "1") as server:
        pids = all_ready(server)
        with server.connect(b"GET /hang HTTP/1.1\r\nHost: localhost\r\n\r\n") as client:
            assert client.recv(1) == b""
        wait_until(lambda: "has not turned its loop for 1." in server)
        wait_until(lambda: "in hang" in server)
        wait_until(lambda: len(server.pids()) == 2 and len(set(server.pids()) & set(pids)) == 1)
        assert server.stop() == 0


def test_when_the_parent_is_killed_no_worker_is_left_after_a_second_not_even_one_that_hangs(site: Path) -> None:
    def seconds_of_orphans() -> float:
        for name in ("hangs", "stopped"):
            (site / name).unlink(missing_ok=True)
        with workers(site, count=3) as server:
            pids = all_ready(server, 3)
            with server.connect(b"GET /hang HTTP/1.1\r\nHost: localhost\r\n\r\n"):
                wait_until((site / "hangs").exists)
                began = time.monotonic()
                server.signal(signal.SIGKILL)
                # Whoever inherits them may bury them late.
                wait_until(lambda: not any(state(pid) not in ("", "Z") for pid in pids))
                seconds = time.monotonic() - began
        # Those that could have ended in order.
        assert len((site / "stopped").read_text().split()) == 2
        return seconds

    assert quickest(seconds_of_orphans, 1) < 1


def test_after_so_many_requests_a_worker_is_replaced_and_nobody_is_refused(site: Path) -> None:
    with workers(site, "--max-requests", "5", "--max-requests-jitter", "3") as server:
        seen: set[str] = set()
        wait_until(lambda: seen.add(server.get()) or len(seen) > 4)  # type: ignore[func-returns-value]
        wait_until(lambda: len(server.pids()) == 2)
        assert server.stop() == 0
    assert not any("ERROR" in line for line in server.errors)


# Signals.


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_being_asked_to_stop_is_status_0_and_stop_hooks_run_once_in_each_worker(
    site: Path, signum: signal.Signals
) -> None:
    with workers(site) as server:
        pids = all_ready(server)
        server.signal(signum)
        assert server.wait() == 0
    assert sorted(map(int, (site / "stopped").read_text().split())) == sorted(pids)
    assert server.errors[3:] == [STOPPING]


def test_ctrl_c_reaches_the_whole_group_and_is_still_one_orderly_end(site: Path) -> None:
    with workers(site) as server:
        all_ready(server)
        os.killpg(server.process.pid, signal.SIGINT)
        assert server.wait() == 0
    assert server.errors[3:] == [STOPPING]


@pytest.mark.parametrize(("second", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_a_second_signal_stops_at_once_even_workers_that_hang(site: Path, second: signal.Signals, status: int) -> None:
    def seconds_to_stop() -> float:
        (site / "hangs").unlink(missing_ok=True)
        with workers(site) as server:
            pids = all_ready(server)
            with server.connect(b"GET /hang HTTP/1.1\r\nHost: localhost\r\n\r\n"):
                wait_until((site / "hangs").exists)
                server.signal(signal.SIGINT)
                time.sleep(0.2)
                began = time.monotonic()
                server.signal(second)
                assert server.wait() == status
                seconds = time.monotonic() - began
            assert not any(map(state, pids))
        return seconds

    assert quickest(seconds_to_stop, 1) < 1


def test_a_worker_that_does_not_come_to_its_end_in_the_grace_time_is_killed_and_that_is_status_0(site: Path) -> None:
    def seconds_to_stop() -> float:
        (site / "hangs").unlink(missing_ok=True)
        with workers(site, "--grace", "0.5") as server:
            all_ready(server)
            with server.connect(b"GET /hang HTTP/1.1\r\nHost: localhost\r\n\r\n"):
                wait_until((site / "hangs").exists)
                began = time.monotonic()
                assert server.stop() == 0
                seconds = time.monotonic() - began
        assert "has not ended in its time; it is killed" in server
        assert seconds >= 0.5
        return seconds

    assert quickest(seconds_to_stop, 1.5) < 1.5


def test_stopping_during_a_slow_import_does_not_wait_for_it(site: Path) -> None:
    (site / "slow.py").write_text("import time\nopen('importing', 'w').close()\ntime.sleep(30)\n")
    command = [sys.executable, "-m", "microsock", "-p", "0", "-w", "2", "slow"]
    with started(command, cwd=site, start_new_session=True, stderr=subprocess.PIPE) as process:
        wait_until((site / "importing").exists)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0


def test_one_worker_more_and_one_fewer(site: Path) -> None:
    with workers(site) as server:
        all_ready(server)
        server.signal(signal.SIGTTIN)
        all_ready(server, 3)
        server.signal(signal.SIGTTOU)
        wait_until(lambda: len(server.pids()) == 2)
        for _ in range(3):
            server.signal(signal.SIGTTOU)
            time.sleep(0.1)
        wait_until(lambda: len(server.pids()) == 1)
        assert server.get()
        assert server.stop() == 0


def test_usr1_dumps_what_each_worker_is_doing(site: Path) -> None:
    with workers(site) as server:
        all_ready(server)
        server.signal(signal.SIGUSR1)
        wait_until(lambda: "dump of worker 1 of 2" in server and "dump of worker 2 of 2" in server)
        assert server.stop() == 0


def test_a_worker_that_is_told_to_end_by_itself_drains_and_is_replaced(site: Path) -> None:
    with workers(site) as server:
        victim, _ = all_ready(server)
        os.kill(victim, signal.SIGTERM)
        wait_until(lambda: len(server.pids()) == 2 and victim not in server.pids())
        wait_until(lambda: f"(pid {victim}) exited with status 0; another takes its place" in server)
        assert server.stop() == 0


# Reloading.


def test_hup_brings_new_code_without_refusing_anybody(site: Path) -> None:
    with workers(site) as server:
        before = all_ready(server)
        (site / "shop.py").write_text(APP.replace("str(os.getpid())", "'new ' + str(os.getpid())"))
        server.signal(signal.SIGHUP)
        answers = []
        while "reload: all workers are new" not in server:
            answers.append(server.get())
        assert answers
        # The old ones are told to leave now; one of them may still be in the middle of accepting a client.
        wait_until(lambda: not set(before) & set(server.pids()))
        assert all(server.get().startswith("new ") for _ in range(10))
        assert server.stop() == 0


def test_a_broken_new_app_leaves_the_old_workers_in_place(site: Path) -> None:
    with workers(site) as server:
        before = all_ready(server)
        (site / "shop.py").write_text("import requestz\n")
        server.signal(signal.SIGHUP)
        wait_until(lambda: "No module named 'requestz'" in server)
        wait_until(lambda: "reload: the new app does not come up; the workers from before stay" in server)
        assert sorted(server.pids()) == sorted(before)
        (site / "shop.py").write_text(APP)
        server.signal(signal.SIGHUP)
        wait_until(lambda: "reload: all workers are new" in server)
        assert server.get()
        assert server.stop() == 0


def test_an_old_worker_keeps_an_idle_connection_until_its_next_request(site: Path) -> None:
    ask = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with workers(site, "--keep-alive-timeout", "30", "--grace", "0.5") as server:
        all_ready(server)
        with server.connect(ask) as client:
            old = client.recv(1000).rpartition(b"\n")[2]
            server.signal(signal.SIGHUP)
            wait_until(lambda: "reload: all workers are new" in server)
            time.sleep(0.8)  # past the grace time
            client.sendall(ask)
            answer = client.recv(1000)
            assert answer.rpartition(b"\n")[2] == old
            assert b"Connection: close\r\n" in answer
            assert client.recv(1) == b""
        assert server.stop() == 0
