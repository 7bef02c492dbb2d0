"""What 16 kB of each kind of input cost, how long a peer's turn gets by it, and how long others wait.

    PYTHONPATH=tests python -m tests.fuzz.cost [WORDS OF A KIND]

tells it for every kind, over plain sockets and TLS, from 1, 30 and 100 peers at once. All is CPU time of the server,
which runs in this process, one step after the other: so what else the machine does is not counted.
"""

from __future__ import annotations

import gc
import logging
import socket
import ssl
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, NamedTuple

from certs import authority, client_context, issued

from microsock import App, Server
from microsock.server import spare
from microsock.server.connection import Connection

from .kinds import KINDS, SIZE, Kind, request, upgrade

__all__ = ["Cost", "measure"]

PEERS = (1, 30, 100)
NEWCOMERS = 3


class Cost(NamedTuple):
    """What it took, in milliseconds of CPU.

    Fields:
        all: per 16 kB.
        turn: the longest turn of one peer.
        step: the longest turn of the loop.
        wait: until a newcomer who asks for ``/`` has its answer, while the others are served; the longest of some.
    """

    all: float
    turn: float
    step: float
    wait: float


def an_app() -> App:
    """Handlers that do as little as they can."""
    app = App(compression=True, access_log=False, behind_proxy=True, max_control_frames=None, keep_alive_timeout=60.0)
    app.route("/", methods="GET|POST")(lambda request: "ok")

    @app.websocket("/echo")
    def echo(ws: Any, message: str | bytes) -> str | bytes:
        return message

    @app.websocket("/generator")
    def generator(ws: Any) -> Any:
        while True:
            yield from ws.receive()

    @app.websocket("/left")
    def left(ws: Any, message: str | bytes) -> None:
        ws.close(4000)

    return app


class Turns:
    """How long the turns of connections take; of the longest is kept."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._handle = Connection.handle

    def __enter__(self) -> Turns:
        handle = self._handle

        def timed(connection: Connection, readable: bool, writable: bool) -> None:
            began = time.thread_time()
            handle(connection, readable, writable)
            self.longest = max(self.longest, time.thread_time() - began)

        Connection.handle = timed  # type: ignore[assignment, method-assign]
        return self

    def __exit__(self, *exception: object) -> None:
        Connection.handle = self._handle  # type: ignore[method-assign]


class Driven:
    """A server whose every step is taken and timed here."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.spent = self.longest = 0.0

    def step(self, timeout: float = 0.0) -> int:
        """One step; gives the number of what it handled."""
        began = time.thread_time()
        handled = self.server.step(timeout)
        took = time.thread_time() - began
        self.spent += took
        self.longest = max(self.longest, took)
        return handled

    def rest(self) -> None:
        """Step until nothing is left to do."""
        quiet = 0
        while quiet < 3:
            quiet = 0 if self.step(0.001) else quiet + 1


class Peer:
    """A client that takes whatever comes."""

    def __init__(self, driven: Driven, context: ssl.SSLContext | None) -> None:
        sock = socket.create_connection(("127.0.0.1", driven.server.port))
        sock.setblocking(False)
        self.sock = sock
        if context is not None:
            self.sock = context.wrap_socket(sock, server_hostname="localhost", do_handshake_on_connect=False)
            self._shake(driven, self.sock)

    def _shake(self, driven: Driven, sock: ssl.SSLSocket) -> None:
        while True:
            try:
                sock.do_handshake()
                return
            except ssl.SSLWantReadError:
                driven.step()

    def take(self) -> bytes:
        """What there is."""
        taken = bytearray()
        with suppress(BlockingIOError, ssl.SSLWantReadError, ConnectionError, ssl.SSLEOFError):
            while piece := self.sock.recv(1 << 18):
                taken += piece
        return bytes(taken)

    def offer(self, data: bytes) -> bytes:
        """Send as much as fits; gives the rest."""
        while data:
            try:
                data = data[self.sock.send(data) :]
            except (BlockingIOError, ssl.SSLWantWriteError):
                break
            except (ConnectionError, ssl.SSLError):
                return b""
        return data

    def ask(self, driven: Driven, request: bytes) -> bytes:
        """Send a request and step until there is an answer."""
        self.offer(request)
        answer = b""
        while b"\r\n\r\n" not in answer:
            driven.step()
            answer += self.take()
        return answer


def measure(kind: Kind, peers: int = 1, *, tls: bool = False, times: int = 4, to_the_end: bool = True) -> Cost:
    """Let so many peers send it at once, each ``times`` 16 kB, and newcomers come in between.

    Ends with the answer to the last newcomer, if it is not to go on ``to_the_end`` of what was sent.
    """
    with ExitStack() as stack:
        driven, context = stack.enter_context(serving(tls))
        senders = [Peer(driven, context) for _ in range(peers)]
        if kind.path is not None:
            for sender in senders:
                assert b" 101 " in sender.ask(driven, upgrade(kind.path))
        for each in senders:
            stack.callback(each.sock.close)
        driven.rest()
        driven.spent = driven.longest = 0.0
        turns = stack.enter_context(Turns())
        wait, rests = _besiege(driven, senders, kind.data * times, context)
        if to_the_end:
            _go_on(driven, senders, rests)
        sent = len(kind.data) * times * peers / SIZE
        return Cost(driven.spent / sent * 1e3, turns.longest * 1e3, driven.longest * 1e3, wait * 1e3)


def _besiege(
    driven: Driven, senders: list[Peer], data: bytes, context: ssl.SSLContext | None
) -> tuple[float, list[bytes]]:
    # How long the newcomer waited that waited longest, and what each has still to send.
    rests, longest = [sender.offer(data) for sender in senders], 0.0
    for _ in range(NEWCOMERS):
        before = driven.spent
        newcomer = Peer(driven, context)
        newcomer.ask(driven, request())
        newcomer.sock.close()
        longest = max(longest, driven.spent - before)
    return longest, rests


def _go_on(driven: Driven, senders: list[Peer], rests: list[bytes]) -> None:
    quiet = 0
    while quiet < 3:
        handled = driven.step(0.001)
        rests = [sender.offer(rest) for sender, rest in zip(senders, rests, strict=True)]
        taken = [sender.take() for sender in senders]
        quiet = 0 if handled or any(taken) or any(rests) else quiet + 1


@contextmanager
def serving(tls: bool) -> Iterator[tuple[Driven, ssl.SSLContext | None]]:
    """A server in this thread, and what its clients need for TLS."""
    settings: dict[str, Any] = {}
    context = None
    if tls:
        pem = issued("localhost")
        settings = {"ssl_certfile": pem.certificate, "ssl_keyfile": pem.key}
        context = client_context(authority())
    server = Server(an_app(), port=0, **settings)
    try:
        driven = Driven(server)
        driven.step()
        spare.load(websockets=True)
        # As after a start: nothing of what was loaded is looked at again for garbage.
        gc.collect()
        gc.freeze()
        yield driven, context
    finally:
        gc.unfreeze()
        server.shutdown(kill=True, timeout=0.0)
        server.run()


def main(words: list[str]) -> None:
    """Measure every kind whose name has these words."""
    logging.disable()
    wanted = {name: kind for name, kind in KINDS.items() if all(word in name for word in words)}
    print(f"{'milliseconds of CPU':52}{'16 kB':>10}{'turn':>8}  and step, wait with {PEERS} peers")  # noqa: T201
    for tls in (False, True):
        for name, kind in wanted.items():
            costs = [measure(kind, peers, tls=tls, to_the_end=peers == 1) for peers in PEERS]
            steps = "".join(f"{cost.step:8.1f}{cost.wait:8.1f}" for cost in costs)
            longest = max(cost.turn for cost in costs)
            print(f"{name + (' (TLS)' if tls else ''):52}{costs[0].all:10.2f}{longest:8.2f}{steps}", flush=True)  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1:])
