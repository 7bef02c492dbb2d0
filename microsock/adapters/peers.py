"""Who is at the other end of a Unix socket, as the kernel says: nobody can claim to be somebody else."""

from __future__ import annotations

import os
import socket
import struct
import sys
from typing import NamedTuple

__all__ = ["Peer", "peer_of"]

# struct ucred of unix(7): pid, uid, gid.
_UCRED = struct.Struct("=iII")
# The beginning of struct xucred of unix(4) of the BSDs: its version and the uid. On macOS the pid is asked for apart.
_XUCRED = struct.Struct("=II")
_XUCRED_BYTES = 128
_SOL_LOCAL, _LOCAL_PEERCRED, _LOCAL_PEERPID = 0, 1, 2
_PID = struct.Struct("=i")


class Peer(NamedTuple):
    """A process at the other end: the one that connected or, of a server, the one that listened first.

    Fields:
        pid: 0 where it cannot be known: on another system, or in another PID namespace.
        user: its user id at that time.
    """

    pid: int
    user: int

    @property
    def is_trusted(self) -> bool:
        """Whether it is of this process's own user, or root."""
        return self.user in (0, os.geteuid())


def peer_of(sock: socket.socket) -> Peer | None:
    """The other end of a connected Unix socket; None where the system does not say."""
    if hasattr(socket, "SO_PEERCRED") and sys.platform.startswith("linux"):
        pid, user, _ = _UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
        return Peer(max(0, pid), user)
    if sys.platform == "darwin" or sys.platform.startswith("freebsd"):
        _, user = _XUCRED.unpack_from(sock.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, _XUCRED_BYTES))
        return Peer(_pid_on_macos(sock) if sys.platform == "darwin" else 0, user)
    return None


def _pid_on_macos(sock: socket.socket) -> int:
    (pid,) = _PID.unpack(sock.getsockopt(_SOL_LOCAL, _LOCAL_PEERPID, _PID.size))
    return max(0, int(pid))
