"""What an app puts in front of its routes: limits, and the routes by which clients connect and disconnect.

The other decorators are in ``registry``; what is registered here is applied by the ``gate``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, TypeVar, overload

from .clients import Client, Clients, connect_client, disconnect_client, tell_gone
from .errors import SetupError
from .rates import Rate
from .request import Request
from .routing import Route, Router
from .rules import RuleLike
from .signatures import check_call, check_parentheses, handler_name, is_generator

if TYPE_CHECKING:
    from .limits import Limit
    from .websocket_route import WebSocketRoute

__all__ = ["Guards"]

_METHODS = ("GET", "POST")

Limited = TypeVar("Limited", bound=Callable[..., Any])
# What they return: None or True, or a body; False or a Response refuses.
Connecting = TypeVar("Connecting", bound=Callable[[Client, Clients], object])
Disconnecting = TypeVar("Disconnecting", bound=Callable[[Client], object])


class Guards:
    """The part of an app's registry that decides who comes in.

    Attributes:
        router: all routes, HTTP and WebSocket.
        clients: those that are connected.
        gates: called when a route has got a limit, or all routes the rate that is given, while the app is served.
    """

    def __init__(self) -> None:
        self.router = Router()
        self.clients = Clients()
        self.gates: list[Callable[[Rate | None], None]] = []
        self._limited: list[tuple[Callable[..., Any], Limit]] = []
        self._goodbyes: list[Callable[[Client], Any]] = []
        self._lets_connect = False

    @property
    def has_limits(self) -> bool:
        """Whether any route has a limit of its own."""
        return bool(self._limited)

    @property
    def lets_connect(self) -> bool:
        """Whether there is a route by which clients connect."""
        return self._lets_connect

    def limit(
        self, rate: str | tuple[int, float], *, key: Callable[[Request], str] | None = None
    ) -> Callable[[Limited], Limited]:
        """Limit how often each client may call a route; 429 past it. It stands under the route's decorator.

        For a WebSocket, handshakes are counted. Several limits on one route all hold.

        Args:
            rate: ``"5/minute"``, ``"100/10s"``, or a number and seconds.
            key: ``key(request)`` gives a str that tells clients apart; by default their addresses, of IPv6 the /64.

        Raises ``SetupError`` for what is no rate, and where it stands above the route.
        """
        check_parentheses("limit", rate)
        from .limits import checked_limit

        limit = checked_limit(rate, key)

        def register(handler: Limited) -> Limited:
            self._refuse_late(handler)
            # Decorators are applied from below; people read, and clients are told, from above.
            self._limited.insert(0, (handler, limit))
            for changed in self.gates:
                changed(None)
            return handler

        return register

    def _refuse_late(self, handler: Any) -> None:
        from .websocket_route import WebSocketRoute

        served = [route.handler for route in self.router.routes] + [route.handler for route in self.router.websockets]
        if isinstance(handler, WebSocketRoute) or any(_leads_to(known, handler) for known in served):
            name = handler.name if isinstance(handler, WebSocketRoute) else handler_name(handler)
            raise SetupError(f"@app.limit stands above the route of {name!r}; put it under the route's decorator")

    def limits_of(self, handler: Callable[..., Any]) -> tuple[Limit, ...]:
        """The limits of a handler, also of one that ``functools.wraps`` or ``partial`` has put something around."""
        return tuple(limit for known, limit in self._limited if _leads_to(handler, known))

    @overload
    def connect(self, handler: Connecting) -> Connecting: ...
    @overload
    def connect(self, handler: None = None, *, path: RuleLike = "/connect") -> Callable[[Connecting], Connecting]: ...
    def connect(self, handler: Any = None, *, path: RuleLike = "/connect") -> Any:
        """Let clients connect by GET or POST of a path: ``@app.connect``, or ``@app.connect(path="/enter")``.

        The handler gets ``(client, clients)``: who asks (``client.request`` is what it sent) and all who are
        connected. False refuses with 403, a Response with that, ``abort`` with its status. With anything else the
        client is connected; a body is the answer.
        """
        return self._guard("connect", ("client", "clients"), path, handler)

    @overload
    def disconnect(self, handler: Disconnecting) -> Disconnecting: ...
    @overload
    def disconnect(
        self, handler: None = None, *, path: RuleLike = "/disconnect"
    ) -> Callable[[Disconnecting], Disconnecting]: ...
    def disconnect(self, handler: Any = None, *, path: RuleLike = "/disconnect") -> Any:
        """Let clients disconnect by GET or POST of a path: ``@app.disconnect``, or with ``path=``.

        The handler gets ``(client)``, once for each client that was connected; what it returns is the answer. When
        the server stops it is called for each client that is connected still, without a request, and so it is for one
        whose mark is dropped since too many are connected.
        """
        return self._guard("disconnect", ("client",), path, handler)

    def say_goodbye(self) -> None:
        """The server stops: disconnect all clients, each in one worker."""
        self.clients.leave(self._goodbyes)

    def client_dropped(self, client: Client) -> None:
        """A client is connected no more, since there was no room for so many."""
        tell_gone(self._goodbyes, client)

    def _guard(self, verb: str, positional: tuple[str, ...], path: RuleLike, handler: Any) -> Any:
        if handler is None:
            return partial(self._guard, verb, positional, path)
        if not callable(handler):
            raise SetupError(f"@app.{verb} takes a function, not {handler!r}; write @app.{verb}(path={handler!r})")
        check_call(handler, positional, (), f"@app.{verb}")
        if is_generator(handler):
            name = handler_name(handler)
            raise SetupError(f"@app.{verb} takes a plain function, and {name!r} is a generator function")
        serve = connect_client if verb == "connect" else disconnect_client

        @wraps(handler)
        def answer(request: Request) -> Any:
            return serve(self.clients, handler, request)

        self._add_exempt(Route(path, answer, _METHODS))
        if verb == "disconnect":
            self._goodbyes.append(handler)
        else:
            self._lets_connect = True
        return handler

    def _add_exempt(self, route: Route) -> None:
        route.exempt = True
        self._add(route)

    def _add(self, route: Route) -> None:
        route.limits = self.limits_of(route.handler)
        self.router.add(route)

    def _add_websocket(self, route: WebSocketRoute[...]) -> None:
        route.limits = self.limits_of(route.handler)
        self.router.add_websocket(route)


def _leads_to(handler: Any, wanted: Any) -> bool:
    while handler is not None:
        if handler == wanted:
            return True
        handler = handler.func if isinstance(handler, partial) else getattr(handler, "__wrapped__", None)
    return False
