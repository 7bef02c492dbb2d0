"""Who holds a port: read from Linux's /proc; elsewhere, and for other users' processes, it stays unknown."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from .processes import command_of

__all__ = ["Holder", "Listening", "holder_of", "listening_on"]

_PROC = Path("/proc")
_LISTEN = "0A"


class Holder(NamedTuple):
    """A process that listens on a port."""

    pid: int
    command: str

    def __str__(self) -> str:
        return f"pid {self.pid} ({self.command})"


class Listening(NamedTuple):
    """A socket that listens: its address, the kernel's number for it, its user, and the processes that have it open.

    There are no processes where they are another user's: whose sockets those have cannot be seen.
    """

    host: str
    inode: str
    user: int
    pids: tuple[int, ...]


def holder_of(host: str, port: int) -> Holder | None:
    """The process whose listening socket keeps others from this numeric address; None if it cannot be known.

    Of several that share the socket (a parent and its workers), the one with the lowest pid.
    """
    pids = [pid for found in listening_on(port, host) for pid in found.pids]
    return Holder(min(pids), command_of(min(pids))) if pids else None


def listening_on(port: int, host: str | None = None) -> list[Listening]:
    """The sockets that listen on a TCP port, or those of them that keep others from one numeric address."""
    found = list(_listening(port, None if host is None else _kernel_form(host)))
    holders: dict[str, list[int]] = {f"socket:[{each.inode}]": [] for each in found}
    for pid in sorted(int(entry.name) for entry in _listed(_PROC) if entry.name.isdecimal()) if holders else ():
        for link in {_link(entry) for entry in _listed(_PROC / str(pid) / "fd")} & holders.keys():
            holders[link].append(pid)
    return [each._replace(pids=tuple(holders[f"socket:[{each.inode}]"])) for each in found]


def _listening(port: int, ours: str | None) -> Iterator[Listening]:
    for table in ("tcp", "tcp6"):
        for line in _read(_PROC / "net" / table).splitlines()[1:]:
            fields = line.split()
            theirs, _, their_port = fields[1].partition(":")
            if fields[3] == _LISTEN and int(their_port, 16) == port and _collide(ours, theirs):
                yield Listening(_address(theirs), fields[9], int(fields[7]), ())


def _kernel_form(host: str) -> str:
    # The address's 32-bit words as this machine stores them, in hexadecimal.
    packed = socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host.partition("%")[0])
    return "".join(f"{word:08X}" for word in struct.unpack(f"={len(packed) // 4}I", packed))


def _address(text: str) -> str:
    words = [int(text[place : place + 8], 16) for place in range(0, len(text), 8)]
    packed = struct.pack(f"={len(words)}I", *words)
    return socket.inet_ntop(socket.AF_INET if len(packed) == 4 else socket.AF_INET6, packed)


def _collide(ours: str | None, theirs: str) -> bool:
    # All zeros is every interface.
    return ours is None or ours == theirs or not ours.strip("0") or not theirs.strip("0")


# A process may end, or belong to somebody else, while we look: what cannot be read is not known, and no error.


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _link(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return ""


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
