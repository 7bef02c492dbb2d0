"""The load: many connections in one process, each answer checked, on a selector and nothing else."""

from __future__ import annotations

import selectors
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from .connection import PATIENCE, Connection, WrongAnswer, close_all
from .frames import Exchange

__all__ = ["EchoLoad", "PublishLoad"]

_now = time.perf_counter


class Load:
    """Some connections under one selector. They are closed properly at the end of the block, or cut if it fails."""

    def __init__(self, connections: Sequence[Connection]) -> None:
        self.connections = connections
        self._selector = selectors.DefaultSelector()

    def watch(self, connection: Connection, data: object) -> None:
        """Have ``select`` give ``data`` when there is something to read."""
        self._selector.register(connection.sock, selectors.EVENT_READ, data)

    def select(self) -> list[tuple[selectors.SelectorKey, int]]:
        """Those with something to read. Raises ``WrongAnswer`` if nothing comes any more."""
        ready = self._selector.select(PATIENCE)
        if not ready:
            raise WrongAnswer(f"the server has not answered for {PATIENCE:.0f} seconds")
        return ready

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._selector.close()
        if kind is None:
            close_all(self.connections)
        for connection in self.connections:
            connection.sock.close()


class Echoing:
    """One connection that sends its next message as soon as the answer to the last one is there."""

    __slots__ = ("_connection", "_due", "_exchanges", "_next", "_sent_at")

    def __init__(self, connection: Connection, exchanges: Sequence[Exchange], first: int) -> None:
        self._connection = connection
        self._exchanges = exchanges
        self._next = first % len(exchanges)
        self._due = exchanges[self._next]
        self._sent_at = 0.0

    def send(self) -> None:
        """Send the next message."""
        self._due = self._exchanges[self._next]
        self._next = (self._next + 1) % len(self._exchanges)
        self._sent_at = _now()
        self._connection.send(self._due.sent)

    def take(self) -> float | None:
        """Read; gives the seconds that the answer took, once it is there."""
        return _now() - self._sent_at if self._connection.take(self._due) else None


class EchoLoad(Load):
    """Connections that each have one message under way all the time.

    Attributes:
        seconds: how long each answer took, since it was last cleared.
    """

    def __init__(self, port: int, path: str, connections: int, exchanges: Sequence[Exchange]) -> None:
        size = len(exchanges[0].answer)
        super().__init__([Connection.open(port, path, size) for _ in range(connections)])
        self.seconds: list[float] = []
        self._echoing = [Echoing(connection, exchanges, 7 * i) for i, connection in enumerate(self.connections)]
        for connection, echoing in zip(self.connections, self._echoing, strict=True):
            self.watch(connection, echoing)

    def start(self) -> None:
        """Send a first message on each connection."""
        for echoing in self._echoing:
            echoing.send()

    def run(self, seconds: float) -> float:
        """Go on for so long; gives how long it was. The last messages stay under way, for a next run or ``finish``."""
        started = _now()
        while (passed := _now() - started) < seconds:
            for key, _ in self.select():
                echoing: Echoing = key.data
                taken = echoing.take()
                if taken is not None:
                    self.seconds.append(taken)
                    echoing.send()
        return passed

    def finish(self) -> None:
        """Take the answers that are still under way, and send nothing more."""
        left = len(self._echoing)
        while left:
            left -= sum(key.data.take() is not None for key, _ in self.select())


class PublishLoad(Load):
    """Followers that are all to get what one more connection publishes."""

    def __init__(self, port: int, follow: str, publish: str, followers: int, size: int) -> None:
        followed = [Connection.open(port, follow, size) for _ in range(followers)]
        self._publisher = Connection.open(port, publish, size)
        super().__init__([*followed, self._publisher])
        for connection in followed:
            self.watch(connection, connection)
        self._followers = followers

    def publish(self, exchange: Exchange) -> float:
        """Publish a message; gives the seconds until the last of the followers had it."""
        left = self._followers
        started = _now()
        self._publisher.send(exchange.sent)
        while left:
            for key, _ in self.select():
                connection: Connection = key.data
                left -= connection.take(exchange)
        return _now() - started
