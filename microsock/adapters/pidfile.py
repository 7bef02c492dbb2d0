"""The pid file: by which ``stop``, ``status`` and ``reload`` find a running server.

Two lines: the process id, and when that process began, in the kernel's ticks; so that a later process with the same
number is not taken for it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ..errors import BadSetting
from .processes import begun, is_alive

__all__ = ["Named", "pid_file", "read_pid_file"]


class Named(NamedTuple):
    """The process that a pid file names, and its beginning; 0 where that is not known."""

    pid: int
    began: int

    @property
    def runs(self) -> bool:
        """Whether that very process is still there."""
        return is_alive(self.pid) and self.began in (0, begun(self.pid))


def read_pid_file(path: str) -> Named | None:
    """What a pid file says; None where there is none, or it says nothing of use."""
    try:
        words = Path(path).read_text(encoding="ascii", errors="replace").split()
    except OSError:
        return None
    numbers = [int(word) for word in words[:2] if word.isascii() and word.isdecimal() and len(word) < 19]
    return Named(numbers[0], numbers[1] if len(numbers) > 1 else 0) if numbers and numbers[0] > 0 else None


@contextlib.contextmanager
def pid_file(path: str | None) -> Iterator[None]:
    """Name this process in a file for the length of a ``with`` block; to be entered once the server is bound.

    One that was left behind is replaced. It is removed at the end by the process that has written it, and only if it
    still says so. With None nothing happens.

    Raises ``BadSetting`` if the process that it names still runs, or where it cannot be written.
    """
    if path is None:
        yield
        return
    where, ours = Path(path).absolute(), Named(os.getpid(), begun(os.getpid()))
    _write(where, ours)
    try:
        yield
    finally:
        # A forked worker leaves this block too.
        if os.getpid() == ours.pid and read_pid_file(str(where)) == ours:
            with contextlib.suppress(OSError):
                where.unlink()


def _write(path: Path, ours: Named) -> None:
    there = read_pid_file(str(path))
    if there is not None and there != ours and there.runs:
        raise BadSetting(f"pid_file {path} belongs to pid {there.pid}, which still runs; stop it, or name another file")
    aside = path.with_name(f"{path.name}.{ours.pid}")
    try:
        # Moved into place: whoever reads it at any moment finds all of it, and a link there is not followed.
        with aside.open("x", encoding="ascii") as file:
            file.write(f"{ours.pid}\n{ours.began}\n")
        aside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            aside.unlink()
        raise BadSetting(f"cannot write pid_file {path}: {error.strerror}") from error
