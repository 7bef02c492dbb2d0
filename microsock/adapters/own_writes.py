"""Which source files an app writes itself, told by its process to the one that watches them.

A program that writes a watched file whenever it starts would be started anew for ever. Python's audit events (PEP 578)
say what a process is about to open for writing, to move or to remove, before it happens. Knows nothing of what is done
about it.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

__all__ = ["SERVES", "STARTS_PROGRAMS", "OwnWrites"]

SERVES, STARTS_PROGRAMS = "serves", "starts programs"
"""Words beside the paths: the app is there, and it has started another program, whose writes nobody tells."""

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# Of one call of write(2) on a pipe, which other processes' writes do not cut (POSIX, PIPE_BUF is at least 512).
_LONGEST_PATH = 4096
_READ_BYTES = 1 << 16
_EXPLAINS_SECONDS = 1.0


class OwnWrites:
    """A pipe on which processes of an app tell what they write; made before they are forked.

    Args:
        counts: whether the file with this path is of interest.

    Attributes:
        words: ``SERVES`` and ``STARTS_PROGRAMS``, as far as they were told; for who listens to clear.
    """

    def __init__(self, counts: Callable[[str], bool]) -> None:
        self._told: dict[str, float] = {}
        self._seen: set[str] = set()
        self.words: set[str] = set()
        self._counts = counts
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)
        self._rest = b""

    def close(self) -> None:
        """Give up both ends; in a process of the app, only its own."""
        os.close(self._reader)
        os.close(self._writer)

    # In a process of the app.

    def tell(self) -> None:
        """Tell from here on what this process writes. That cannot be undone."""
        os.close(self._reader)
        sys.addaudithook(self._audit)

    def tell_that_it_serves(self) -> None:
        """The app is there and serves."""
        self._say(SERVES)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        # What raises here would end what the app is about to do.
        if event in _PROGRAMS:
            self._say(STARTS_PROGRAMS)
        elif event in _PATHS:
            with contextlib.suppress(Exception):
                for path in _PATHS[event](arguments):
                    if isinstance(path, (str, bytes, os.PathLike)) and self._counts(name := os.fsdecode(path)):
                        absolute = Path(name).absolute()
                        self._say(str(absolute.parent.resolve() / absolute.name))

    def _say(self, path: str) -> None:
        line = os.fsencode(path) + b"\0"
        if len(line) <= _LONGEST_PATH:
            with contextlib.suppress(OSError):  # nobody listens, or the pipe is full
                os.write(self._writer, line)

    # In the process that watches.

    def fileno(self) -> int:
        """Readable when something was told."""
        return self._reader

    def receive(self, now: float) -> None:
        """Take what was told."""
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._reader, _READ_BYTES):
                *lines, self._rest = (self._rest + data).split(b"\0")
                for line in map(os.fsdecode, lines):
                    if line.startswith("/"):
                        self._told[line] = now
                        self._seen.discard(line)
                    else:
                        self.words.add(line)

    def among(self, changed: Iterable[str], began: float) -> set[str]:
        """Those of the changed files whose change the app has told.

        It explains the first change that is seen, and those for a second: what was opened is written and closed later.

        Args:
            changed: what a look at the files has found.
            began: when it began, by the clock of ``receive``.
        """
        latest = began - _EXPLAINS_SECONDS
        found = {path for path in changed if path in self._told}
        found = {path for path in found if path not in self._seen or self._told[path] >= latest}
        self._told = {path: told for path, told in self._told.items() if told >= latest}
        self._seen = (self._seen | found) & self._told.keys()
        return found


def _opened(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    path, _, flags = arguments
    return (path,) if flags & _WRITES else ()


_PROGRAMS = frozenset(
    ("os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.system", "pty.spawn", "subprocess.Popen")
)
# By the audit event, which of its arguments are paths that are going to change.
_PATHS: dict[str, Callable[[tuple[Any, ...]], tuple[Any, ...]]] = {
    "open": _opened,
    "os.link": lambda arguments: arguments[1:2],
    "os.remove": lambda arguments: arguments[:1],
    "os.rename": lambda arguments: arguments[:2],
    "os.symlink": lambda arguments: arguments[1:2],
    "os.truncate": lambda arguments: arguments[:1],
    "os.utime": lambda arguments: arguments[:1],
}
