"""What the parent and its workers say to each other: the first byte of each message on their channel.

Lower-case words are between the two of them. A message that begins with an upper-case letter belongs to the bus and is
handed on unread.
"""

from __future__ import annotations

__all__ = [
    "DUMP", "FAILED", "HEARTBEAT", "LEAVE", "READY", "REOPEN", "REPLACE", "STOP", "is_for_the_bus",
]  # fmt: skip

# From a worker.
READY = b"r"  # and JSON: it serves
FAILED = b"f"  # and JSON: it cannot begin, and why
HEARTBEAT = b"h"  # its loop turns
REPLACE = b"m"  # it has answered max_requests

# From the parent.
STOP = b"s"  # the server stops: drain
LEAVE = b"l"  # another serves in its place: drain, without hurry
DUMP = b"d"  # log connections, topics and stacks
REOPEN = b"o"  # reopen the log files


def is_for_the_bus(message: bytes) -> bool:
    """Whether a message goes on to the relay, or to the worker's end of the bus."""
    return message[:1].isupper()
