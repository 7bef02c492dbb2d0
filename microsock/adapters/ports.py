"""Who holds a port: read from Linux's /proc; elsewhere, and for other users' processes, it stays unknown."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

__all__ = ["Holder", "holder_of"]

_PROC = Path("/proc")
_LISTEN = "0A"
_LONGEST_COMMAND = 120


class Holder(NamedTuple):
    """A process that listens on a port."""

    pid: int
    command: str

    def __str__(self) -> str:
        return f"pid {self.pid} ({self.command})"


def holder_of(host: str, port: int) -> Holder | None:
    """The process whose listening socket keeps others from this numeric address; None if it cannot be known.

    Of several that share the socket (a parent and its workers), the one with the lowest pid.
    """
    links = {f"socket:[{inode}]" for inode in _listening_inodes(host, port)}
    for pid in sorted(int(entry.name) for entry in _listed(_PROC) if entry.name.isdecimal()):
        if links and any(_link(entry) in links for entry in _listed(_PROC / str(pid) / "fd")):
            return Holder(pid, _command(pid))
    return None


def _listening_inodes(host: str, port: int) -> Iterator[str]:
    ours = _kernel_form(host)
    for table in ("tcp", "tcp6"):
        for line in _read(_PROC / "net" / table).splitlines()[1:]:
            fields = line.split()
            theirs, _, their_port = fields[1].partition(":")
            if fields[3] == _LISTEN and int(their_port, 16) == port and _collide(ours, theirs):
                yield fields[9]


def _kernel_form(host: str) -> str:
    # The address's 32-bit words as this machine stores them, in hexadecimal.
    packed = socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host.partition("%")[0])
    return "".join(f"{word:08X}" for word in struct.unpack(f"={len(packed) // 4}I", packed))


def _collide(ours: str, theirs: str) -> bool:
    # All zeros is every interface.
    return ours == theirs or not ours.strip("0") or not theirs.strip("0")


def _command(pid: int) -> str:
    words = _read(_PROC / str(pid) / "cmdline").replace("\0", " ").strip()
    text = "".join(char if char.isprintable() else "?" for char in words)
    return text if len(text) <= _LONGEST_COMMAND else text[: _LONGEST_COMMAND - 1] + "…"


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
