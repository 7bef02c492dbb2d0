"""The pid file: by which ``stop``, ``status`` and ``reload`` find a running server.

Two lines: the process id, and when that process began, in the kernel's ticks; so that a later process with the same
number is not taken for it. A file proves nothing: whoever can write it can name any process. So what it names is
asked for the marks of a server before it is believed.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ..errors import BadSetting
from .identity import is_server
from .processes import MAX_PID, begun, command_of, is_alive, owner_of

__all__ = ["Named", "pid_file", "read_pid_file", "why_no_server"]

# More than two numbers are no pid file of ours.
_LONGEST = 256
_MOST_DIGITS = 19


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
    return _read(path)[0]


def why_no_server(path: str, named: Named) -> str:
    """Why a process that runs and that a pid file names is not taken for a server of ours; empty if it is one."""
    _, writer = _read(path)
    user = owner_of(named.pid)
    # Whoever may write a file could have any process signalled by somebody who may signal it.
    if writer not in (0, os.geteuid()) and writer != user:
        return f"the file is user id {writer}'s, and pid {named.pid} user id {user}'s"
    known = is_server(named.pid)
    # Where its descriptors are not to be seen, its beginning is what tells it from a later process; where even that
    # cannot be known (no /proc), there is only the file.
    if known or (known is None and (named.began or not begun(os.getpid()))):
        return ""
    return f"pid {named.pid} ({command_of(named.pid)}) is no microsock server"


def _read(path: str) -> tuple[Named | None, int]:
    """What it says, and the user id of whoever may have written it; -1 if there is none."""
    try:
        # Without waiting: it may be a pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except (OSError, ValueError):
        return None, -1
    try:
        about = os.fstat(descriptor)
        text = os.read(descriptor, _LONGEST) if stat.S_ISREG(about.st_mode) else b""
    except OSError:
        return None, -1
    finally:
        os.close(descriptor)
    return _parsed(text), about.st_uid


def _parsed(text: bytes) -> Named | None:
    words = text.split()
    if not 1 <= len(words) <= 2 or not all(word.isdigit() and len(word) <= _MOST_DIGITS for word in words):
        return None
    pid, began = int(words[0]), int(words[1]) if len(words) > 1 else 0
    return Named(pid, began) if 1 <= pid <= MAX_PID else None


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
        raise BadSetting(_occupied(path, there))
    # A name that nobody can have taken before.
    aside = path.with_name(f"{path.name}.{ours.pid}.{os.urandom(4).hex()}")
    try:
        # Moved into place: whoever reads it at any moment finds all of it, and a link there is not followed.
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            os.write(descriptor, f"{ours.pid}\n{ours.began}\n".encode())
        finally:
            os.close(descriptor)
        aside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            aside.unlink()
        raise BadSetting(f"cannot write pid_file {path}: {error.strerror}") from error


def _occupied(path: Path, there: Named) -> str:
    stranger = why_no_server(str(path), there)
    if stranger:
        return (
            f"pid_file {path} belongs to pid {there.pid}, which still runs, but {stranger}; remove the file, or name "
            "another"
        )
    return f"pid_file {path} belongs to pid {there.pid}, which still runs; stop it, or name another file"
