"""Which source files have changed: told by their time, size and inode, so that nothing needs to be installed.

A doorbell makes it quick where ``watchfiles`` is installed: a process of its own rings when anything has happened, and
the files are looked at then. Knows nothing of what is done about a change.
"""

from __future__ import annotations

import contextlib
import importlib.util
import math
import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from ..server.after_fork import fork_process

__all__ = ["Doorbell", "Snapshot", "SourceFiles", "changed", "is_source"]

# What an app is made of, and does not write itself while it runs: a change of these is one that somebody made.
_SUFFIXES: Final = (
    ".py", ".html", ".jinja", ".jinja2", ".j2", ".mako", ".toml", ".ini", ".cfg", ".yaml", ".yml", ".env",
)  # fmt: skip
_SKIPPED: Final = frozenset(("__pycache__", "node_modules", "site-packages"))
# Directories that are looked into because a link leads there.
_MOST_LINKED: Final = 2000
# How often the helper looks whether its parent still lives.
_PARENT_CHECK_MILLISECONDS: Final = 1000

Stamp = tuple[int, int, int]
Snapshot = dict[str, Stamp]


class SourceFiles:
    """The source files of some directories and all below; none of hidden ones, of virtual environments and the like.

    Links to directories are followed, to ``_MOST_LINKED`` directories in all.

    Args:
        directories: where to look. One that does not exist has no files, until it does.

    Attributes:
        linked: directories outside of those that links led to, as the last look found them.
        overrun: whether links lead to more directories than are looked into.
    """

    def __init__(self, directories: Sequence[Path]) -> None:
        self.directories = [directory.resolve() for directory in directories]
        self.linked: list[Path] = []
        self.overrun = False
        self._roots = [str(directory) for directory in self.directories]

    def snapshot(self) -> Snapshot:
        """What is there now: the modification time (nanoseconds), size and inode of each file by its path."""
        found: Snapshot = {}
        links: list[str] = []
        looked_into: set[str] = set()
        for root in self._roots:
            _look_below(root, found, links, looked_into)
        self._follow(links, found, looked_into)
        return found

    def _follow(self, links: list[str], found: Snapshot, looked_into: set[str]) -> None:
        # Nobody knows where a link leads: to what is above us, to all of a disk, in a circle.
        self.linked, self.overrun = [], False
        most = len(looked_into) + _MOST_LINKED
        while links:
            target = os.path.realpath(links.pop())
            if target in looked_into or self._is_above(target) or _is_skipped(Path(target).name):
                continue
            self.linked.append(Path(target))
            _look_below(target, found, links, looked_into, most)
            if len(looked_into) >= most:
                self.overrun = True
                return

    def _is_above(self, directory: str) -> bool:
        return any(f"{root}/".startswith(f"{directory.rstrip('/')}/") for root in self._roots)


def _look_below(top: str, found: Snapshot, links: list[str], looked_into: set[str], most: float = math.inf) -> None:
    waiting = [top]
    while waiting and len(looked_into) < most:
        directory = waiting.pop()
        if directory not in looked_into:
            looked_into.add(directory)
            waiting += _look_into(directory, found, links)


def _look_into(directory: str, found: Snapshot, links: list[str]) -> Iterator[str]:
    # A file may go while it is looked at, and so may a directory: that is a change too, and no error.
    with contextlib.suppress(OSError), os.scandir(directory) as entries:
        listed = list(entries)
        if any(entry.name == "pyvenv.cfg" for entry in listed):
            return
        for entry in listed:
            with contextlib.suppress(OSError):
                if entry.is_dir():
                    if _is_skipped(entry.name):
                        continue
                    if entry.is_symlink():
                        links.append(entry.path)
                    else:
                        yield entry.path
                elif is_source(entry.name):
                    about = entry.stat()
                    found[entry.path] = (about.st_mtime_ns, about.st_size, about.st_ino)


def changed(before: Snapshot, after: Snapshot) -> list[str]:
    """The paths of files that are new, gone or different, sorted."""
    return sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))


def _is_skipped(directory: str) -> bool:
    return directory in _SKIPPED or directory.startswith(".")


def is_source(name: str) -> bool:
    """Whether a file of this name, or path, is one that somebody writes by hand."""
    name = name.rpartition("/")[2]
    # Editors keep locks and backups beside a file: `.#films.py`, `#films.py#`, `films.py~`.
    return name == ".env" or (name.endswith(_SUFFIXES) and name[0] not in ".#")


class Doorbell:
    """Rings when something has happened in some directories: by the system's own notices, with ``watchfiles``.

    A process of its own listens, since the library has threads, and who forks servers must have none. It ends with
    its parent.
    """

    def __init__(self, directories: Sequence[Path]) -> None:
        self._reader, writer = os.pipe()
        os.set_blocking(self._reader, False)
        self._owner = os.getpid()
        self._pid = fork_process()
        if not self._pid:
            _ring([directory for directory in directories if directory.is_dir()], writer, self._owner)
        os.close(writer)

    @staticmethod
    def available() -> bool:
        """Whether ``watchfiles`` is installed."""
        return importlib.util.find_spec("watchfiles") is not None

    def fileno(self) -> int:
        """Readable when it has rung, and for good when the listening process has ended."""
        return self._reader

    def answer(self) -> bool:
        """Take what has rung; False if it will not ring again."""
        try:
            return bool(os.read(self._reader, 4096))
        except BlockingIOError:
            return True

    def close(self) -> None:
        """End the listening process; in another process than the one that made it, only close this end."""
        os.close(self._reader)
        if os.getpid() == self._owner:
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(self._pid, signal.SIGKILL)
                os.waitpid(self._pid, 0)


def _ring(directories: Sequence[Path], writer: int, parent: int) -> None:
    # The listening process; it has nothing of its parent's to end in order.
    try:
        signal.set_wakeup_fd(-1)
        # Ctrl+C comes to it too, and other signals to the whole group, but it is the parent that ends it.
        for signum in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(signum, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        watchfiles = importlib.import_module("watchfiles")
        notices = watchfiles.watch(
            *directories, debounce=50, step=10, rust_timeout=_PARENT_CHECK_MILLISECONDS, yield_on_timeout=True
        )
        for notice in notices:
            if os.getppid() != parent:
                break
            if notice:
                os.write(writer, b"!")
    finally:
        os._exit(0)
