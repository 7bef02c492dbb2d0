"""A request as a handler sees it: what came over the wire, read on demand.

Knows nothing of sockets or of h11; the protocol half fills it in, the app half reads it.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from functools import cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, TypeVar, overload

from .errors import HTTPError
from .headers import Headers
from .json_codec import parse_json
from .log import printable
from .startup import NamedTuple

if TYPE_CHECKING:
    from .app import App

__all__ = ["Address", "Args", "Request"]

T = TypeVar("T")
D = TypeVar("D")

# An encoded slash, decoded within its segment. No UTF-8 decodes to it, so it can be told from a real slash.
ENCODED_SLASH = "\udc2f"

_QUOTED_PAIR = r"\\([0-3][0-7][0-7]|.)"
# The charsets a text body may name; others would let a client choose any codec of Python's.
_CHARSETS = {
    "utf-8", "utf8", "us-ascii", "ascii", "iso-8859-1", "latin-1", "iso-8859-15", "windows-1252", "utf-16",
}  # fmt: skip


class Address(NamedTuple):
    """One end of a connection. A Unix socket has its path as ``host`` and port 0."""

    host: str
    port: int


NOBODY = Address("", 0)


class Args(Mapping[str, str]):
    """The query's names and values. ``args["tag"]`` is the first value of a name, ``getlist`` gives all."""

    __slots__ = ("_values",)

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            self._values.setdefault(name, []).append(value)

    @overload
    def get(self, name: str, default: None = None) -> str | None: ...
    @overload
    def get(self, name: str, default: D) -> str | D: ...
    @overload
    def get(self, name: str, default: None = None, type: type[T] = ...) -> T | None: ...
    @overload
    def get(self, name: str, default: D, type: type[T]) -> T | D: ...
    def get(self, name: str, default: Any = None, type: Any = None) -> Any:  # noqa: A002 - as Flask and Werkzeug spell it
        """The first value of a name, or ``default``.

        With ``type`` (``int``, ``float`` …) the value is converted; one that does not convert gives ``default``.
        """
        values = self._values.get(name)
        if values is None:
            return default
        if type is None:
            return values[0]
        try:
            return type(values[0])
        except (ValueError, TypeError):
            return default

    def getlist(self, name: str) -> list[str]:
        """All values of a name, in order; empty if there is none."""
        return list(self._values.get(name, ()))

    def __getitem__(self, name: str) -> str:
        return self._values[name][0]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Args({self._values!r})"


class Request:
    """One HTTP request, or the request that opens a WebSocket.

    Attributes:
        method: upper or lower case as it came (methods are case-sensitive, RFC 9110 section 9.1).
        path: the decoded path; an encoded slash stays ``%2F``, so it never looks like a separator.
        params: the path parameters of the matched rule.
        body: the whole body.
        client: who asks.
        scheme: ``http`` or ``https``.
        http_version: ``1.1`` or ``1.0``.
        root_path: the prefix under which a proxy serves the app; ``path`` is what follows it.
        app: the app that answers, None where the request could not be read.
    """

    __slots__ = (
        "_args", "_cookies", "_headers", "_json", "_lines", "_state", "app", "body", "client", "host",
        "http_version", "method", "params", "path", "query_string", "raw_path", "root_path", "routing_path", "scheme",
    )  # fmt: skip

    # Made when they are first asked for, and missing before.
    _headers: Headers
    _args: Args
    _cookies: dict[str, str]
    _state: SimpleNamespace
    _json: Any

    def __init__(
        self,
        method: str,
        target: str,
        lines: Sequence[tuple[bytes, bytes]] = (),
        body: bytes = b"",
        client: Address = NOBODY,
        scheme: str = "http",
        host: str = "",
        http_version: str = "1.1",
    ) -> None:
        self.method = method
        if "?" in target or "%" in target:
            self.raw_path, _, self.query_string = target.partition("?")
            self.routing_path = _decoded(self.raw_path)
            self.path = self.routing_path.replace(ENCODED_SLASH, "%2F")
        else:
            self.raw_path = self.routing_path = self.path = target
            self.query_string = ""
        self._lines = lines
        self.body = body
        self.client = client
        self.scheme = scheme
        self.host = host
        self.http_version = http_version
        self.root_path = ""
        self.params: dict[str, Any] = {}
        self.app: App | None = None

    @property
    def headers(self) -> Headers:
        """The header lines; names in lower case, values as Latin-1 text."""
        try:
            return self._headers
        except AttributeError:
            self._headers = Headers((name.decode("latin-1"), value.decode("latin-1")) for name, value in self._lines)
            return self._headers

    def lines_of(self, names: Container[bytes]) -> list[tuple[bytes, bytes]]:
        """The header lines with one of these names (lower case), as they came; for a look that costs little."""
        return [line for line in self._lines if line[0] in names]

    def mount(self, prefix: str) -> None:
        """Take the path as one below a prefix, whether the prefix is still there or a proxy has cut it off."""
        if self.raw_path == "*" or self.root_path:
            return
        if not f"{self.raw_path}/".startswith(f"{prefix}/"):
            self.raw_path = prefix + self.raw_path
        self.root_path = prefix
        self.routing_path = _decoded(self.raw_path[len(prefix) :] or "/")
        self.path = self.routing_path.replace(ENCODED_SLASH, "%2F")

    def compact(self, rule: str) -> None:
        """Take as little memory as can be, for a request that is kept for hours; nothing is lost by it.

        Args:
            rule: what its route's rule says: where that is its path, many connections have it in common.
        """
        if hasattr(self, "_headers"):
            del self._headers
        if self.raw_path == rule:
            self.raw_path = rule
        if "%" not in self.raw_path and not self.root_path:
            self.path = self.routing_path = self.raw_path
        if not isinstance(self._lines, _Packed):
            self._lines = _Packed(self._lines)

    @property
    def url(self) -> str:
        """The full URL as the client asked for it."""
        query = f"?{self.query_string}" if self.query_string else ""
        return f"{self.scheme}://{self.host}{self.raw_path}{query}"

    @property
    def args(self) -> Args:
        """The query, decoded."""
        try:
            return self._args
        except AttributeError:
            self._args = Args(_parse_query(self.query_string))
            return self._args

    @property
    def cookies(self) -> Mapping[str, str]:
        """The cookies by name; of two with one name the first counts (RFC 6265 section 5.4)."""
        try:
            return self._cookies
        except AttributeError:
            self._cookies = _parse_cookies(self.headers.getlist("cookie"))
            return self._cookies

    @property
    def is_secure(self) -> bool:
        """Whether the request came over TLS."""
        return self.scheme == "https"

    @property
    def state(self) -> SimpleNamespace:
        """A place for your own attributes while this request lasts."""
        try:
            return self._state
        except AttributeError:
            self._state = SimpleNamespace()
            return self._state

    @property
    def text(self) -> str:
        """The body as text, by the charset of Content-Type or as UTF-8.

        Raises ``HTTPError`` 400 where the bytes do not decode, 415 for a charset that is not supported.
        """
        charset = _charset(self.headers.get("content-type", ""))
        if charset not in _CHARSETS:
            raise HTTPError(415, f"unsupported charset {charset!r}")
        try:
            return self.body.decode(charset)
        except UnicodeDecodeError:
            raise HTTPError(400, f"the body is not valid {charset}") from None

    def json(self) -> Any:
        """The body parsed as JSON, whatever its Content-Type says. Raises ``HTTPError`` 400 if it is malformed."""
        try:
            return self._json
        except AttributeError:
            pass
        try:
            self._json = parse_json(self.body)
        except ValueError as error:
            raise HTTPError(400, f"the body is not valid JSON: {error}") from None
        return self._json

    def __repr__(self) -> str:
        # The path is decoded, and this goes into logs.
        return f"<Request {printable(self.method)} {printable(self.path)}>"


class _Packed(Sequence[tuple[bytes, bytes]]):
    """Header lines in one piece of memory."""

    __slots__ = ("_text",)

    def __init__(self, lines: Iterable[tuple[bytes, bytes]]) -> None:
        self._text = b"\n".join(name + b":" + value for name, value in lines)

    def _lines(self) -> list[tuple[bytes, bytes]]:
        pairs = (line.partition(b":") for line in self._text.split(b"\n") if line)
        return [(name, value) for name, _, value in pairs]

    def __getitem__(self, index: Any) -> Any:
        return self._lines()[index]

    def __len__(self) -> int:
        return len(self._lines())


def _decoded(path: str) -> str:
    # Decoded once, and as if after splitting: %2F stays inside its segment.
    if "%" not in path:
        return path
    return _unescaped(path.replace("%2F", ENCODED_SLASH).replace("%2f", ENCODED_SLASH))


def _unescaped(text: str) -> str:
    # As urllib's unquote, which takes milliseconds for some kB of percent signs that escape nothing.
    return _escapes().sub(_decode_escapes, text) if "%" in text else text


@cache
def _escapes() -> re.Pattern[str]:
    return re.compile("(?:%[0-9A-Fa-f]{2})+")


def _decode_escapes(match: re.Match[str]) -> str:
    return bytes.fromhex(match[0].replace("%", "")).decode(errors="replace")


def _parse_query(query: str) -> Iterator[tuple[str, str]]:
    for pair in query.replace("+", " ").split("&"):
        if pair:
            name, _, value = pair.partition("=")
            yield _unescaped(name), _unescaped(value)


def _charset(content_type: str) -> str:
    for part in content_type.split(";")[1:]:
        name, _, value = part.partition("=")
        if name.strip().lower() == "charset":
            return value.strip().strip('"').lower()
    return "utf-8"


def _parse_cookies(lines: list[str]) -> dict[str, str]:
    cookies: dict[str, str] = {}
    for pair in ";".join(lines).split(";"):
        name, found, value = pair.partition("=")
        if found and name.strip():
            cookies.setdefault(name.strip(), _unquoted(value.strip()))
    return cookies


def _unquoted(value: str) -> str:
    if len(value) < 2 or value[0] != '"' or value[-1] != '"':
        return value
    return re.compile(_QUOTED_PAIR).sub(lambda m: chr(int(m[1], 8)) if len(m[1]) == 3 else m[1], value[1:-1])
