"""A Unix socket's path: taken over only from the dead, and removed only by who made it.

Knows no address syntax and no connection.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from ..errors import BindError, PortInUseError
from ..startup import NamedTuple

__all__ = ["Claim", "bind_unix"]

# How long another server may take to look at the same path, before we go on without waiting for it.
_LOCK_SECONDS = 2.0


class Claim(NamedTuple):
    """A path that this process has bound: enough to tell whether it is still ours when the time comes to remove it."""

    path: Path
    device: int
    inode: int
    pid: int

    def remove(self) -> None:
        """Remove the path, if it is still the socket that was bound and this is the process that bound it."""
        if os.getpid() != self.pid:
            return
        with contextlib.suppress(OSError):
            status = self.path.lstat()
            if (status.st_dev, status.st_ino) == (self.device, self.inode):
                self.path.unlink()


def bind_unix(path: str, mode: int | None, backlog: int) -> tuple[socket.socket, Claim]:
    """A socket that listens at a path. A stale one there, on which nobody answers, is replaced.

    Args:
        path: where; relative to the current directory unless it begins with a slash.
        mode: permissions of the path, as chmod(1) has them; None for what the umask leaves.
        backlog: as for ``listen``.

    Raises ``PortInUseError`` if a server answers there, ``BindError`` for anything else in the way.
    """
    where = Path(path).absolute()
    with contextlib.ExitStack() as undo:
        try:
            sock = undo.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
            with _alone_in(where.parent):
                _bind(sock, where)
                claim = _claimed(where)
                undo.callback(claim.remove)
                # Nobody can connect before listen(), so there is no moment with other permissions.
                if mode is not None:
                    where.chmod(mode)
                sock.setblocking(False)
                sock.listen(backlog)
        except BindError:
            raise
        except OSError as error:
            raise _failure(f"cannot listen on unix:{where}: {os.strerror(error.errno or 0)}", error) from error
        undo.pop_all()
    return sock, claim


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    # Two servers that find one stale socket would each remove it, the second one the first one's new socket.
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        give_up = time.monotonic() + _LOCK_SECONDS
        while time.monotonic() < give_up:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                time.sleep(0.01)
        yield
    finally:
        os.close(descriptor)


def _bind(sock: socket.socket, where: Path) -> None:
    try:
        sock.bind(str(where))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        _remove_stale(where, error)
        sock.bind(str(where))


def _remove_stale(where: Path, error: OSError) -> None:
    if not stat.S_ISSOCK(where.lstat().st_mode):
        raise _failure(f"cannot listen on unix:{where}: there is a file that is no socket", error) from error
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        answer = probe.connect_ex(str(where))
    if answer != errno.ECONNREFUSED:
        # 0 and EAGAIN (its backlog is full) are a server that lives; of the others nothing is known, so it stays.
        raise _failure(f"unix:{where} is in use", error, PortInUseError) from error
    where.unlink()


def _claimed(where: Path) -> Claim:
    status = where.lstat()
    return Claim(where, status.st_dev, status.st_ino, os.getpid())


def _failure(message: str, error: OSError, kind: type[BindError] = BindError) -> BindError:
    failure = kind(message)
    failure.errno = error.errno
    return failure
