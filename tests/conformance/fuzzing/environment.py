"""Python 2.7 with the suite installed, made once and kept among the user's caches.

The suite runs on nothing newer, and only an old virtualenv still makes an environment of Python 2.7; pip of such an
environment picks the versions that the suite asks for.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["Missing", "NoPython", "clean_environ", "find_python", "home", "prepared"]

SUITE = "autobahntestsuite==25.10.1"
MAKER = "virtualenv<20.22"

_NO_PYTHON = (
    "Python 2.7 is not installed, and the suite (autobahntestsuite) runs on nothing newer. "
    "Debian has no package of it any more: `pyenv install 2.7.18` builds one, and it is found there or on the PATH"
)
# What is shown of the output of a command that failed.
_TAIL = 15


class Missing(Exception):
    """Something that the suite needs is not here; the message says what, and how to get it."""


class NoPython(Missing):
    """There is no Python 2.7."""


def find_python(path: str | None = None) -> str:
    """An interpreter of Python 2.7: this one, or else the one on the PATH, or one that pyenv has built.

    Raises ``NoPython``.
    """
    for candidate in _candidates() if path is None else [path]:
        if _runs(candidate, "import sys; sys.exit(sys.version_info[:2] != (2, 7))"):
            return candidate
    raise NoPython(_NO_PYTHON if path is None else f"{path} is not a Python 2.7")


def home() -> Path:
    """Where the environment and the last report are kept."""
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches) / "microsock" / SUITE.replace("==", "-")


def prepared(python: str | None = None) -> str:
    """The interpreter of an environment with the suite; made first if need be, which takes about a minute.

    Args:
        python: the Python 2.7 to make it of, if it is made; looked for if not given.

    Raises ``Missing``.
    """
    interpreter = str(home() / "python2.7" / "bin" / "python")
    if not _has_suite(interpreter):
        python = find_python(python)
        with _locked(home()):
            if not _has_suite(interpreter):
                _make(home(), python)
    return interpreter


def clean_environ() -> dict[str, str]:
    """The environment without what is meant for the Python that runs this."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def _candidates() -> Iterator[str]:
    for name in ("python2.7", "python2"):
        if path := shutil.which(name):
            yield path
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    for built in sorted(pyenv.glob("versions/*2.7*/bin/python2.7"), reverse=True):
        yield str(built)


def _has_suite(python: str) -> bool:
    # pip installs what it needs before the suite itself; to import all of that takes a second.
    return _runs(python, "import autobahntestsuite")


def _runs(python: str, code: str) -> bool:
    # Asked, not believed: pyenv puts a python2.7 on the PATH that only says which versions it could run.
    try:
        done = subprocess.run([python, "-c", code], env=clean_environ(), capture_output=True, check=False)
    except OSError:
        return False
    return done.returncode == 0


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    # The script and the tests may want to make it at the same time.
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "lock").open("w")
    except OSError as error:
        raise Missing(f"cannot write to {folder} ({error.strerror}); let XDG_CACHE_HOME name another folder") from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make(folder: Path, python: str) -> None:
    maker, environment = folder / "virtualenv", folder / "python2.7"
    for old in (maker, environment):
        shutil.rmtree(old, ignore_errors=True)
    _run(sys.executable, "-m", "venv", str(maker))
    _run(str(maker / "bin" / "python"), "-m", "pip", "install", MAKER)
    _run(str(maker / "bin" / "python"), "-m", "virtualenv", "--python", python, str(environment))
    _run(str(environment / "bin" / "python"), "-m", "pip", "install", SUITE)


def _run(*command: str) -> None:
    done = subprocess.run(
        command, env=clean_environ(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        said = "\n".join(done.stdout.splitlines()[-_TAIL:])
        raise Missing(f"cannot install the suite: `{' '.join(command)}` failed\n{said}")
