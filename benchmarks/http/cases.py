"""The cases: what each does with a server, and the figures that come out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from ..bench import Bench
from ..peers import Peer
from ..processes import Server
from ..results import percentile
from ..suite import Case, Metric, Sample
from ..turn import REST, WARM_UP, used
from .certificate import certificate
from .load import Client, Load, tls_context
from .messages import BROWSER, CLOSE, Exchange, bare, bodies, documents, json_answers, unique, users

__all__ = ["CASES"]

_CLIENTS, _MANY, _IDLE = 32, 1000, 5000
# Divides the thousand requests after which microsock and nginx end a connection, for whoever asks more at once loses
# what the server does not answer any more.
_DEPTH = 10


class Work(NamedTuple):
    """What the clients do."""

    exchanges: Callable[[], Iterator[Exchange]]
    clients: int = _CLIENTS
    depth: int = 1
    tls: bool = False


def ask(work: Work, bench: Bench, peer: Peer) -> Sample:
    """All clients ask, each as soon as it has its answer, for the bench's time."""
    server = bench.server(_over_tls(peer) if work.tls else peer)
    context = tls_context(certificate()[0]) if work.tls else None
    with Load(server.port, work.clients, work.exchanges(), work.depth, context) as load:
        load.start()
        load.run(bench.seconds * WARM_UP)
        load.seconds.clear()
        with used(server) as usage:
            load.run(bench.seconds)
        count = len(load.seconds) * work.depth
        load.finish()
    return {
        "cpu": usage.cpu / count * 1e6,
        "rate": count / usage.seconds,
        "p50": percentile(load.seconds, 50) * 1e3,
        "p99": percentile(load.seconds, 99) * 1e3,
        "busy": usage.cpu / usage.seconds * 100,
    }


def _over_tls(peer: Peer) -> Peer:
    return peer._replace(key=f"{peer.key}-tls", arguments=(*peer.arguments, "--tls", *certificate()))


def idle(bench: Bench, peer: Peer) -> Sample:
    """Open many connections on a fresh server, ask once on each, and let them rest."""
    with bench.fresh_server(peer) as server:
        _visit(server.port)
        time.sleep(REST)
        before = server.resident_bytes()
        clients = [_visitor(server.port) for _ in range(_IDLE)]
        time.sleep(REST)
        grown = server.resident_bytes() - before
        for client in clients:
            client.close()
    return {"memory": grown / _IDLE / 1024}


def start(bench: Bench, peer: Peer) -> Sample:
    """Start a server and ask at once, until there is an answer."""
    bench.server(peer)  # has been started before, so that all its modules are compiled
    started = time.perf_counter()
    server = Server(peer, bench.cores.server)
    try:
        server.wait_until_it_listens()
        _visit(server.port)
        taken = time.perf_counter() - started
        time.sleep(REST)
        return {"time": taken * 1e3, "rest": server.resident_bytes() / 1e6}
    finally:
        server.stop()


def _visitor(port: int) -> Client:
    client = Client(port, bare())
    client.ask()
    return client


def _visit(port: int) -> None:
    _visitor(port).close()


_METRICS = (
    Metric("cpu", "CPU µs/request", 1, compared=True),
    Metric("rate", "requests/s", 0, compared=True),
    Metric("p50", "p50 ms", 2),
    Metric("p99", "p99 ms", 2, compared=True),
    Metric("busy", "core busy %", 0),
)


def _case(key: str, title: str, about: str, work: Work) -> Case:
    return Case(key, title, about, _METRICS, partial(ask, work))


_SAME = f"The same {_CLIENTS} connections"

CASES = (
    _case(
        "bare",
        "A request with nothing but Host",
        f"`GET /`, {_CLIENTS} connections that are kept, each asking again as soon as it has its answer.",
        Work(bare),
    ),
    _case("browser", "A browser's 13 header lines", f"{_SAME}, `GET /`.", Work(partial(bare, BROWSER))),
    _case(
        "unique",
        "A header that never comes twice",
        "The browser's lines and an `X-Request-Id` that is another one in each request.",
        Work(unique),
    ),
    _case("json", "JSON", f"{_SAME}, `GET /json`.", Work(json_answers)),
    _case("path", "A path parameter", f"{_SAME}, `GET /users/42` for a hundred numbers; JSON comes back.", Work(users)),
    _case(
        "post", "1 KiB of JSON there and back", f"{_SAME}; the server reads the JSON and writes it.", Work(documents)
    ),
    _case("body64k", "64 KiB there and back", f"{_SAME}; the body comes back.", Work(partial(bodies, 64 << 10))),
    _case("body1m", "1 MiB there and back", "8 connections.", Work(partial(bodies, 1 << 20), clients=8)),
    _case(
        "pipelined",
        "Pipelined",
        f"{_SAME}, {_DEPTH} bare requests at once on each; the times are those of all {_DEPTH}.",
        Work(bare, depth=_DEPTH),
    ),
    _case(
        "connect",
        "A new connection for each request",
        f"{_CLIENTS} at a time; the request says `Connection: close`, and the next begins when the server has closed.",
        Work(partial(bare, CLOSE)),
    ),
    _case(
        "many",
        f"{_MANY:,} connections",
        "As the browser's lines, but all of so many connections ask again and again.",
        Work(partial(bare, BROWSER), clients=_MANY),
    ),
    _case("tls", "TLS", f"{_CLIENTS} connections over TLS 1.3, bare requests.", Work(bare, tls=True)),
    Case(
        "idle",
        f"{_IDLE:,} idle connections",
        "How much a fresh server grows by them: each has asked once and rests.",
        (Metric("memory", "resident KiB/connection", 2, compared=True),),
        idle,
    ),
    Case(
        "start",
        "Start-up",
        "`python file.py` until the first answer has come, and the memory of the server half a second later.",
        (Metric("time", "ms to the first answer", 0, compared=True), Metric("rest", "resident MB", 1)),
        start,
        rounds=2,
    ),
)
