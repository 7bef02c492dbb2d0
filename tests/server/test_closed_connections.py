"""Nothing of a connection is left once it has closed, in whichever way, and nothing waits for the cyclic collector."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest
from live_objects import left_behind
from wire import HANDSHAKE, ask, handshake, message

from microsock import App, EventStream, HTTPError, Pending, Request, WebSocket, WebSocketClosed, blocking, sleep
from microsock.request import Address
from microsock.testing import build_frame
from microsock.testing.world import Wire, World

pytestmark = pytest.mark.usefixtures("untraced")

BODY = bytes(300_000)
CHUNKED = ask("/take", "Transfer-Encoding: chunked", method="POST") + b"%x\r\n%b\r\n" % (len(BODY), BODY)
KNOWN = ask("/take", "Content-Length: 400000", method="POST") + BODY


class Site:
    """An app with handlers of every kind, and the long polls that it keeps."""

    def __init__(self) -> None:
        self.app = app = App()
        self.polls: list[Pending] = []
        self.sockets: list[WebSocket] = []

        @app.post("/take")
        def take(request: Request) -> bytes:
            return request.body

        @app.get("/")
        def hello(request: Request) -> str:
            return "hello"

        @app.get("/large")
        def large(request: Request) -> bytes:
            return bytes(300_000)

        @app.get("/raise")
        def fail(request: Request) -> str:
            raise ValueError(f"on purpose, for {request.path}")

        @app.get("/refuse")
        def refuse(request: Request) -> str:
            raise HTTPError(418)

        @app.route("/poll", methods="GET|POST")
        def poll(request: Request) -> Pending:
            self.polls.append(Pending(finite="finite" in request.args))
            return self.polls[-1]

        @app.route("/blocking", methods="GET|POST", blocking=True)
        def slow(request: Request) -> bytes:
            return request.body

        @app.get("/pieces")
        def pieces(request: Request) -> Iterator[bytes]:
            for _ in range(100):
                yield bytes(10_000)

        @app.get("/fails-late")
        def fails_late(request: Request) -> Iterator[bytes]:
            yield b"begun"
            raise ValueError("on purpose")

        @app.get("/sleeps")
        def sleeps(request: Request) -> Generator[Any, Any, None]:
            yield "a"
            yield from sleep(100)

        @app.get("/calls")
        def calls(request: Request) -> Generator[Any, Any, None]:
            yield "a"
            yield (yield from blocking(str, 1))

        @app.get("/events")
        def events(request: Request) -> EventStream:
            return EventStream("news")

        @app.websocket("/ws")
        def echo(ws: WebSocket, text: str) -> str:
            self.sockets[:] = [ws]
            ws.subscribe("news")
            return text

        @app.websocket("/blocks", blocking=True)
        def echo_slowly(ws: WebSocket, text: str) -> str:
            return text

        @app.websocket("/raises")
        def raises(ws: WebSocket, text: str) -> str:
            raise ValueError(text)

        @app.websocket("/script")
        def script(ws: WebSocket) -> Generator[Any, Any, None]:
            try:
                while True:
                    ws.send((yield from ws.text()))
            except WebSocketClosed as error:
                ws.state.error = error.code
                raise

        @app.websocket("/naps")
        def naps(ws: WebSocket) -> Generator[Any, Any, None]:
            yield from sleep(100)

        @app.websocket("/ends")
        def ends(ws: WebSocket) -> Generator[Any, Any, None]:
            yield from ws.text()
            ws.close(4000, "enough")

        @app.websocket("/packed", compression=True)
        def packed(ws: WebSocket, data: bytes | str) -> bytes | str:
            return data

    def answer(self) -> None:
        for poll in self.polls:
            poll.complete("late")


EXTENSION = "Sec-WebSocket-Extensions: permessage-deflate"
# What a client sends, by what the connection is in the middle of when it ends.
MIDST = {
    "nothing": b"",
    "a head": b"GET / HTTP/1.1\r\nHost: a\r\n",
    "a body of a known length": KNOWN,
    "a chunked body": CHUNKED,
    "a chunk": CHUNKED[:-5],
    "a body that waits for 100": ask("/take", "Content-Length: 9", "Expect: 100-continue", method="POST"),
    "an answer that nobody takes": ask("/large"),
    "answers behind each other": ask("/large") * 5,
    "the time between requests": ask("/") * 3,
    "what was sent behind a last request": ask("/", "Connection: close") + BODY,
    "an error": ask("/raise") + ask("/refuse") + ask("/missing"),
    "a long poll": ask("/poll", method="POST", body=BODY),
    "an answer that is due": ask("/poll?finite") + ask("/"),
    "a call in another thread": ask("/blocking", method="POST", body=BODY),
    "a stream": ask("/pieces"),
    "a stream that failed": ask("/fails-late"),
    "a stream that sleeps": ask("/sleeps"),
    "a stream whose call is made": ask("/calls"),
    "an event stream": ask("/events"),
    "a refused request": ask("/", "Host: b") + BODY,
    "a body that is too large": ask("/take", "Content-Length: 99999999", method="POST") + BODY,
    "a WebSocket": HANDSHAKE + message("a"),
    "a WebSocket's frame": HANDSHAKE + build_frame(2, BODY)[:-5],
    "a WebSocket's text": HANDSHAKE + build_frame(1, BODY)[:-5],
    "a WebSocket's fragments": HANDSHAKE + build_frame(1, b"a" * 200_000, fin=False) + build_frame(9, b"!"),
    "a WebSocket that has closed": HANDSHAKE + message("a") + build_frame(8, b"\x03\xe8"),
    "a WebSocket that breaks a rule": HANDSHAKE + build_frame(3, b""),
    "a WebSocket's error": handshake("/raises") + message("a"),
    "a WebSocket's call in another thread": handshake("/blocks") + message("a") * 9,
    "a WebSocket's generator": handshake("/script") + message("a") * 9,
    "a WebSocket's generator that sleeps": handshake("/naps") + message("a" * 1000) * 90,
    "a WebSocket that the handler closes": handshake("/ends") + message("a"),
    "a compressed WebSocket": handshake("/packed", EXTENSION) + message("a" * 300) + build_frame(1, b"", fin=False),
    "a refused WebSocket": handshake("/ws", "Origin: https://evil.example"),
}  # fmt: skip


def close(wire: Wire) -> None:
    wire.transport.hang_up()


def reset(wire: Wire) -> None:
    wire.transport.hang_up(reset=True)


def half_close(wire: Wire) -> None:
    wire.transport.half_close()
    wire.world.settle()
    take_all(wire)
    # The server has said all that it will; what still lives is waited for.
    wire.world.advance(1000)


def read_on(wire: Wire) -> None:
    take_all(wire)
    wire.transport.hang_up()


def wait(wire: Wire) -> None:
    take_all(wire)
    wire.world.advance(1000)


def be_cut(wire: Wire) -> None:
    wire.tell(wire.connection.abort)


def be_drained(wire: Wire) -> None:
    wire.tell(wire.connection.drain)
    wire.world.settle()
    take_all(wire)
    wire.world.advance(1000)


def take_all(wire: Wire) -> None:
    for _ in range(10_000):
        wire.world.settle()
        if not wire.transport.take():
            return


ENDS = (close, reset, half_close, read_on, wait, be_cut, be_drained)


@pytest.fixture(autouse=True)
def silent() -> Iterator[None]:
    """What pytest keeps of each log record would keep the tracebacks."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


def live(site: Site, world: World, data: bytes, end: Callable[[Wire], None]) -> None:
    wire = world.connect(Address("1.2.3.4", 5))
    wire.transport.deliver(data)
    world.settle()
    end(wire)
    world.settle()
    if not wire.transport.closed:
        # It does not read any more, and is about to answer or to write.
        wire.transport.hang_up(reset=True)
        site.answer()
        world.advance(1000)
    assert wire.connection.closed


@pytest.mark.parametrize("midst", MIDST)
def test_nothing_is_left(midst: str) -> None:
    site = Site()
    world = World(site.app, {})
    kept = {"Pending", "WebSocket", "ClosedLink", "Request", "_Packed", "SimpleNamespace"}  # as the app refers to them

    def life() -> None:
        for end in ENDS:
            live(site, world, MIDST[midst], end)

    found = left_behind(life)
    assert not {name: count for name, count in found.items() if name not in kept}
    world.close()
