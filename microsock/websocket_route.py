"""A WebSocket route: the handler of a rule, its hooks, and what ``@app.websocket`` gives in its place.

Everything is checked while the app is put together; what drives a connection only reads what it finds here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar, overload

from .errors import BadRule, SetupError
from .headers import HeaderSource, MutableHeaders, is_token
from .messages import ANY, Sendable, expected_message
from .request import Request
from .rules import RuleLike, compile_rule
from .settings import checked
from .signatures import MISSING, check_call, check_given, checked_blocking, handler_name, is_generator, takes
from .waits import Wait
from .websocket import WebSocket

if TYPE_CHECKING:
    from .limits import Limit

__all__ = ["WebSocketDecorator", "WebSocketHooks", "WebSocketRoute"]

P = ParamSpec("P")
R = TypeVar("R")
U = TypeVar("U", bound=HeaderSource | None)
M = TypeVar("M", str, bytes, str | bytes, dict[str, Any], list[Any])

AnyCallable = Callable[..., Any]

# Scheme, host and port, no path (RFC 6454 section 6.2); browsers send them in lower case.
_ORIGIN = r"[a-z][a-z0-9+.-]*://[^/?#@\s]+|null|\*"

# What a 101 says or must not say beside its Sec-WebSocket lines (RFC 6455 section 4.2.2, RFC 9110 section 8.6).
_HANDSHAKE_LINES = ("connection", "content-length", "transfer-encoding", "upgrade")


class WebSocketHooks:
    """The functions around a handler; each is None until it is registered."""

    __slots__ = ("close", "error", "open", "upgrade")

    def __init__(self) -> None:
        self.upgrade: AnyCallable | None = None
        self.open: AnyCallable | None = None
        self.close: AnyCallable | None = None
        self.error: AnyCallable | None = None


class WebSocketRoute(Generic[P]):
    """What ``@app.websocket`` makes of a handler. Calling it calls the handler; its type knows the path parameters.

    Attributes:
        rule: which paths lead here.
        name: the handler's name.
        handler: a function called for each message, or a generator function run once for each connection.
        is_generator: which of the two it is.
        expects: what messages must be: ``any``, ``text``, ``binary`` or ``json``.
        read: turns a message into what the handler takes, or raises ``WebSocketClosed`` with the code to close with.
        origins: those let in beside the server's own, as ``scheme://host[:port]`` or ``null``; ``*`` for all.
        subprotocols: those spoken, the best first.
        max_message_size: bytes; None for the setting.
        compression: whether messages may be compressed; None for the setting.
        blocking: whether the function is called in the thread pool.
        hooks: the functions around the handler.
    """

    __slots__ = (
        "blocking", "compression", "expects", "handler", "hooks", "is_generator", "limits", "max_message_size", "name",
        "origins", "read", "rule", "subprotocols",
    )  # fmt: skip

    def __init__(
        self,
        rule: RuleLike,
        handler: AnyCallable,
        *,
        origins: Iterable[str] | None = None,
        subprotocols: Iterable[str] = (),
        max_message_size: int | None = None,
        compression: bool | None = None,
        blocking: bool = False,
    ) -> None:
        self.rule = compile_rule(rule)
        self.name = handler_name(handler)
        self.handler = handler
        self.is_generator = is_generator(handler)
        self._check_shape()
        expected = ANY if self.is_generator else expected_message(handler)
        self.expects = expected.kind
        self.read = expected.read
        self.origins = tuple(_origin(origin) for origin in _several("origins", origins or ()))
        self.subprotocols = tuple(_subprotocol(name) for name in _several("subprotocols", subprotocols))
        self.max_message_size = None if max_message_size is None else _size(max_message_size)
        self.compression = None if compression is None else _switch(compression)
        self.blocking = checked_blocking(blocking, handler)
        self.hooks = WebSocketHooks()
        self.limits: tuple[Limit, ...] = ()

    def __call__(self, ws: WebSocket, /, *args: Any, **params: Any) -> Any:
        """Call the handler itself."""
        return self.handler(ws, *args, **params)

    def on_upgrade(self, hook: Callable[Concatenate[Request, P], U] = MISSING) -> Callable[Concatenate[Request, P], U]:
        """Call a function before the connection becomes a WebSocket: ``(request, **params)``; it may ``abort``.

        What it returns, a mapping or ``(name, value)`` pairs, goes onto the 101 as header lines, cookies for example.
        """
        check_given(hook, f"{self.name}.on_upgrade")
        self._set("upgrade", hook, ("request",), self.rule.names)
        return hook

    def on_open(self, hook: Callable[Concatenate[WebSocket, P], R] = MISSING) -> Callable[Concatenate[WebSocket, P], R]:
        """Call a function when a WebSocket is open, before its first message: ``(ws, **params)``."""
        check_given(hook, f"{self.name}.on_open")
        self._set("open", hook, ("ws",), self.rule.names)
        return hook

    def on_close(self, hook: Callable[[WebSocket, int, str], R] = MISSING) -> Callable[[WebSocket, int, str], R]:
        """Call a function when a WebSocket has closed: ``(ws, code, reason)``; path parameters are in ``ws.params``."""
        check_given(hook, f"{self.name}.on_close")
        self._set("close", hook, ("ws", "code", "reason"))
        return hook

    def on_error(
        self, hook: Callable[[WebSocket, Exception], bool | None] = MISSING
    ) -> Callable[[WebSocket, Exception], bool | None]:
        """Call a function when the handler raised: ``(ws, error)``; if it returns True the WebSocket stays open."""
        check_given(hook, f"{self.name}.on_error")
        self._set("error", hook, ("ws", "error"))
        return hook

    def admit(self, request: Request) -> list[tuple[bytes, bytes]]:
        """Call ``on_upgrade``; gives the lines that it adds to the 101. Raises what it raises, and for a bad line."""
        hook = self.hooks.upgrade
        value = None if hook is None else hook(request, **request.params)
        if value is None:
            return []
        if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
            raise TypeError(
                f"on_upgrade {handler_name(hook)!r} returned {value!r:.60}; return None, or header lines as a mapping "
                "or (name, value) pairs"
            )
        return [_upgrade_line(name, text) for name, text in MutableHeaders(value).items()]

    def _check_shape(self) -> None:
        caller, names = f"WebSocket rule {self.rule.text!r}", self.rule.names
        shapes: tuple[tuple[str, ...], ...] = (("ws",), ("ws", "message"))
        given, other = shapes if self.is_generator else reversed(shapes)
        try:
            check_call(self.handler, given, names, caller)
        except BadRule as misfit:
            if not takes(self.handler, other, names):
                raise
            from .mistakes import two_shapes  # for a mistake only, which ends the start

            raise two_shapes(misfit, self.name, self.rule.text, names, self.is_generator) from None

    def _set(self, event: str, hook: AnyCallable, positional: tuple[str, ...], names: tuple[str, ...] = ()) -> None:
        check_call(hook, positional, names, f"on_{event} of WebSocket rule {self.rule.text!r}")
        earlier = getattr(self.hooks, event)
        if earlier is not None:
            raise SetupError(
                f"WebSocket rule {self.rule.text!r} has two on_{event} functions: "
                f"{handler_name(earlier)!r} and {handler_name(hook)!r}"
            )
        setattr(self.hooks, event, hook)

    def __repr__(self) -> str:
        return f"<WebSocketRoute {self.rule.text} {self.name}>"


class WebSocketDecorator:
    """What ``app.websocket(rule)`` returns: takes the handler, gives its ``WebSocketRoute``.

    ``add`` gets the finished route.
    """

    __slots__ = ("_add", "_options", "_rule")

    def __init__(self, rule: RuleLike, add: Callable[[WebSocketRoute[...]], None], options: dict[str, Any]) -> None:
        self._rule = rule
        self._add = add
        self._options = options

    @overload
    def __call__(self, handler: Callable[Concatenate[WebSocket, P], Iterator[Wait]], /) -> WebSocketRoute[P]: ...
    @overload
    def __call__(self, handler: Callable[Concatenate[WebSocket, M, P], Sendable | None], /) -> WebSocketRoute[P]: ...
    def __call__(self, handler: AnyCallable, /) -> WebSocketRoute[...]:
        """Register a handler of either shape. Raises ``BadRule`` if it does not fit its rule."""
        route: WebSocketRoute[...] = WebSocketRoute(self._rule, handler, **self._options)
        self._add(route)
        return route


def _upgrade_line(name: str, value: str) -> tuple[bytes, bytes]:
    word = name.lower()
    if word.startswith("sec-websocket-") or word in _HANDSHAKE_LINES:
        raise ValueError(f"on_upgrade returned a line {name}: that belongs to the handshake and the server's framing")
    return name.encode("ascii"), value.encode("latin-1")


def _several(option: str, values: Iterable[str]) -> Iterable[str]:
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise SetupError(f"{option} is {values!r}; expected a list or tuple of str, such as [{values!r}]")
    return values


def _origin(origin: str) -> str:
    if not isinstance(origin, str) or not re.compile(_ORIGIN).fullmatch(origin.lower()):
        raise SetupError(f"origin {origin!r} is not of the form 'https://example.com', 'null' or '*'")
    return origin.lower()


def _subprotocol(name: str) -> str:
    if not isinstance(name, str) or not is_token(name):
        raise SetupError(f"subprotocol {name!r} is not a token (RFC 6455 section 4.1)")
    return name


def _size(value: int) -> int:
    checked("max_message_size", value)
    return value


def _switch(value: bool) -> bool:
    checked("compression", value)
    return value
