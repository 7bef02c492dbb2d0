"""The mark of a process that listens by microsock: an empty file in memory with a name of ours; see ``freeing``."""

from __future__ import annotations

import contextlib
import os

__all__ = ["MARK", "mark_as_server"]

MARK = "microsock-server"

_marked: int | None = None


def mark_as_server() -> None:
    """Let others of this user know this process for a microsock server. Costs one file descriptor, once."""
    global _marked
    if _marked is None and hasattr(os, "memfd_create"):
        with contextlib.suppress(OSError):
            _marked = os.memfd_create(MARK)
