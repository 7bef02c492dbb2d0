"""What a session tells its exchange: the events, and what it waits for. Past tense, plain values."""

from __future__ import annotations

import enum

from ..request import Request
from ..startup import NamedTuple

__all__ = [
    "CloseReceived",
    "Event",
    "MessageReceived",
    "PingReceived",
    "PongReceived",
    "RequestReceived",
    "RequestRefused",
    "RequestStarted",
    "StreamEnded",
    "Waiting",
]


class Waiting(enum.Enum):
    """What a session waits for. Only the server turns this into seconds."""

    IDLE = "the first byte of a request"
    HEAD = "the rest of a request's head"
    BODY = "the rest of a request's body"
    ANSWER = "the app"
    MESSAGE = "a WebSocket message"
    CLOSE = "the peer's Close frame"
    NOTHING = "nothing: the talk is over"


class RequestStarted(NamedTuple):
    """A request's head is there and its body is due: refuse it now, or ``admit`` the body."""

    request: Request


class RequestReceived(NamedTuple):
    """A request is there, whole."""

    request: Request


class RequestRefused(NamedTuple):
    """The peer broke the protocol or a limit; the answer closes the connection. ``request``: as far as it was read."""

    status: int
    message: str
    request: Request | None


class StreamEnded(NamedTuple):
    """The peer will send nothing more, and nothing is half-read."""


class MessageReceived(NamedTuple):
    """A whole WebSocket message: str from text frames, bytes from binary ones."""

    data: str | bytes


class PingReceived(NamedTuple):
    """A Ping came; the session answers it itself."""

    payload: bytes


class PongReceived(NamedTuple):
    """A Pong came, with the payload of the Ping that it answers or with any other (RFC 6455 section 5.5.3)."""

    payload: bytes


class CloseReceived(NamedTuple):
    """The WebSocket is over: by the peer's Close (``by_peer``), or because the peer broke the protocol."""

    code: int
    reason: str
    by_peer: bool


Event = (
    RequestStarted
    | RequestReceived
    | RequestRefused
    | StreamEnded
    | MessageReceived
    | PingReceived
    | PongReceived
    | CloseReceived
)
