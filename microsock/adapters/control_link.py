"""The link by which a control socket is found by its server's port, where it lies elsewhere.

A client that knows no more than the port looks at one place; with a pid file or ``control`` the socket is not there.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket

from ..errors import MicrosockError
from .control_path import path_of_port

__all__ = ["ControlLink"]


class ControlLink:
    """A symbolic link at the place of a port, from here to ``close``; none where somebody else answers there.

    A server can do without: where it cannot be made, there is none.

    Args:
        path: of the control socket.
        port: of the server.
    """

    def __init__(self, path: str, port: int) -> None:
        self._target = os.path.abspath(path)
        self._pid = os.getpid()
        self._place: str | None = None
        with contextlib.suppress(MicrosockError, OSError):
            self._make(path_of_port(port))

    def close(self) -> None:
        """Take it away, if it is still ours."""
        place, self._place = self._place, None
        if place is not None and self._pid == os.getpid():
            with contextlib.suppress(OSError):
                if os.readlink(place) == self._target:
                    os.unlink(place)

    def _make(self, place: str) -> None:
        if os.path.abspath(place) == self._target or _is_in_use(place):
            return
        aside = f"{place}.{self._pid}"
        try:
            os.symlink(self._target, aside)
            os.replace(aside, place)
            self._place = place
        finally:
            with contextlib.suppress(OSError):
                os.unlink(aside)


def _is_in_use(place: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(place)
        except OSError as error:
            # The socket of a server that died, a link that leads nowhere, or nothing.
            return error.errno not in (errno.ECONNREFUSED, errno.ENOENT)
    return True
