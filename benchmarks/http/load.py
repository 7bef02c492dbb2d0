"""The load: many connections in one process, each answer checked, on a selector and nothing else."""

from __future__ import annotations

import selectors
import socket
import ssl
import time
from collections.abc import Iterator
from functools import partial
from types import TracebackType
from typing import Self

from ..processes import HOST
from ..turn import PATIENCE, WrongAnswer
from .answers import AnswerReader, Head
from .messages import Exchange

__all__ = ["Client", "Load", "tls_context"]

_now = time.perf_counter
_READ_SIZE = 256 << 10
READ, BOTH = selectors.EVENT_READ, selectors.EVENT_READ | selectors.EVENT_WRITE


def tls_context(certificate: str) -> ssl.SSLContext:
    """Believes this certificate, whatever name it bears."""
    context = ssl.create_default_context(cafile=certificate)
    context.check_hostname = False
    return context


class Client:
    """One connection at a time, with ``depth`` requests under way. When the server ends it, it opens another.

    Over TLS the socket blocks; it is read when something has come, and only small requests are sent.
    """

    __slots__ = ("_context", "_depth", "_due", "_exchanges", "_heads", "_left", "_port", "_reader", "_sent_at", "sock")

    def __init__(
        self,
        port: int,
        exchanges: Iterator[Exchange],
        depth: int = 1,
        context: ssl.SSLContext | None = None,
        heads: dict[bytes, Head] | None = None,
    ) -> None:
        self._port, self._exchanges, self._depth, self._context = port, exchanges, depth, context
        self._heads = {} if heads is None else heads
        self._due: list[Exchange] = []
        self._left = memoryview(b"")
        self._sent_at = 0.0
        self.open()

    def open(self) -> None:
        """Connect anew."""
        sock = socket.create_connection((HOST, self._port), PATIENCE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = AnswerReader(self._heads)
        if self._context:
            self.sock: socket.socket = self._context.wrap_socket(sock)
        else:
            sock.setblocking(False)
            self.sock = sock

    def close(self) -> None:
        """Let the connection go."""
        self.sock.close()

    def send(self) -> bool:
        """Send the next requests; tells whether all of it went out at once."""
        self._sent_at = _now()
        return self._send_next()

    def flush(self) -> bool:
        """Send more of what did not go out; tells whether that was all."""
        self._left = self._left[self.sock.send(self._left) :]
        return not self._left

    def take(self) -> float | None:
        """Read; gives the seconds that the answers took, once all of them are here.

        Raises ``WrongAnswer`` for another answer than is due, and for the end of the stream before it.
        """
        due = self._due
        for body in self._reader.feed(self._read()):
            if not due or not due.pop().allows(body):
                raise WrongAnswer(f"not the answer that is due: {body[:60]!r} ({len(body)} bytes)")
        return None if due else _now() - self._sent_at

    @property
    def ended(self) -> bool:
        """Whether the server has said that it closes this connection."""
        return self._reader.closes

    def reopen(self) -> bool:
        """Connect again once the server has closed, and send: both count as time that the next answer takes."""
        self._wait_for_the_end()
        self._sent_at = _now()
        self.open()
        return self._send_next()

    def ask(self) -> None:
        """Send the next requests, whose answers come when all of them are there, and wait for those."""
        self.sock.settimeout(PATIENCE)
        done = self.send()
        while not done:
            done = self.flush()
        while self.take() is None:
            pass
        if self._context is None:
            self.sock.setblocking(False)

    def _send_next(self) -> bool:
        self._due = [next(self._exchanges) for _ in range(self._depth)]
        data = b"".join([exchange.sent for exchange in self._due]) if self._depth > 1 else self._due[0].sent
        self._due.reverse()
        sent = self.sock.send(data)
        if sent == len(data):
            return True
        self._left = memoryview(data)[sent:]
        return False

    def _read(self) -> bytes:
        data = self.sock.recv(_READ_SIZE)
        if self._context and isinstance(self.sock, ssl.SSLSocket):
            while left := self.sock.pending():
                data += self.sock.recv(left)
        if not data:
            raise WrongAnswer("the server closed the connection before its answer")
        return data

    def _wait_for_the_end(self) -> None:
        self.sock.settimeout(PATIENCE)
        try:
            if self.sock.recv(1):
                raise WrongAnswer("something came behind the last answer")
        except (ConnectionResetError, ssl.SSLEOFError):
            pass
        self.sock.close()


class Load:
    """Clients that each have requests under way all the time.

    Attributes:
        seconds: how long each answer, or each batch of them, took, since it was last cleared.
    """

    def __init__(
        self,
        port: int,
        clients: int,
        exchanges: Iterator[Exchange],
        depth: int = 1,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self.seconds: list[float] = []
        self._selector = selectors.DefaultSelector()
        self._number = clients
        self._client = partial(Client, port, exchanges, depth, context, {})
        self._clients: list[Client] = []

    def start(self) -> None:
        """Connect, have an answer on each connection, and send the next requests on all of them.

        Without that answer, a server that is slow to accept would be measured with the few clients that it serves, and
        those that wait longest would not be counted at all.
        """
        for _ in range(self._number):
            client = self._client()
            self._clients.append(client)
            # At once: a server may have a thread wait for them.
            client.ask()
            if client.ended:
                client.close()
                client.open()
        for client in self._clients:
            self._selector.register(client.sock, READ if client.send() else BOTH, client)

    def run(self, seconds: float) -> float:
        """Go on for so long and for one answer at least; gives how long it was. The last requests stay under way."""
        started = _now()
        while (passed := _now() - started) < seconds or not self.seconds:
            for key, mask in self._select():
                self._turn(key.data, mask)
        return passed

    def finish(self) -> None:
        """Take the answers that are still under way, and send nothing more: the next server is to have the core."""
        left = len(self._clients)
        while left:
            for key, mask in self._select():
                client: Client = key.data
                if mask & selectors.EVENT_WRITE and client.flush():
                    self._selector.modify(client.sock, READ, client)
                if mask & READ and client.take() is not None:
                    self._selector.unregister(client.sock)
                    left -= 1

    def _select(self) -> list[tuple[selectors.SelectorKey, int]]:
        ready = self._selector.select(PATIENCE)
        if not ready:
            raise WrongAnswer(f"the server has not answered for {PATIENCE:.0f} seconds")
        return ready

    def _turn(self, client: Client, mask: int) -> None:
        if mask & selectors.EVENT_WRITE and client.flush():
            self._selector.modify(client.sock, READ, client)
        if not mask & READ or (taken := client.take()) is None:
            return
        self.seconds.append(taken)
        if client.ended:
            self._selector.unregister(client.sock)
            all_sent = client.reopen()
            self._selector.register(client.sock, READ if all_sent else BOTH, client)
        elif not client.send():
            self._selector.modify(client.sock, BOTH, client)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._selector.close()
        for client in self._clients:
            client.close()
