"""An answer: status, header lines and a body, whole or streamed; and what a handler's return value means.

Knows nothing of framing: Content-Length, Transfer-Encoding, Connection and Date belong to the protocol half.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, ClassVar, NoReturn, Protocol

from .errors import HTTPError, reason_phrase
from .headers import HeaderSource, MutableHeaders, is_token
from .json_codec import encode_json

__all__ = ["Followed", "Pending", "Response", "abort", "completed", "redirect", "to_response"]

_HTML = "text/html; charset=utf-8"
_BYTES = "application/octet-stream"
_JSON = "application/json"
_TEXT = "text/plain; charset=utf-8"


# The lines of most answers.
_ONLY = {kind: (("Content-Type", kind),) for kind in (_HTML, _BYTES, _JSON, _TEXT, "text/plain", "text/html")}


class Followed(Iterable[bytes]):
    """A streamed body whose pieces come from elsewhere: the floors above know how. It goes out as it is.

    ``content_type`` and ``headers`` go onto the response unless it has its own.
    """

    __slots__ = ()

    content_type: ClassVar[str] = "application/octet-stream"
    headers: ClassVar[tuple[tuple[str, str], ...]] = ()

    def __iter__(self) -> Iterator[bytes]:
        raise TypeError(f"{type(self).__name__} is returned by a handler as it is; it cannot be iterated over")


class Encodable(Protocol):
    """An item of a streamed body that knows its bytes, such as an event."""

    def encode(self) -> bytes:
        """As it goes over the wire."""
        ...


Body = str | bytes | dict[Any, Any] | list[Any] | Iterable[bytes] | Iterable[Encodable]

# What a handler may return as a body; an iterable that is no iterator is more often a mistake.
_BODIES = (str, bytes, dict, list, Iterator, Followed)

_STATUS_LINE = r"HTTP/1\.[01] ([1-5][0-9][0-9])(?: [\t\x20-\x7e\x80-\xff]*)?"
# What the server decides itself; in a raw response these lines are dropped.
_FRAMING = ("content-length", "transfer-encoding", "connection", "keep-alive", "date")
# A cookie's value, bare or in double quotes (RFC 6265 section 4.1.1).
_COOKIE_VALUE = r'[!#-+\--:<-\[\]-~]*|"[!#-+\--:<-\[\]-~]*"'
# Reserved characters and the percent sign (RFC 3986 section 2.2); letters, digits and -._~ are never encoded either.
_URL_CHARACTERS = frozenset(b":/?#[]@!$&'()*+,;=%-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_COOKIE_ATTRIBUTE = r"[\x20-:<-~]*"


class Response:
    """An answer.

    Args:
        body: str (UTF-8), bytes, dict or list (JSON), or an iterable of str or bytes, which is streamed.
        status: 200 to 599; 1xx are the server's own.
        headers: a mapping or ``(name, value)`` pairs.
        content_type: overrides what follows from the body's type.

    Raises ``TypeError`` or ``ValueError`` for anything else, where it is written.
    """

    __slots__ = ("_body", "_headers", "_kind", "_status", "stream")

    def __init__(
        self,
        body: Body = "",
        status: int = 200,
        headers: HeaderSource | None = None,
        content_type: str | None = None,
    ) -> None:
        self._headers = None if headers is None else MutableHeaders(headers)
        self._kind: str | None = None  # the Content-Type, while that is the only line and nobody has looked
        self.stream: Iterable[bytes] | Iterable[Encodable] | None = None
        if status == 200 and type(status) is int:
            self._status = 200
        else:
            self.status = status
        if type(body) is str:
            self._body = body.encode()
            guessed: str | None = _HTML
        else:
            guessed = self._set_body(body)
        if content_type is not None:
            if headers is None and content_type in _ONLY:
                self._kind = content_type
            else:
                self.headers["Content-Type"] = content_type
        elif guessed is not None and status not in (204, 304):
            if self._headers is None and guessed in _ONLY:
                self._kind = guessed
            else:
                self.headers.setdefault("Content-Type", guessed)

    @property
    def headers(self) -> MutableHeaders:
        """The header lines, to look at and to change."""
        if self._headers is None:
            self._headers = MutableHeaders()
            if self._kind is not None:
                self._headers.supplement(_ONLY[self._kind])
        return self._headers

    @headers.setter
    def headers(self, headers: MutableHeaders) -> None:
        self._headers = headers

    @property
    def bare(self) -> bool:
        """Whether it has no header line but a Content-Type, as far as anybody has looked."""
        return self._headers is None

    def supplemented(self, lines: Sequence[tuple[str, str]]) -> Response:
        """The same with lines, known to be right, where there are none of their names; this one stays as it is."""
        other = object.__new__(type(self))
        for name in Response.__slots__:
            setattr(other, name, getattr(self, name))
        if hasattr(self, "__dict__"):  # of a class derived from this one
            other.__dict__.update(self.__dict__)
        other._headers = MutableHeaders()
        other._headers.supplement(self.headers.lines())
        other._headers.supplement(lines)
        return other

    def parts(self) -> tuple[int, tuple[tuple[str, str], ...], bytes | None]:
        """Status, header lines and the whole body, for who sends them; no body where it streams."""
        body = self._body if self.stream is None else None
        if self._headers is not None:
            return self._status, self._headers.lines(), body
        return self._status, () if self._kind is None else _ONLY[self._kind], body

    @property
    def status(self) -> int:
        """The status code."""
        return self._status

    @status.setter
    def status(self, status: int) -> None:
        if isinstance(status, bool) or not isinstance(status, int) or not 200 <= status <= 599:
            raise ValueError(f"a response's status is an int from 200 to 599, not {status!r}")
        self._status = int(status)

    @property
    def body(self) -> bytes:
        """The whole body; empty while the response streams. Setting it ends the stream, the length follows."""
        return self._body

    @body.setter
    def body(self, body: Body) -> None:
        previous, self.stream = self.stream, None
        close_stream(previous)
        self._set_body(body)

    def _set_body(self, body: Body) -> str | None:
        # Gives the Content-Type that follows from the body's type; None where the first item will tell.
        if isinstance(body, str):
            self._body = body.encode()
            return _HTML
        if isinstance(body, (bytes, bytearray, memoryview)):
            self._body = bytes(body)
            return _BYTES
        if isinstance(body, (dict, list)):
            self._body = encode_json(body)
            return _JSON
        if not isinstance(body, Iterable):
            raise TypeError(f"a response's body is str, bytes, dict, list or an iterable, not {body!r}")
        self._body = b""
        self.stream = body
        if not isinstance(body, Followed):
            return None
        for name, value in body.headers:
            self.headers.setdefault(name, value)
        return body.content_type

    @property
    def text(self) -> str:
        """The whole body as UTF-8 text."""
        return self._body.decode()

    def set_cookie(
        self,
        name: str,
        value: str = "",
        *,
        max_age: int | None = None,
        path: str | None = "/",
        domain: str | None = None,
        secure: bool = False,
        httponly: bool = False,
        samesite: str | None = "Lax",
    ) -> None:
        """Add a Set-Cookie line (RFC 6265 section 4.1). ``max_age`` in seconds; None lasts for the session.

        Raises ``ValueError`` for a name, value or attribute that would end the cookie or add another attribute.
        """
        if not is_token(name):
            raise ValueError(f"cookie name {name!r} is not a token")
        if not re.compile(_COOKIE_VALUE).fullmatch(value):
            raise ValueError(
                f"cookie {name} has a value with a space, comma, semicolon, quote or backslash; encode it first"
            )
        if samesite not in (None, "Lax", "Strict", "None"):
            raise ValueError(f"samesite is 'Lax', 'Strict', 'None' or None, not {samesite!r}")
        parts = [f"{name}={value}"]
        parts += [] if max_age is None else [f"Max-Age={int(max_age)}"]
        for key, attribute in (("Path", path), ("Domain", domain), ("SameSite", samesite)):
            if attribute is not None:
                parts.append(f"{key}={_cookie_attribute(key, attribute)}")
        parts += ["Secure"] if secure else []
        parts += ["HttpOnly"] if httponly else []
        self.headers.add("Set-Cookie", "; ".join(parts))

    def delete_cookie(self, name: str, *, path: str | None = "/", domain: str | None = None) -> None:
        """Ask the client to forget a cookie; path and domain as they were set."""
        self.set_cookie(name, max_age=0, path=path, domain=domain)

    @classmethod
    def from_raw(cls, raw: str | bytes) -> Response:
        r"""A response from a whole ``HTTP/1.1 200 OK\r\n…`` message.

        Framing lines are dropped, since the server frames what it sends. Raises ``ValueError`` if it does not parse.
        """
        data = raw.encode() if isinstance(raw, str) else raw
        head, found, body = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        match = re.compile(_STATUS_LINE).fullmatch(lines[0])
        if not found or match is None:
            raise ValueError(r"a raw response is 'HTTP/1.1 200 OK\r\nName: value\r\n\r\nbody'; got " + repr(raw[:60]))
        response = cls(body, int(match[1]))
        response.headers = MutableHeaders(_field(line) for line in lines[1:])
        if "chunked" in response.headers.get("Transfer-Encoding", "").lower():
            raise ValueError("a raw response must not be chunked; give its body plain")
        for name in _FRAMING:
            response.headers.pop(name)
        return response

    def __repr__(self) -> str:
        return f"<Response {self.status} {reason_phrase(self.status)}>"


class Pending:
    """An answer that comes later: a handler may return one and complete it on the loop when it is known.

    The exchange binds it to its token; a completion after the peer has gone, or a second one, is ignored.
    ``finite`` says that the answer will come by itself, so that it is worth sending to a peer that has
    half-closed; a long poll is not.
    """

    __slots__ = ("_deliver", "_value", "finite")

    def __init__(self, *, finite: bool = False) -> None:
        self.finite = finite
        self._deliver: Callable[[object], None] | None = None
        self._value: list[object] = []

    def complete(self, value: object) -> None:
        """Give the answer: whatever a handler may return, or an exception."""
        if self._deliver is None:
            self._value.append(value)
        else:
            self._deliver(value)

    def bind(self, deliver: Callable[[object], None]) -> None:
        """Say where the answer goes; called once, by the exchange."""
        self._deliver = deliver
        if self._value:
            deliver(self._value[0])

    def unbind(self) -> None:
        """Nobody waits for it any more; called by the exchange. Whoever keeps it keeps nothing else by it."""
        self._deliver = _ignored
        self._value.clear()


def _ignored(value: object) -> None:
    """Where the answer goes that nobody waits for."""


def abort(status: int, message: str | None = None) -> NoReturn:
    """Stop here and answer with an error status, through ``@app.error``."""
    raise HTTPError(status, message)


def redirect(url: str, status: int = 302) -> Response:
    """Send the client elsewhere. ``status`` is 301, 302, 303, 307 or 308 (RFC 9110 section 15.4)."""
    if status not in (301, 302, 303, 307, 308):
        raise ValueError(f"a redirect's status is 301, 302, 303, 307 or 308, not {status!r}")
    # What a URL cannot hold as it is (letters beyond ASCII, spaces, line ends, a backslash) is percent-encoded.
    location = "".join(chr(byte) if byte in _URL_CHARACTERS else f"%{byte:02X}" for byte in url.encode())
    return Response(f"{reason_phrase(status)}: {location}\n", status, {"Location": location}, _TEXT)


def to_response(value: Any, handler: str) -> Response:
    """What a handler's return value means; ``handler`` is its name, for the message.

    Raises ``TypeError`` for what cannot be sent.
    """
    if isinstance(value, Response):
        return value
    if isinstance(value, _BODIES):
        try:
            return Response(value)
        except (TypeError, ValueError) as error:
            raise _unsendable(error, handler) from None
    if isinstance(value, tuple):
        return _from_tuple(value, handler)
    raise TypeError(
        f"handler {handler!r} returned {_described(value)}; "
        "return a str, bytes, dict, list, iterator, tuple or Response"
    )


def _unsendable(error: TypeError | ValueError, handler: str) -> Exception:
    kind = TypeError if isinstance(error, TypeError) else ValueError
    return kind(f"handler {handler!r} returned what cannot be sent: {error}")


def completed(head: Response, value: Any, handler: str) -> Response:
    """What a generator returned that stood as the stream of ``head``, in its place.

    A tuple or Response decides for itself; a body alone has the status and Content-Type of ``head``. Lines of
    ``head`` that are not there are added. Raises as ``to_response``.
    """
    response = to_response(value, handler)
    if not isinstance(value, (tuple, Response)):
        response.status = head.status
        if "Content-Type" in head.headers:
            response.headers["Content-Type"] = head.headers["Content-Type"]
    for name, text in [line for line in head.headers.items() if line[0] not in response.headers]:
        response.headers.add(name, text)
    return response


def _from_tuple(value: tuple[Any, ...], handler: str) -> Response:
    if len(value) not in (2, 3):
        raise TypeError(
            f"handler {handler!r} returned a tuple of {len(value)}; return (body, status) or (body, status, headers)"
        )
    body, status, headers = (*value, None)[:3]
    if isinstance(body, _BODIES):
        try:
            return Response(body, status, headers)
        except (TypeError, ValueError) as error:
            raise _unsendable(error, handler) from None
    if not isinstance(body, Response):
        raise TypeError(
            f"handler {handler!r} returned a tuple that begins with {_described(body)}; begin it with a body"
        )
    body.status = status
    body.headers.update(headers or ())
    return body


def close_stream(stream: object) -> None:
    """Close an iterable that can be closed (a generator, a file), as its producer expects."""
    close = getattr(stream, "close", None)
    if close is not None:
        close()


def _described(value: object) -> str:
    return "None" if value is None else f"{value!r:.60} ({type(value).__name__})"


def _field(line: str) -> tuple[str, str]:
    name, found, value = line.partition(":")
    if not found:
        raise ValueError(f"header line {line!r} has no colon")
    return name, value


def _cookie_attribute(key: str, value: str) -> str:
    if not re.compile(_COOKIE_ATTRIBUTE).fullmatch(value):
        raise ValueError(f"cookie attribute {key} has a semicolon or a control character in {value!r}")
    return value
