"""Where a server's control socket lies: as the setting says, beside the pid file, or in the user's own directory.

Server and client ask the same functions. Knows nothing of what is said over the socket. Paths are texts here, and the
temporary directory is found by hand: pathlib and tempfile would be a tenth of what a server takes to start.
"""

from __future__ import annotations

import os
import stat

from ..errors import MicrosockError

__all__ = ["control_path", "found_path_of_port", "own_directory", "path_of_port"]

_NAME = "microsock-{}.sock"


def control_path(control: str | None, pid_file: str | None, port: int) -> str | None:
    """Where a server listens for commands; None where nothing is given and it has no TCP port.

    Args:
        control: the setting: the socket's own path.
        pid_file: the setting: the path plus ``.sock``, if ``control`` is not given.
        port: of its first address, for ``microsock-PORT.sock``; 0 for a Unix socket.

    Raises ``MicrosockError`` where the user's own directory is not safe.
    """
    if control is not None:
        return control
    if pid_file is not None:
        return f"{pid_file}.sock"
    return path_of_port(port) if port else None


def path_of_port(port: int) -> str:
    """The socket of the server on this port, in ``$XDG_RUNTIME_DIR`` or a directory that is the user's alone.

    Raises ``MicrosockError`` where that directory is not safe.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    folder = runtime if _is_own(runtime) else own_directory()
    return os.path.join(folder, _NAME.format(port))


def found_path_of_port(port: int) -> str:
    """``path_of_port`` for a client: a server that was started outside of a session has no ``$XDG_RUNTIME_DIR``."""
    path = path_of_port(port)
    folder = _own_folder()
    other = os.path.join(folder, _NAME.format(port))
    return other if not os.path.exists(path) and _is_own(folder) and os.path.exists(other) else path


def own_directory() -> str:
    """A directory of the user's, mode 0700, under the temporary directory; made where it is missing.

    Raises ``MicrosockError`` if another user was there first, or others may write there.
    """
    folder = _own_folder()
    try:
        os.mkdir(folder, 0o700)
    except FileExistsError:
        pass
    except OSError as error:
        raise MicrosockError(f"cannot make {folder} for control sockets: {error.strerror}; give a path") from error
    if not _is_own(folder):
        raise MicrosockError(f"{folder} is not a directory of this user's alone (mode 0700); remove it, or give a path")
    return folder


def _own_folder() -> str:
    return os.path.join(_temporary_directory(), f"microsock-{os.geteuid()}")


def _temporary_directory() -> str:
    # The places of tempfile.gettempdir(), in its order.
    places = [os.environ.get(name, "") for name in ("TMPDIR", "TEMP", "TMP")] + ["/tmp", "/var/tmp", "/usr/tmp"]
    usable = (place for place in places if os.path.isdir(place) and os.access(place, os.W_OK | os.X_OK))
    return os.path.abspath(next(usable, os.curdir))


def _is_own(path: str) -> bool:
    # Not followed: whoever may write to the temporary directory could lead us elsewhere.
    try:
        found = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077
