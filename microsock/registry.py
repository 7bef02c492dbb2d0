"""Where handlers and hooks are registered: the decorators of an app.

Everything is checked as it comes, so that a mistake shows at the line that makes it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Concatenate, Never, TypeAlias, TypeVar, overload

from .errors import HTTPError
from .eventstream import Event, EventStream
from .guards import Guards
from .headers import HeaderSource
from .hooks import Hooks
from .request import Request
from .response import Pending, Response
from .routing import Route
from .rules import RuleLike
from .signatures import MISSING, check_call, check_given, check_parentheses
from .waits import Wait

if TYPE_CHECKING:
    from .websocket_route import WebSocketDecorator

__all__ = ["Registry", "Returned"]

Body: TypeAlias = (
    str
    | bytes
    | Mapping[Any, Any]
    | list[Any]
    | Iterator[str]
    | Iterator[bytes]
    | Iterator[Event]
    | Iterator[str | bytes | Event]
    | Generator[str | bytes | Event | Wait, Any, Any]
    | EventStream
)
Returned: TypeAlias = Response | Pending | Body | tuple[Body, int] | tuple[Body, int, HeaderSource]

E = TypeVar("E", bound=Exception)
V = TypeVar("V", bound=Returned)
Handler = TypeVar("Handler", bound=Callable[Concatenate[Request, ...], Returned])
Function = TypeVar("Function", bound=Callable[[], object])
ResponseHook = TypeVar("ResponseHook", bound=Callable[[Request, Response], Returned | None])


class Registry(Guards):
    """The routes and hooks of an app."""

    def __init__(self) -> None:
        super().__init__()
        self._hooks = Hooks()
        self.on_responses = self._hooks.response
        """The ``on_response`` functions, for the floors above."""

    # Routes. Each decorator gives the handler back as it was.

    def get(
        self, rule: RuleLike, *, max_body_size: int | None = None, blocking: bool = False, **_wrong: Never
    ) -> Callable[[Handler], Handler]:
        """Answer GET, and HEAD with it."""
        return self._route("get", rule, ("GET",), max_body_size, blocking, _wrong)

    def post(
        self, rule: RuleLike, *, max_body_size: int | None = None, blocking: bool = False, **_wrong: Never
    ) -> Callable[[Handler], Handler]:
        """Answer POST."""
        return self._route("post", rule, ("POST",), max_body_size, blocking, _wrong)

    def put(
        self, rule: RuleLike, *, max_body_size: int | None = None, blocking: bool = False, **_wrong: Never
    ) -> Callable[[Handler], Handler]:
        """Answer PUT."""
        return self._route("put", rule, ("PUT",), max_body_size, blocking, _wrong)

    def patch(
        self, rule: RuleLike, *, max_body_size: int | None = None, blocking: bool = False, **_wrong: Never
    ) -> Callable[[Handler], Handler]:
        """Answer PATCH."""
        return self._route("patch", rule, ("PATCH",), max_body_size, blocking, _wrong)

    def delete(
        self, rule: RuleLike, *, max_body_size: int | None = None, blocking: bool = False, **_wrong: Never
    ) -> Callable[[Handler], Handler]:
        """Answer DELETE."""
        return self._route("delete", rule, ("DELETE",), max_body_size, blocking, _wrong)

    def head(
        self, rule: RuleLike, *, max_body_size: int | None = None, blocking: bool = False, **_wrong: Never
    ) -> Callable[[Handler], Handler]:
        """Answer HEAD by itself, not by GET."""
        return self._route("head", rule, ("HEAD",), max_body_size, blocking, _wrong)

    def options(
        self, rule: RuleLike, *, max_body_size: int | None = None, blocking: bool = False, **_wrong: Never
    ) -> Callable[[Handler], Handler]:
        """Answer OPTIONS by itself, not by the list of methods."""
        return self._route("options", rule, ("OPTIONS",), max_body_size, blocking, _wrong)

    def trace(
        self, rule: RuleLike, *, max_body_size: int | None = None, blocking: bool = False, **_wrong: Never
    ) -> Callable[[Handler], Handler]:
        """Answer TRACE."""
        return self._route("trace", rule, ("TRACE",), max_body_size, blocking, _wrong)

    def route(
        self,
        rule: RuleLike,
        methods: Iterable[str] | str = ("GET",),
        *,
        max_body_size: int | None = None,
        blocking: bool = False,
        **_wrong: Never,
    ) -> Callable[[Handler], Handler]:
        """Answer several methods: ``["GET", "POST"]`` or ``"GET|POST"``, ``"*"`` for any.

        Args:
            rule: see ``microsock.rules``; the handler gets its parameters by keyword, behind the request.
            methods: names of methods, standard or not.
            max_body_size: bytes, instead of the setting; 413 past it.
            blocking: call the handler in the thread pool, so that others are served while it is slow; 503 where too
                many calls wait. Hooks stay on the loop, and a generator function is refused.
        """
        return self._route("route", rule, methods, max_body_size, blocking, _wrong)

    def _route(
        self,
        verb: str,
        rule: RuleLike,
        methods: Iterable[str] | str,
        max_body_size: int | None,
        blocking: bool,
        wrong: Mapping[str, object],
    ) -> Callable[[Handler], Handler]:
        _check_words(verb, rule, wrong, _ROUTE_KEYWORDS)

        def register(handler: Handler) -> Handler:
            self.add_route(rule, handler, methods, max_body_size=max_body_size, blocking=blocking)
            return handler

        return register

    def add_route(
        self,
        rule: RuleLike,
        handler: Callable[..., Returned],
        methods: Iterable[str] | str = ("GET",),
        *,
        max_body_size: int | None = None,
        blocking: bool = False,
        **_wrong: Never,
    ) -> None:
        """``route`` as a call. Raises ``BadRule`` or ``DuplicateRoute``."""
        _check_words("add_route", rule, _wrong, _ROUTE_KEYWORDS)
        self._add(Route(rule, handler, methods, max_body_size, blocking))

    def ping(self, path: str = "/ping") -> None:
        """Answer GET on a path with ``PONG``, for whoever watches whether the server lives."""
        route = Route(path, _pong)
        route.any_host = True  # whoever watches may know an address only
        self._add_exempt(route)

    def websocket(
        self,
        rule: RuleLike,
        *,
        origins: Iterable[str] | None = None,
        subprotocols: Iterable[str] = (),
        max_message_size: int | None = None,
        compression: bool | None = None,
        blocking: bool = False,
        **_wrong: Never,
    ) -> WebSocketDecorator:
        """Serve WebSockets: by a function, called for each message, or a generator function, run for each connection.

        Args:
            rule: as for ``route``.
            origins: pages that may connect beside the server's own: ``["https://example.org"]``; ``"*"`` in it for all.
            subprotocols: those spoken, the best first.
            max_message_size: bytes, instead of the setting; 1009 past it.
            compression: whether messages may be compressed (RFC 7692), instead of the setting.
            blocking: call the function in the thread pool, one message of a connection at a time; 1013 where too many
                calls wait.
        """
        from .websocket_route import WebSocketDecorator  # only where there is one

        options = {
            "origins": origins,
            "subprotocols": subprotocols,
            "max_message_size": max_message_size,
            "compression": compression,
            "blocking": blocking,
        }
        _check_words("websocket", rule, _wrong, options)
        return WebSocketDecorator(rule, self._add_websocket, options)

    # Hooks.

    @overload
    def error(self, key: type[E]) -> Callable[[Callable[[Request, E], V]], Callable[[Request, E], V]]: ...
    @overload
    def error(
        self, key: int | None = None
    ) -> Callable[[Callable[[Request, HTTPError], V]], Callable[[Request, HTTPError], V]]: ...
    @overload
    def error(self, key: Callable[[Request, HTTPError], V]) -> Callable[[Request, HTTPError], V]: ...
    def error(self, key: Any = None) -> Any:
        """Answer errors: ``@app.error(404)``, ``@app.error(ValueError)``, or ``@app.error`` for all others.

        The handler gets ``(request, error)``. For an ``HTTPError`` (``abort``, 404, 413 …) its status decides, then
        its class; for another exception its class, then 500. A handler for a class gets the exception itself, any
        other an ``HTTPError``, whose ``__cause__`` is the exception. An answer that names no status has the error's.
        """
        if callable(key) and not isinstance(key, type):
            self._hooks.add_error(None, key)
            return key

        def register(handler: Callable[..., Any]) -> Callable[..., Any]:
            self._hooks.add_error(key, handler)
            return handler

        return register

    def on_response(self, hook: ResponseHook = MISSING) -> ResponseHook:
        """Show every response, errors too, to ``hook(request, response)``, once; what it returns takes its place.

        A body takes the body's place; a Response or tuple the whole one's.
        """
        check_given(hook, "app.on_response")
        check_call(hook, ("request", "response"), (), "@app.on_response")
        self._hooks.response.append(hook)
        return hook

    def on_start(self, function: Function = MISSING) -> Function:
        """Call a function, without arguments, before a worker serves. What it raises stops the worker."""
        check_given(function, "app.on_start")
        check_call(function, (), (), "@app.on_start")
        self._hooks.start.append(function)
        return function

    def on_stop(self, function: Function = MISSING) -> Function:
        """Call a function, without arguments, when a worker has stopped serving."""
        check_given(function, "app.on_stop")
        check_call(function, (), (), "@app.on_stop")
        self._hooks.stop.append(function)
        return function


# What a route takes beside its rule.
_ROUTE_KEYWORDS = ("methods", "max_body_size", "blocking")


def _check_words(verb: str, rule: object, wrong: Mapping[str, object], known: Iterable[str]) -> None:
    # What the decorator was given, before its function comes.
    if wrong:
        from .mistakes import unknown_keyword  # for a mistake only, which ends the start

        raise unknown_keyword(verb, wrong, known)
    check_parentheses(verb, rule)


def _pong(request: Request) -> Response:
    return Response("PONG", content_type="text/plain; charset=utf-8")
