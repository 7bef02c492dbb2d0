"""The cases: what each does with a server, and the figures that come out."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import cycle

from ..bench import Bench
from ..peers import Peer
from ..processes import Server
from ..results import percentile
from ..suite import Case, Metric, Sample
from ..turn import REST, WARM_UP, used
from .connection import Connection
from .frames import BINARY, TEXT, Exchange, exchanges
from .load import EchoLoad, PublishLoad

__all__ = ["CASES"]

_CONNECTIONS, _FOLLOWERS, _IDLE = 32, 1000, 5000

SMALL = exchanges(TEXT, 32, 251)
LARGE = exchanges(BINARY, 64 << 10, 16)
NEWS = exchanges(TEXT, 128, 61)


def echo(messages: Sequence[Exchange], bench: Bench, peer: Peer) -> Sample:
    """Echo on all connections at once, for the bench's time."""
    server = bench.server(peer)
    with EchoLoad(server.port, "/echo", _CONNECTIONS, messages) as load:
        load.start()
        load.run(bench.seconds * WARM_UP)
        load.seconds.clear()
        with used(server) as usage:
            load.run(bench.seconds)
        count = len(load.seconds)
        load.finish()
    return {
        "cpu": usage.cpu / count * 1e6,
        "rate": count / usage.seconds,
        "p50": percentile(load.seconds, 50) * 1e3,
        "p99": percentile(load.seconds, 99) * 1e3,
        "busy": usage.cpu / usage.seconds * 100,
    }


def publish(bench: Bench, peer: Peer) -> Sample:
    """Publish one message after the other to all followers, for the bench's time."""
    server = bench.server(peer)
    messages = cycle(NEWS)
    with PublishLoad(server.port, "/follow", "/publish", _FOLLOWERS, len(NEWS[0].answer)) as load:
        _repeat(load, messages, bench.seconds * WARM_UP)
        with used(server) as usage:
            taken = _repeat(load, messages, bench.seconds)
    return {
        "time": percentile(taken, 50) * 1e3,
        "p99": percentile(taken, 99) * 1e3,
        "cpu": usage.cpu / len(taken) / _FOLLOWERS * 1e6,
        "busy": usage.cpu / usage.seconds * 100,
    }


def _repeat(load: PublishLoad, messages: Iterator[Exchange], seconds: float) -> list[float]:
    until = time.perf_counter() + seconds
    taken = [load.publish(next(messages))]
    while time.perf_counter() < until:
        taken.append(load.publish(next(messages)))
    return taken


def idle(bench: Bench, peer: Peer) -> Sample:
    """Open many connections on a fresh server, echo once on each, and let them rest."""
    message = SMALL[0]
    with bench.fresh_server(peer) as server:
        _visit(server.port, message)
        time.sleep(REST)
        before = server.resident_bytes()
        connections = [_visitor(server.port, message) for _ in range(_IDLE)]
        time.sleep(REST)
        grown = server.resident_bytes() - before
        for connection in connections:
            connection.sock.close()
    return {"memory": grown / _IDLE / 1024}


def start(bench: Bench, peer: Peer) -> Sample:
    """Start a server and ask at once, until there is an answer."""
    bench.server(peer)  # has been started before, so that all its modules are compiled
    started = time.perf_counter()
    server = Server(peer, bench.cores.server)
    try:
        server.wait_until_it_listens()
        _visit(server.port, SMALL[0])
        taken = time.perf_counter() - started
        time.sleep(REST)
        return {"time": taken * 1e3, "rest": server.resident_bytes() / 1e6}
    finally:
        server.stop()


def _visitor(port: int, message: Exchange) -> Connection:
    connection = Connection.open(port, "/echo", len(message.answer))
    connection.ask(message)
    return connection


def _visit(port: int, message: Exchange) -> None:
    _visitor(port, message).sock.close()


_ECHO_METRICS = (
    Metric("cpu", "CPU µs/message", 1, compared=True),
    Metric("rate", "messages/s", 0, compared=True),
    Metric("p50", "p50 ms", 2),
    Metric("p99", "p99 ms", 2),
    Metric("busy", "core busy %", 0),
)
_PUBLISH_METRICS = (
    Metric("time", "ms to the last", 1, compared=True),
    Metric("p99", "p99 ms", 1),
    Metric("cpu", "CPU µs/client", 1, compared=True),
    Metric("busy", "core busy %", 0),
)


CASES = (
    Case(
        "echo32",
        "Echo of 32 bytes of text",
        f"{_CONNECTIONS} connections, each sending its next message as soon as it has the answer to the last one.",
        _ECHO_METRICS,
        partial(echo, SMALL),
    ),
    Case(
        "echo64k",
        "Echo of 64 KiB binary",
        f"The same {_CONNECTIONS} connections, larger messages.",
        _ECHO_METRICS,
        partial(echo, LARGE),
    ),
    Case(
        "publish",
        f"Publish 128 bytes to {_FOLLOWERS:,} clients",
        "One more connection sends a message, and all of them get it. The time is from sending it until the last of "
        "them has it; the next one is sent then.",
        _PUBLISH_METRICS,
        publish,
    ),
    Case(
        "idle",
        f"{_IDLE:,} idle connections",
        "How much a fresh server grows by them: each has echoed one message and rests.",
        (Metric("memory", "resident KiB/connection", 2, compared=True),),
        idle,
    ),
    Case(
        "start",
        "Start-up",
        "`python file.py` until the first echo has come back, and the memory of the server half a second later.",
        (Metric("time", "ms to the first answer", 0, compared=True), Metric("rest", "resident MB", 1)),
        start,
        rounds=2,
    ),
)
