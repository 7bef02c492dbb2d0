"""Everything that microsock raises, and whose fault each one is.

``MicrosockError`` is the one root. ``SetupError`` is the programmer's, raised while an app is put together;
``HTTPError`` is raised by a handler on purpose; ``ProtocolError`` is one end breaking the protocol.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = [
    "AppNotFound",
    "BadRule",
    "BadSetting",
    "BindError",
    "DuplicateRoute",
    "HTTPError",
    "LocalProtocolError",
    "MicrosockError",
    "MissingExtra",
    "Overloaded",
    "PortInUseError",
    "ProtocolError",
    "RemoteProtocolError",
    "SetupError",
    "WebSocketClosed",
    "is_error_status",
    "reason_phrase",
]

# What clients of the original see as an error's type, by status.
_TYPES = {
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    408: "TIMEOUT",
    413: "TOO_LARGE",
    414: "TOO_LARGE",
    429: "REQUEST_LIMIT",
    431: "TOO_LARGE",
}

# The names of RFC 9110 and of the registry, which `http.HTTPStatus` knows in the newest Pythons only.
_PHRASES = {
    100: "Continue",
    101: "Switching Protocols",
    102: "Processing",
    103: "Early Hints",
    200: "OK",
    201: "Created",
    202: "Accepted",
    203: "Non-Authoritative Information",
    204: "No Content",
    205: "Reset Content",
    206: "Partial Content",
    207: "Multi-Status",
    208: "Already Reported",
    226: "IM Used",
    300: "Multiple Choices",
    301: "Moved Permanently",
    302: "Found",
    303: "See Other",
    304: "Not Modified",
    305: "Use Proxy",
    307: "Temporary Redirect",
    308: "Permanent Redirect",
    400: "Bad Request",
    401: "Unauthorized",
    402: "Payment Required",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    406: "Not Acceptable",
    407: "Proxy Authentication Required",
    408: "Request Timeout",
    409: "Conflict",
    410: "Gone",
    411: "Length Required",
    412: "Precondition Failed",
    413: "Content Too Large",
    414: "URI Too Long",
    415: "Unsupported Media Type",
    416: "Range Not Satisfiable",
    417: "Expectation Failed",
    418: "I'm a Teapot",
    421: "Misdirected Request",
    422: "Unprocessable Content",
    423: "Locked",
    424: "Failed Dependency",
    425: "Too Early",
    426: "Upgrade Required",
    428: "Precondition Required",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    451: "Unavailable For Legal Reasons",
    500: "Internal Server Error",
    501: "Not Implemented",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
    505: "HTTP Version Not Supported",
    506: "Variant Also Negotiates",
    507: "Insufficient Storage",
    508: "Loop Detected",
    510: "Not Extended",
    511: "Network Authentication Required",
}


def reason_phrase(status: int) -> str:
    """The registered phrase of a status, or ``Unknown`` where none is registered (RFC 9110 section 15)."""
    return _PHRASES.get(status, "Unknown")


def is_error_status(status: object) -> bool:
    """Whether a request can be answered with it as with an error: an int from 400 to 599."""
    return isinstance(status, int) and not isinstance(status, bool) and 400 <= status <= 599


class MicrosockError(Exception):
    """The root of all errors that microsock raises on its own account."""


class SetupError(MicrosockError):
    """The app, its settings or its surroundings are put together wrongly; raised before anything is served."""


class DuplicateRoute(SetupError):
    """Two handlers for the same rule and method."""


class BadRule(SetupError):
    """A rule, or a handler that does not fit its rule."""


class BadSetting(SetupError):
    """A setting with an unknown name or a value out of its range."""


class AppNotFound(SetupError):
    """The command line names an app that is not there."""


class MissingExtra(SetupError):
    """A feature needs an optional extra that is not installed; the message names it."""


class BindError(MicrosockError, OSError):
    """The server cannot listen on the address it was given."""

    def __str__(self) -> str:
        return self.strerror or super().__str__()


class PortInUseError(BindError):
    """Another socket listens there already."""


class HTTPError(MicrosockError):
    """Answer this request with an error status; raised by ``abort`` and by microsock itself.

    Args:
        status: 400 to 599.
        message: one line for the client; the status's phrase if left out.
        type: a word for programs (``NOT_FOUND``, ``BAD_REQUEST`` …); by status if left out.
        headers: header lines for the answer, as ``(name, value)`` pairs.
    """

    def __init__(
        self,
        status: int,
        message: str | None = None,
        *,
        type: str | None = None,  # noqa: A002 - the field's own word, and what handlers read back
        headers: Iterable[tuple[str, str]] = (),
    ) -> None:
        if not isinstance(status, int) or isinstance(status, bool):
            raise SetupError(
                f"abort({status!r:.60}): a status comes first, then the message; write abort(400, {status!r:.60})"
            )
        if not 400 <= status <= 599:
            raise ValueError(f"an HTTPError has a status from 400 to 599, not {status!r}")
        self.status = status
        self.message = message or reason_phrase(status)
        self.type = type or _TYPES.get(status) or ("SERVER_ERROR" if status >= 500 else "BAD_REQUEST")
        self.headers = list(headers)
        super().__init__(f"{status} {self.message}")


class ProtocolError(MicrosockError):
    """One end of a connection does not keep to the protocol."""


class LocalProtocolError(ProtocolError):
    """We were about to break the protocol: a bug in a handler or in microsock."""


class RemoteProtocolError(ProtocolError):
    """The peer broke the protocol; ``status`` is how an HTTP request is refused for it."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class WebSocketClosed(MicrosockError):
    """Raised in a WebSocket handler that waits when the connection ends.

    Attributes:
        code: the close code (RFC 6455 section 7.4); 1006 when the peer left without a Close frame.
        reason: the text that came with it, often empty.
        by_peer: whether the peer closed first.
        websocket_id: the ``id`` of the WebSocket that is closed; None where a program has made this error itself.
    """

    websocket_id: str | None = None

    def __init__(self, code: int, reason: str = "", by_peer: bool = True, *, websocket_id: str | None = None) -> None:
        super().__init__(f"{code} {reason}".rstrip())
        self.code = code
        self.reason = reason
        self.by_peer = by_peer
        if websocket_id is not None:
            self.websocket_id = websocket_id


class Overloaded(MicrosockError):
    """A bounded queue is full; nothing was queued. Try again later or drop the work."""
