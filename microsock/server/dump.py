"""What a worker is in the middle of, as text for the log: connections, topics and the stack of each thread.

For SIGUSR1. Bounded, whatever is open; reads only, and may be called in the middle of anything on the loop's thread.
"""

from __future__ import annotations

import sys
import threading
import traceback
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .connection import Connection
    from .service import Service

__all__ = ["dump"]

_MOST_LINES = 200
_MOST_FRAMES = 40


def dump(service: Service) -> str:
    """Many lines, the first of which says whose they are. To be called on the loop's thread."""
    return "\n".join([*_head(service), *_connections(service), *_topics(service), *_stacks()])


def _head(service: Service) -> Iterator[str]:
    parts = service.parts
    who = f"worker {parts.worker} of {parts.workers}" if parts.worker else "the only process"
    state = ", draining" if service.site.draining else ""
    yield f"dump of {who}{state}: {len(service.connections)} connections, {len(threading.enumerate())} threads"


def _connections(service: Service) -> Iterator[str]:
    connections = service.connections
    waits = Counter(_waits_for(connection) for connection in connections)
    yield "connections: " + (", ".join(f"{count} {wait}" for wait, count in waits.most_common()) or "none")
    # Those with most to send come first: they are what a dump is asked for.
    ordered = sorted(connections, key=lambda connection: -connection.queued_bytes)
    yield from (f"  {_connection(connection)}" for connection in ordered[:_MOST_LINES])
    yield from _more(len(ordered))


def _waits_for(connection: Connection) -> str:
    return connection.waiting.name.lower() if connection.waiting is not None else "closing"


def _connection(connection: Connection) -> str:
    traffic = f"in {connection.received}B out {connection.sent}B queued {connection.queued_bytes}B"
    about = ascii(connection.about)[1:-1]  # a client must not write lines of its own into the log
    return f"{connection.client.host}:{connection.client.port} {about or '-'} {_waits_for(connection)} {traffic}"


def _topics(service: Service) -> Iterator[str]:
    counts = service.site.topics.counts()
    yield f"topics: {len(counts)}"
    ordered = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    yield from (f"  {name!r:.120} {count}" for name, count in ordered[:_MOST_LINES])
    yield from _more(len(ordered))


def _more(count: int) -> Iterator[str]:
    if count > _MOST_LINES:
        yield f"  and {count - _MOST_LINES} more"


def _stacks() -> Iterator[str]:
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    for ident, frame in sys._current_frames().items():
        yield f"thread {names.get(ident, ident)}:"
        for line in traceback.format_list(traceback.extract_stack(frame)[-_MOST_FRAMES:]):
            yield line.rstrip()
