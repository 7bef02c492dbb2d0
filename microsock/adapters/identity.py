"""Whether a process is a microsock server: by the marks of the sockets that it serves (``mark``). Reads Linux's /proc.

To be asked while a ``Handle`` of the process is held: only then its number is sure to mean it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from .mark import MARK

__all__ = ["is_server", "sockets_served"]

_PROC = Path("/proc")
_MARKED = re.compile(rf"/memfd:{MARK}:([0-9]+):([0-9]+) \(deleted\)")


def is_server(pid: int) -> bool | None:
    """Whether a process serves a socket of ours; None if it cannot be known: its descriptors are not to be seen."""
    served = sockets_served(pid)
    return None if served is None else bool(served)


def sockets_served(pid: int) -> frozenset[str] | None:
    """The kernel's numbers of the sockets that a process has open and has marked itself; None as for ``is_server``."""
    try:
        names = os.listdir(_PROC / str(pid) / "fd")  # noqa: PTH208 - names are all that is needed
    except OSError:
        return None
    links = [_link(f"{_PROC}/{pid}/fd/{name}") for name in names]
    marks = [found for link in links if (found := _MARKED.fullmatch(link)) is not None]
    own = _own_numbers(pid) if marks else set()
    # A child inherits the marks of its parent, and with them the parent's number.
    return frozenset(mark[1] for mark in marks if mark[2] in own and f"socket:[{mark[1]}]" in links)


def _own_numbers(pid: int) -> set[str]:
    # What it is called here, and what it calls itself where it is in a PID namespace below ours (proc(5), NSpid).
    try:
        lines = (_PROC / str(pid) / "status").read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    within = [line.split()[-1] for line in lines if line.startswith("NSpid:")]
    return {str(pid), *within}


def _link(path: str) -> str:
    # It may be closed while we look.
    try:
        return os.readlink(path)  # noqa: PTH115 - a text is all that is needed
    except OSError:
        return ""
