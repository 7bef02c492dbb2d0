"""What a run of these tests leaves behind that fails or is interrupted: nothing. And what it makes of a skip."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from leftovers import PREFIX, children
from runners.workers import wait_until
from running import PATIENCE, ROOT, started, status_of

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("unmeasured")]

# Everything that the helpers of these tests start, in a test that fails, or waits to be interrupted.
EVERYTHING = """
import os, tempfile, time
from contextlib import ExitStack
from pathlib import Path

import pytest
from certs import issued
from proxies.installation import PROXIES, proxied
from redis_server import redis_server
from runners.workers import workers
from running import running, started
from soak.slow import KINDS, _attackers
from tools import needed

@pytest.fixture
def app(tmp_path):
    (tmp_path / "shop.py").write_text("from microsock import App\\napp = App()\\napp.ping()\\n")
    tempfile.mkdtemp()
    issued("localhost")
    return str(tmp_path / "shop.py")

def test_everything(app, tmp_path, redis_server, browser):
    with running("-w", "2", "--bus", redis_server.url, app) as server, workers(tmp_path), ExitStack() as stack:
        browser.new_page().goto(server.url)
        for proxy in PROXIES:
            stack.enter_context(proxied(proxy, tmp_path, server.port))
        stack.enter_context(_attackers(server.port, KINDS, 5, 60))
        stack.enter_context(started([needed("node"), "-e", "setTimeout(() => {}, 1e6)"]))
        Path("here").touch()
        while os.environ["ENDS"] == "interrupted":
            time.sleep(1)
        raise AssertionError("on purpose")
"""
# In a run that ignores some signals, and where CI is true.
ODD = """
import os, signal, subprocess, sys
import pytest
from tools import needed

def test_what_is_started_ignores_no_signal():
    code = "import signal; print(*[signal.getsignal(number) == signal.SIG_IGN for number in (1, 2, 3)])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told.split() == ["False"] * 3

def test_the_run_itself_does():
    for number in (1, 2, 3):
        os.kill(os.getpid(), number)

def test_that_leaves_a_process():
    subprocess.run(["sh", "-c", "sleep 1000 &"], check=True)

def test_that_needs_a_program():
    needed("no-such-program")

@pytest.mark.skipif(True, reason="for some reason")
def test_with_a_mark(): ...

@pytest.mark.xfail
def test_that_is_to_fail():
    raise AssertionError

def test_that_needs_old_python():
    pytest.skip("Python 2.7 is not installed, nor can it be")
"""


class Run:
    """A run of pytest over some tests, with the helpers and fixtures of these, in a folder that stands for a clone."""

    def __init__(self, folder: Path, tests: str, *options: str, ends: str = "failed") -> None:
        self.folder = folder
        (folder / "test_inner.py").write_text(tests)
        self.before = set(folder.rglob("*"))
        self.children = set(children())
        self.pid = 0
        quick = ["-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-p", "no:anyio"]
        configured = ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(folder), "-p", "conftest"]
        self.command = ["-m", "pytest", "-q", *quick, *configured, *options, "test_inner.py"]
        # Not in this run's own temporary directory: names of sockets must be short.
        self.environment = os.environ | {
            "PYTHONPATH": str(ROOT / "tests"), "ENDS": ends, "XDG_RUNTIME_DIR": str(folder.parent),
            "TMPDIR": os.environ["PYTEST_DEBUG_TEMPROOT"],
        }  # fmt: skip
        for name in ("CI", "PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER"):
            self.environment.pop(name, None)

    def measured(self) -> Run:
        """With coverage."""
        options = [f"--rcfile={ROOT / 'pyproject.toml'}", f"--source={ROOT / 'microsock'}"]
        self.command = ["-m", "coverage", "run", *options, *self.command]
        return self

    def end(self) -> tuple[int, str]:
        """Let it come to its end; gives its exit status and what it says."""
        with self._started(stdout=subprocess.PIPE) as process:
            said, _ = process.communicate()
        return process.returncode, said

    def interrupt(self, signum: signal.Signals) -> int:
        """Signal it, as a terminal does, once a test has all that it needs; gives its exit status."""
        with self._started(stdout=subprocess.DEVNULL) as process:
            wait_until((self.folder / "here").exists, 4 * PATIENCE)  # a browser and a server start, maybe traced
            os.killpg(process.pid, signum)
            return status_of(process)

    @contextmanager
    def _started(self, **options: Any) -> Iterator[subprocess.Popen[str]]:
        command = [sys.executable, *self.command]
        with started(command, cwd=self.folder, env=self.environment, start_new_session=True, **options) as process:
            self.pid = process.pid
            yield process

    def left(self) -> list[str]:
        """What it has left behind, but for what Python has compiled."""
        processes = [f"process {pid}" for pid in set(children()) - self.children]
        files = {path for path in self.folder.rglob("*") if path.name != "here" and "__pycache__" not in str(path)}
        folders = Path(self.environment["TMPDIR"]).glob(f"{PREFIX}{self.pid}-*")
        return [*processes, *map(str, files - self.before), *map(str, folders)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "clone"
    made.mkdir()
    return made


@pytest.mark.browser
def test_a_test_that_fails_leaves_nothing_behind(folder: Path) -> None:
    run = Run(folder, EVERYTHING).measured()
    status, said = run.end()
    assert status == pytest.ExitCode.TESTS_FAILED
    assert "1 failed in" in said.splitlines()[-1], said
    assert re.search("^E .*on purpose$", said, re.MULTILINE), said
    assert run.left() == []


@pytest.mark.browser
@pytest.mark.parametrize(("signum", "options"), [(signal.SIGINT, []), (signal.SIGTERM, ["-n", "1"])])
def test_a_run_that_is_interrupted_leaves_nothing_behind(
    folder: Path, signum: signal.Signals, options: list[str]
) -> None:
    run = Run(folder, EVERYTHING, *options, ends="interrupted").measured()
    assert run.interrupt(signum) == pytest.ExitCode.INTERRUPTED
    assert run.left() == []


class Odd:
    """What became of the odd ones, by their names."""

    def __init__(self, folder: Path) -> None:
        ignored = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)
        before = [signal.signal(signum, signal.SIG_IGN) for signum in ignored]
        try:
            self.run = Run(folder, ODD, "-rA")
            self.run.environment["CI"] = "true"
            self.status, self.said = self.run.end()
        finally:
            for signum, handler in zip(ignored, before, strict=True):
                signal.signal(signum, handler)

    def became(self, name: str) -> set[str]:
        return set(re.findall(rf"^([A-Z]+) test_inner.py::{name}\b", self.said, re.MULTILINE))


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory, unmeasured: None) -> Odd:
    return Odd(tmp_path_factory.mktemp("odd"))


def test_signals_that_a_run_ignores_are_not_ignored_by_what_it_starts(odd: Odd) -> None:
    assert odd.became("test_what_is_started_ignores_no_signal") == {"PASSED"}
    assert odd.became("test_the_run_itself_does") == {"PASSED"}


def test_a_process_that_outlives_its_tests_is_killed_and_named_and_an_error(odd: Odd) -> None:
    assert "the tests of this file have left processes behind:" in odd.said
    assert re.search(r"^\d+: sleep 1000$", odd.said, re.MULTILINE)
    assert odd.status == pytest.ExitCode.TESTS_FAILED
    assert odd.run.left() == []


def test_a_skip_names_its_program_and_is_a_failure_where_ci_is_true(odd: Odd) -> None:
    assert odd.became("test_that_needs_a_program") == {"FAILED"}
    assert "no-such-program is not installed; where CI is true nothing is skipped" in odd.said
    assert odd.became("test_with_a_mark") == {"ERROR"}
    assert "for some reason; where CI is true nothing is skipped" in odd.said
    # But for what no machine has a package of; and what is to fail is not skipped.
    assert "1 skipped, 1 xfailed" in odd.said.splitlines()[-1]
