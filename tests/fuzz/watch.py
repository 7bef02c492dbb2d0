"""An app to throw bytes at, and the watch over what must never happen, whatever they are."""

from __future__ import annotations

import gc
import itertools
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from microsock import App, Request, Response, WebSocket
from microsock.testing import RawConnection, TestClient

__all__ = ["UPGRADE", "answers_to", "cut", "make_app", "nothing_escapes"]

UPGRADE = (
    b"GET %b HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)

# CPU seconds that an input may take: at all, for each byte, and for each piece that it comes in. Many times what it
# does take, even where coverage is measured, and far below what anything quadratic takes.
_SECONDS, _SECONDS_PER_BYTE, _SECONDS_PER_PIECE = 0.3, 30e-6, 1e-3


def make_app() -> App:
    """Small limits, so that small inputs meet them."""
    app = App(
        max_line_bytes=400,
        max_head_bytes=1000,
        max_headers=20,
        max_body_size=2000,
        max_message_size=400,
        max_keep_alive_requests=50,
    )

    @app.route("/echo", methods=["GET", "POST", "PUT", "DELETE"])
    def echo(request: Request) -> Response:
        return Response(request.body, content_type="text/plain")

    @app.route(None, methods="*")
    def about(request: Request) -> dict[str, object]:
        return {"path": request.path, "args": dict(request.args), "cookies": dict(request.cookies), "url": request.url}

    @app.get("/pieces")
    def pieces(request: Request) -> Iterator[str]:
        yield from request.args.getlist("piece")

    @app.websocket("/ws")
    def message(ws: WebSocket, message: str | bytes) -> str | bytes:
        return message

    @app.websocket("/generator")
    def generator(ws: WebSocket) -> Any:
        while True:
            ws.send((yield from ws.receive()))

    return app


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    """The data in pieces, cut at these places; a place beyond its end counts from the start again."""
    at = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(at)]


def answers_to(connection: RawConnection, pieces: Sequence[bytes]) -> bytes:
    """What the server says to an input that comes in these pieces."""
    received = b""
    for piece in pieces:
        connection.send(piece)
        received += connection.receive()
    return received


@contextmanager
def nothing_escapes(client: TestClient, size: int, pieces: int = 1) -> Iterator[RawConnection]:
    """A connection for an input of ``size`` bytes that comes in so many pieces.

    Fails if an exception is logged, if the input costs more CPU time than it may, or if the connection is not closed
    when its client has left and all deadlines have passed. The cyclic collector waits meanwhile: in a process that has
    run thousands of tests, one pass over them all costs more than an input may.
    """
    with _no_collector(), _no_errors_logged():
        begin = time.process_time()
        with client.raw_connection() as connection:
            yield connection
            connection.close()
            client.advance(200)
            assert connection.closed
        spent = time.process_time() - begin
    assert spent < _SECONDS + size * _SECONDS_PER_BYTE + pieces * _SECONDS_PER_PIECE


@contextmanager
def _no_collector() -> Iterator[None]:
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@contextmanager
def _no_errors_logged() -> Iterator[None]:
    records: list[logging.LogRecord] = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = records.append  # type: ignore[assignment, method-assign]
    logger = logging.getLogger("microsock")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
    assert not [logging.Formatter().format(record) for record in records]
