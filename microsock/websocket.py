"""One open WebSocket as a handler sees it.

Knows frames and connections only as a ``Link``, which the floor above hands in.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Final, Protocol, TypeVar

from .errors import WebSocketClosed
from .messages import Sendable, encode_message, read_binary, read_json, read_text
from .request import Request
from .topics import MAX_TOPIC_BYTES
from .waits import Flushed, Receive, Waitable, Waiting, checked_seconds, waiting_for

__all__ = ["WEBSOCKET_GUID", "ClosedLink", "Link", "WebSocket", "check_close", "checked_topic"]

WEBSOCKET_GUID: Final = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
"""What a handshake's answer mixes with the client's key (RFC 6455 section 1.3)."""

T = TypeVar("T")

_ANY_TIME = Receive()


class Link(Protocol):
    """What a ``WebSocket`` needs of the connection under it."""

    @property
    def id(self) -> str:
        """Unique over all workers."""
        ...

    @property
    def queued_bytes(self) -> int:
        """What was sent and has not left yet."""
        ...

    @property
    def close_code(self) -> int | None:
        """The code the connection was closed with, by whichever side; None while it is open."""
        ...

    def send(self, data: str | bytes) -> None:
        """Queue a message."""

    def close(self, code: int, reason: str) -> None:
        """Queue a Close frame; only the first one counts."""

    def ping(self, payload: bytes) -> None:
        """Queue a Ping."""

    def subscribe(self, topic: str) -> None:
        """Have what is published on a topic sent here."""

    def unsubscribe(self, topic: str) -> None:
        """Stop that."""


class ClosedLink:
    """What is left of the connection of a WebSocket that has closed."""

    __slots__ = ("close_code", "id")

    queued_bytes = 0

    def __init__(self, id: str, close_code: int) -> None:  # noqa: A002 - as ``Link`` has it
        self.id = id
        self.close_code = close_code

    def send(self, data: str | bytes) -> None:
        """Nobody is there."""

    def close(self, code: int, reason: str) -> None:
        """It is closed."""

    def ping(self, payload: bytes) -> None:
        """Nobody is there."""

    def subscribe(self, topic: str) -> None:
        """Nobody is there."""

    def unsubscribe(self, topic: str) -> None:
        """It follows nothing any more."""


class WebSocket:
    """An open WebSocket.

    What sends (``send``, ``close``, ``ping``) queues and returns. What waits (``receive``, ``text`` …) is for
    generator handlers, behind ``yield from``; it raises ``WebSocketClosed`` when the connection ends and
    ``TimeoutError`` after ``timeout`` seconds.

    Attributes:
        request: the request that opened it.
        params: the path parameters.
        subprotocol: the one agreed on, if any.
        user: yours to set; None at first.
    """

    __slots__ = ("_closed", "_link", "params", "request", "subprotocol", "user")

    def __init__(self, link: Link, request: Request, params: dict[str, Any], subprotocol: str | None = None) -> None:
        self._link = link
        self._closed: tuple[int, str] | None = None
        self.request = request
        self.params = params
        self.subprotocol = subprotocol
        self.user: Any = None

    @property
    def id(self) -> str:
        """A short text that no other WebSocket of any worker has."""
        return self._link.id

    @property
    def state(self) -> SimpleNamespace:
        """A place for your own attributes; the same as ``request.state``, so what ``on_upgrade`` left is here."""
        return self.request.state

    @property
    def queued_bytes(self) -> int:
        """What was sent and has not left this process yet."""
        return self._link.queued_bytes

    @property
    def close_code(self) -> int | None:
        """The close code (RFC 6455 section 7.4); None while it is open, 1006 if the peer left without one."""
        code = self._link.close_code
        return code if code is not None or self._closed is None else self._closed[0]

    def send(self, data: Sendable) -> None:
        """Queue a message: a str as text, bytes as binary, a dict or list as JSON text. Any thread may.

        Raises ``WebSocketClosed`` once it is closed, ``TypeError`` or ``ValueError`` for what cannot be sent, and in
        another thread ``Overloaded`` where too many calls wait for the loop.
        """
        message = encode_message(data)
        self._check_open()
        self._link.send(message)

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Say goodbye; what is queued goes out first. Closing again does nothing. Any thread may.

        Raises ``ValueError`` for a code that may not be sent (RFC 6455 section 7.4) or a reason over 123 bytes.
        """
        check_close(code, reason)
        if self.close_code is None:
            self._link.close(code, reason)
            self._closed = code, reason

    def ping(self, payload: bytes = b"") -> None:
        """Queue a Ping beside the heartbeat's own. Raises ``ValueError`` for a payload over 125 bytes."""
        if not isinstance(payload, bytes) or len(payload) > 125:
            raise ValueError(f"a ping's payload is at most 125 bytes (RFC 6455 section 5.5), not {payload!r:.40}")
        self._check_open()
        self._link.ping(payload)

    def subscribe(self, topic: str) -> None:
        """Get what is published on a topic, until ``unsubscribe`` or the end of the connection.

        What was published to be retained comes at once.
        """
        self._check_open()
        self._link.subscribe(checked_topic(topic))

    def unsubscribe(self, topic: str) -> None:
        """Get it no longer; nothing happens if there was no subscription."""
        self._link.unsubscribe(checked_topic(topic))

    def disconnect(self, link: Link) -> None:
        """The connection has closed; called by the server, with what is left of it."""
        self._link = link

    def receive(self, timeout: float | None = None) -> Waitable[str | bytes]:
        """Wait for a message: a str or bytes, as it comes. ``timeout`` in seconds."""
        return Waitable("ws.receive", waiting_for(_receive(timeout)))

    def text(self, timeout: float | None = None) -> Waitable[str]:
        """Wait for a text message; a binary one closes with 1003."""
        return Waitable("ws.text", self._reading(_receive(timeout), read_text))

    def binary(self, timeout: float | None = None) -> Waitable[bytes]:
        """Wait for a binary message; text closes with 1003."""
        return Waitable("ws.binary", self._reading(_receive(timeout), read_binary))

    def json(self, timeout: float | None = None) -> Waitable[Any]:
        """Wait for a text message and parse it; binary closes with 1003, malformed JSON with 1007."""
        return Waitable("ws.json", self._reading(_receive(timeout), read_json))

    def flushed(self) -> Waitable[None]:
        """Wait until what was sent has left; between large sends, so that a slow peer slows the handler down."""
        return Waitable("ws.flushed", waiting_for(Flushed()))

    def _reading(self, wait: Receive, read: Callable[[str | bytes], T]) -> Waiting[T]:
        return self._read((yield wait), read)

    def _read(self, message: str | bytes, read: Callable[[str | bytes], T]) -> T:
        try:
            return read(message)
        except WebSocketClosed as error:
            error.websocket_id = self.id
            self.close(error.code, error.reason)
            raise

    def _check_open(self) -> None:
        if self._closed is not None:
            raise WebSocketClosed(*self._closed, by_peer=False, websocket_id=self.id)
        code = self._link.close_code
        if code is not None:
            raise WebSocketClosed(code, websocket_id=self.id)

    def __repr__(self) -> str:
        return f"<WebSocket {self.id} {self.request.path}>"


def _receive(timeout: float | None) -> Receive:
    return _ANY_TIME if timeout is None else Receive(checked_seconds("receive", timeout))


def check_close(code: int, reason: str) -> None:
    """Raise ``ValueError`` for a close code or reason that must not be sent (RFC 6455 sections 5.5 and 7.4)."""
    known = isinstance(code, int) and (1000 <= code <= 1014 or 3000 <= code <= 4999)
    if not known or code in (1004, 1005, 1006):
        raise ValueError(f"a close code is 1000 to 1003, 1007 to 1014 or 3000 to 4999, not {code!r}")
    if not isinstance(reason, str):
        raise TypeError(f"a close reason is a str, not {reason!r:.60}")
    if len(reason.encode(errors="surrogatepass")) > 123:
        raise ValueError(f"a close reason is at most 123 bytes of UTF-8, not {reason!r:.60}")
    encode_message(reason)


def checked_topic(topic: str) -> str:
    """A topic's name. Raises ``TypeError`` for what is no str, ``ValueError`` for one that is too long."""
    if not isinstance(topic, str):
        raise TypeError(f"a topic is a str, not {topic!r}")
    # A character has four bytes at most, so a short name need not be encoded.
    if len(topic) * 4 > MAX_TOPIC_BYTES and len(topic.encode(errors="surrogatepass")) > MAX_TOPIC_BYTES:
        raise ValueError(f"a topic has at most {MAX_TOPIC_BYTES} bytes of UTF-8, not {topic!r:.60}")
    return topic
