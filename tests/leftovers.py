"""That a test run leaves nothing behind, however it ends: no process, no port, no file beside what pytest keeps.

Temporary files of the tests, and of the programs that they start, are made in one folder that goes with the run. A
process whose parent has gone becomes a child of the run itself (on Linux), which kills what is left after each file,
where that is a failure, and at its own end.
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from sqlite3 import Error as DatabaseError
from types import FrameType

import pytest
from coverage import Coverage, CoverageData
from coverage.exceptions import CoverageException

__all__ = ["no_process_left", "pytest_configure", "pytest_sessionfinish", "pytest_unconfigure"]

PREFIX = "microsock-tests-"
# For processes that end by themselves: the workers of a server that was killed need half a second.
PATIENCE = 5.0
_SET_CHILD_SUBREAPER = 36  # prctl(2)
_COVERAGE = "COVERAGE_PROCESS_CONFIG"


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Before anything is started."""
    config.stash[CHILDREN] = set(children())
    heed_signals()
    adopt_orphans()
    if not is_worker(config):
        config.stash[ENVIRONMENT] = {name: os.environ.get(name) for name in (_COVERAGE, "TMPDIR")}
        made = make_folder()
        config.stash[FOLDER] = made
        move_coverage(made)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """After everything, also where the run was interrupted; a second Ctrl+C does not interrupt this."""
    before, others = signal.signal(signal.SIGINT, _do_nothing), config.stash[CHILDREN]
    while kill_all([pid for pid in children() if pid not in others]):
        pass
    folder = config.stash.get(FOLDER, None)
    if folder is not None:
        keep_coverage(folder, passed=config.stash.get(PASSED, False))
        shutil.rmtree(folder, ignore_errors=True)
        put_back(config.stash[ENVIRONMENT])
    signal.signal(signal.SIGINT, before)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Note whether all is well."""
    session.config.stash[PASSED] = exitstatus == pytest.ExitCode.OK


FOLDER, PASSED = pytest.StashKey[Path](), pytest.StashKey[bool]()
CHILDREN, ENVIRONMENT = pytest.StashKey[set[int]](), pytest.StashKey[dict[str, str | None]]()


def is_worker(config: pytest.Config) -> bool:
    """Whether another pytest shares its tests out to this one, and cleans up behind it."""
    return hasattr(config, "workerinput")


# Signals.


def heed_signals() -> None:
    """End in order when asked to by TERM or HUP, as by Ctrl+C, and hand no ignored signal on to servers.

    Under nohup, or in the background of a script, SIGINT and others are ignored; whoever is started inherits that, and
    so could not be stopped by them. A handler that does nothing is not inherited.
    """
    for signum in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM):
        handler = signal.getsignal(signum)
        if handler is signal.SIG_IGN:
            signal.signal(signum, _do_nothing)
        elif handler is signal.SIG_DFL and signum in _ENDING:
            signal.signal(signum, _interrupt)
    os.register_at_fork(after_in_child=_end_as_usual)


_ENDING = (signal.SIGTERM, signal.SIGHUP)


def _do_nothing(signum: int, frame: FrameType | None) -> None:
    pass


def _interrupt(signum: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt(signal.Signals(signum).name)


def _end_as_usual() -> None:
    for signum in _ENDING:
        if signal.getsignal(signum) is _interrupt:
            signal.signal(signum, signal.SIG_DFL)


# Processes.


def adopt_orphans() -> None:
    """Become the parent of all descendants whose own has gone (PR_SET_CHILD_SUBREAPER)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


@pytest.fixture(scope="module", autouse=True)
def no_process_left() -> Iterator[None]:
    """Whatever the tests of a file have started has ended with them; what has not is killed, and named."""
    before = set(children())
    yield
    until = time.monotonic() + PATIENCE
    while (left := sorted(set(children()) - before)) and time.monotonic() < until:
        time.sleep(0.02)
    names = [name_of(pid) for pid in left]
    kill_all(left)
    if names:
        pytest.fail("\n".join(["the tests of this file have left processes behind:", *names]), pytrace=False)


def children() -> list[int]:
    """Of this process, those that live; the others are waited for."""
    found = []
    for task in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):  # a thread that ends
            found += [pid for pid in map(int, task.read_text().split()) if not _has_ended(pid)]
    return found


def _has_ended(pid: int) -> bool:
    try:
        if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
            return False
        os.waitpid(pid, os.WNOHANG)
    except (OSError, IndexError):
        pass
    return True


def name_of(pid: int) -> str:
    """What it runs."""
    try:
        return f"{pid}: " + Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip()
    except OSError:
        return str(pid)


def kill_all(pids: list[int]) -> bool:
    """Kill and wait for them; their own children are ours then. Tells whether there were any."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    for pid in pids:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)
    return bool(pids)


# Files.


def make_folder() -> Path:
    """The temporary directory of this run and of all that it starts; pytest's own stays where it is.

    One that an earlier run could not take away, since it was killed, is taken away now.
    """
    root = tempfile.gettempdir()
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", root)
    for old in Path(root).glob(f"{PREFIX}*"):
        if not Path("/proc", old.name.removeprefix(PREFIX).partition("-")[0]).exists():
            shutil.rmtree(old, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-"))
    folder.chmod(0o711)  # other users may have a socket in it, as in /tmp
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    return folder


def put_back(environment: dict[str, str | None]) -> None:
    """For a program that goes on behind pytest, or runs it again."""
    tempfile.tempdir = None
    for name, value in environment.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def move_coverage(folder: Path) -> None:
    """Have processes that the tests start write what they have covered into this folder, and not into the clone."""
    if _COVERAGE in os.environ:
        config = json.loads(base64.b64decode(os.environ[_COVERAGE]))
        config["data_file"] = str(folder / "coverage")
        os.environ[_COVERAGE] = base64.b64encode(json.dumps(config).encode()).decode()


def keep_coverage(folder: Path, *, passed: bool) -> None:
    """Add it to what this process has covered; of a run that has failed or was interrupted there is to be nothing."""
    measured = Coverage.current()
    if measured is None:
        return
    if not passed:
        measured.stop()
        measured.erase()
        return
    data = measured.get_data()
    for file in folder.glob("coverage.*"):
        other = CoverageData(str(file))
        # One that was killed in the middle of writing has written nothing.
        with contextlib.suppress(CoverageException, DatabaseError):
            other.read()
            data.update(other)
        other.close()
