"""Many open WebSockets in one server process, and one publish that reaches them all.

`python -m tests.soak.many 10000` is the long form; the suite runs it with fewer.
"""

from __future__ import annotations

import resource
import sys
from contextlib import ExitStack
from typing import NamedTuple

from running import running

from .clients import connected, resident_bytes, seconds_until_all_have, send


class Cost(NamedTuple):
    """What so many sockets cost: bytes of the server's memory each, seconds until all had one message."""

    sockets: int
    bytes_each: float
    seconds: float


def run(count: int) -> Cost:
    """Open so many sockets, publish once, and see who got it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 2 * count + 200), most))
    with ExitStack() as stack:
        server = stack.enter_context(running("tests/soak/subject.py"))
        before = resident_bytes(server.process.pid)
        socks = [stack.enter_context(connected(server.port, "/all")) for _ in range(count)]
        each = (resident_bytes(server.process.pid) - before) / count
        message = "x" * 128
        send(socks[count // 2], message)
        frame = bytes((0x81, 126, 0, 128)) + message.encode()
        return Cost(count, each, seconds_until_all_have(socks, frame, patience=60))


if __name__ == "__main__":
    cost = run(int(sys.argv[1]))
    print(f"{cost.sockets} sockets, {cost.bytes_each / 1024:.2f} KiB each, all reached in {cost.seconds:.2f} s")  # noqa: T201
