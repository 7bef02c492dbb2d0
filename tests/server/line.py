"""One connection on a memory transport that the test turns by hand."""

from __future__ import annotations

from typing import Any

from microsock import App
from microsock.request import Address
from microsock.server.connection import Connection
from microsock.testing.memory import MemoryTransport
from microsock.testing.world import World

__all__ = ["Line", "Watched"]


class Watched(MemoryTransport):
    """A transport that notes how much is asked of it and what is watched."""

    def __init__(self) -> None:
        super().__init__()
        self.watched = (False, False)
        self.sizes: list[int] = []
        self.room: list[int] = []

    def recv(self, size: int) -> bytes | None:
        self.room.append(size)
        return super().recv(size)

    def watch(self, read: bool, write: bool) -> None:
        self.watched = (read, write)
        super().watch(read, write)

    def send(self, data: bytes | memoryview) -> int:
        taken = super().send(data)
        self.sizes.append(taken)
        return taken


class Line:
    """One connection whose every turn is taken by hand."""

    def __init__(self, app: App, scheme: str = "http", **settings: Any) -> None:
        self.world = World(app, settings)
        self.transport = Watched()
        self.ended = 0
        self.connection = Connection(
            self.world.site, self.transport, self.world.timers,
            client=Address("1.2.3.4", 5), scheme=scheme, on_closed=self.closed,
        )  # fmt: skip

    def closed(self, connection: Connection) -> None:
        assert connection is self.connection
        self.ended += 1

    def send(self, data: bytes) -> None:
        self.transport.deliver(data)
        self.go_on()

    def go_on(self) -> None:
        """Turn until the connection has nothing to do."""
        while any(ready := self.transport.ready()):
            self.connection.handle(*ready)
            self.world.settle()

    def take(self) -> bytes:
        taken = bytearray()
        while piece := self.transport.take():
            taken += piece
            self.go_on()
        return bytes(taken)
