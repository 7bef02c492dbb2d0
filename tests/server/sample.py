"""The app that connections are tested with."""

from __future__ import annotations

from collections.abc import Iterator

from microsock import App, Pending, Request, WebSocket

__all__ = ["Sample"]


class Sample:
    """An app with handlers of every temper."""

    def __init__(self) -> None:
        self.app = App()
        self.seen: list[str] = []
        self.tokens: list[Pending] = []

        @self.app.get("/")
        def index(request: Request) -> str:
            self.seen.append(request.query_string)
            return "index"

        @self.app.post("/")
        def echo(request: Request) -> bytes:
            return request.body

        @self.app.get("/large")
        def large(request: Request) -> bytes:
            return bytes(1_000_000)

        @self.app.get("/later")
        def later(request: Request) -> Pending:
            self.tokens.append(Pending(finite="finite" in request.args))
            return self.tokens[-1]

        @self.app.get("/stream")
        def stream(request: Request) -> Iterator[bytes]:
            for _ in range(10_000):
                yield bytes(1000)

        @self.app.websocket("/ws")
        def listen(ws: WebSocket, message: str) -> str:
            return message
