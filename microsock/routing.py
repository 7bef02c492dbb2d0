"""Which route answers a path and method. Tables are filled when routes are added; a request only looks up.

Order: fixed paths before rules with parameters, a route for just this method before one for any, then the order of
registration; the rule None last of all.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Generic

from .errors import DuplicateRoute, SetupError
from .headers import is_token
from .rules import Rule, RuleLike, compile_rule
from .settings import checked
from .signatures import check_call, checked_blocking, handler_name
from .startup import NamedTuple

if TYPE_CHECKING:
    # Its default is for type checkers, which know this module without its being there.
    from typing_extensions import TypeVar

    from .limits import Limit
    from .websocket_route import WebSocketRoute

    R = TypeVar("R", default="Route")
else:
    from typing import TypeVar

    R = TypeVar("R")

__all__ = ["ANY_METHOD", "KNOWN_METHODS", "Kind", "Match", "Route", "Router"]

T = TypeVar("T")

ANY_METHOD = "*"
# What every request to a fixed path shares.
_NO_PARAMS: dict[str, Any] = {}
# What a server knows even where no route has it; anything else is 501 (RFC 9110 section 9.1).
KNOWN_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"))


class Kind(enum.Enum):
    """How a lookup ended."""

    FOUND = "found"
    REDIRECT = "redirect"
    WRONG_METHOD = "wrong method"
    UNKNOWN_METHOD = "unknown method"
    MISSING = "missing"


_FOUND = Kind.FOUND  # by name, since a member of an Enum takes ten times as long to look up


class Match(NamedTuple, Generic[R]):
    """What a lookup found.

    Attributes:
        kind: how it ended.
        route: the route, where it is FOUND.
        params: the path parameters by name; not to be changed, since requests may share it.
        allow: the methods that are answered, where it is WRONG_METHOD.
        location: where to go, where it is a REDIRECT.
    """

    kind: Kind
    route: R | None = None
    params: dict[str, Any] = {}
    allow: tuple[str, ...] = ()
    location: str = ""


class Route:
    """A rule, its methods and the handler that answers them.

    ``max_body_size`` is in bytes; None for the setting. ``blocking``: whether the handler is called in the thread pool.
    Raises ``BadRule`` for a handler that does not fit its rule.
    """

    __slots__ = (
        "any_host",
        "blocking",
        "exempt",
        "handler",
        "limits",
        "max_body_size",
        "methods",
        "name",
        "rule",
        "slow",
    )

    def __init__(
        self,
        rule: RuleLike,
        handler: Callable[..., Any],
        methods: Iterable[str] | str = ("GET",),
        max_body_size: int | None = None,
        blocking: bool = False,
    ) -> None:
        self.rule = compile_rule(rule)
        self.name = handler_name(handler)
        self.methods = _checked_methods(methods)
        self.handler = handler
        self.max_body_size = max_body_size
        if max_body_size is not None:
            checked("max_body_size", max_body_size)
        check_call(handler, ("request",), self.rule.names, f"rule {self.rule.text!r}")
        self.blocking = checked_blocking(blocking, handler)
        self.limits: tuple[Limit, ...] = ()
        self.exempt = False  # from connection_required
        self.any_host = False  # whether it answers where allowed_hosts does not have the request's
        self.slow = False
        """Whether the last call of its handler took long, as far as that is looked at."""

    def __repr__(self) -> str:
        return f"<Route {'|'.join(self.methods)} {self.rule.text} {self.name}>"


def _checked_methods(methods: Any) -> tuple[str, ...]:
    if isinstance(methods, bytes) or not isinstance(methods, Iterable):
        raise SetupError(f"methods is {methods!r:.60}; expected a list like ['GET', 'POST'], 'GET|POST' or '*' for any")
    given = methods.split("|") if isinstance(methods, str) else list(methods)
    for method in given:
        if not isinstance(method, str) or not is_token(method.strip()):
            raise SetupError(
                f"{method!r} is no method; expected a list like ['GET', 'POST'], 'GET|POST' or '*' for any"
            )
    if not given:
        raise SetupError("methods is empty; expected a list like ['GET', 'POST'], 'GET|POST' or '*' for any")
    return tuple(dict.fromkeys(method.strip().upper() for method in given))


class _Paths(Generic[T]):
    """Things by their rules: fixed paths, rules in the order in which they are tried, and the rule None apart."""

    __slots__ = ("_by_head", "_headless", "every", "fixed")

    def __init__(self) -> None:
        self.every: T | None = None
        self.fixed: dict[str, T] = {}
        # Rules by their first segment where it is fixed; each list holds the rules without one too, in order.
        self._headless: list[tuple[Rule, T]] = []
        self._by_head: dict[str, list[tuple[Rule, T]]] = {}

    def add(self, rule: Rule, thing: T) -> None:
        if rule.is_every:
            self.every = thing
        elif rule.is_static:
            self.fixed[rule.text] = thing
        elif rule.head is not None:
            self._by_head.setdefault(rule.head, self._headless.copy()).append((rule, thing))
        else:
            for rules in (self._headless, *self._by_head.values()):
                rules.append((rule, thing))

    def candidates(self, path: str) -> list[tuple[Rule, T]]:
        return self._by_head.get(path[1:].partition("/")[0], self._headless)

    def matching(self, path: str) -> Iterator[tuple[T, dict[str, Any]]]:
        if path in self.fixed:
            yield self.fixed[path], _NO_PARAMS
        for rule, thing in self.candidates(path):
            params = rule.match(path)
            if params is not None:
                yield thing, params


class _Resource:
    """The routes of one rule by method. HEAD is answered by GET unless it has its own (RFC 9110 section 9.3.2)."""

    __slots__ = ("any", "routes")

    def __init__(self) -> None:
        self.routes: dict[str, Route] = {}
        self.any: Route | None = None

    def add(self, route: Route) -> None:
        for method in route.methods:
            if method == ANY_METHOD:
                self.any = route
            else:
                self.routes[method] = route
        if "GET" in route.methods:
            self.routes.setdefault("HEAD", route)

    def find(self, method: str) -> Route | None:
        return self.routes.get(method) or self.any


class Router:
    """All routes of an app.

    Attributes:
        routes: the HTTP routes in order of registration.
        websockets: the WebSocket routes likewise.
    """

    __slots__ = ("_names", "_paths", "_resources", "_sockets", "exact", "routes", "websockets")

    def __init__(self) -> None:
        self.routes: list[Route] = []
        self.websockets: list[WebSocketRoute[...]] = []
        self._names: dict[tuple[str, str], str] = {}
        self._resources: dict[str, _Resource] = {}
        self._paths: _Paths[_Resource] = _Paths()
        self._sockets: _Paths[WebSocketRoute[...]] = _Paths()
        self.exact: dict[tuple[str, str], Match[Route]] = {}
        """What is found at once, by method and fixed path; ``match`` asks it first."""

    def add(self, route: Route) -> None:
        """Add a route. Raises ``DuplicateRoute`` if another answers the same rule and method."""
        for method in route.methods:
            self._check_free(method, route.rule, route.name, f"routes for {method}")
        for method in route.methods:
            self._names[method, route.rule.shape] = route.name
        self.routes.append(route)
        resource = self._resource(route.rule)
        resource.add(route)
        if route.rule.is_static:
            for method, owner in resource.routes.items():
                self.exact[method, route.rule.text] = Match(_FOUND, owner)

    def add_websocket(self, route: WebSocketRoute[...]) -> None:
        """Add a WebSocket route. Raises ``DuplicateRoute`` if its rule has one."""
        self._check_free("WebSocket", route.rule, route.name, "WebSocket routes for")
        self._names["WebSocket", route.rule.shape] = route.name
        self.websockets.append(route)
        self._sockets.add(route.rule, route)

    def match(self, method: str, path: str, raw_path: str = "", query: str = "") -> Match[Route]:
        """The route for a method and a routing path; ``raw_path`` and ``query``, as they came, for a redirect."""
        return self.exact.get((method, path)) or self.search(method, path, raw_path, query)

    def websocket(self, path: str) -> Match[WebSocketRoute[...]]:
        """The WebSocket route for a routing path: FOUND or MISSING."""
        for route, params in self._sockets.matching(path):
            return Match(_FOUND, route, params)
        if self._sockets.every is not None:
            return Match(_FOUND, self._sockets.every)
        return Match(Kind.MISSING)

    def search(self, method: str, path: str, raw_path: str, query: str) -> Match[Route]:
        """``match`` for what is not in ``exact``."""
        if path == "*":  # asks about the server as a whole (RFC 9110 section 9.3.7)
            return Match(Kind.WRONG_METHOD, allow=_allow(self._resources.values()))
        found, passed = self._find(method, path)
        if found is not None:
            return found
        if not passed and self._is_other(path, raw_path):
            return Match(Kind.REDIRECT, location=_toggled(raw_path) + (f"?{query}" if query else ""))
        if self._paths.every is not None:
            passed.append(self._paths.every)
            route = self._paths.every.find(method)
            if route is not None:
                return Match(_FOUND, route)
        if method not in KNOWN_METHODS and not any(method in route.methods for route in self.routes):
            return Match(Kind.UNKNOWN_METHOD)
        return Match(Kind.WRONG_METHOD, allow=_allow(passed)) if passed else Match(Kind.MISSING)

    def _find(self, method: str, path: str) -> tuple[Match[Route] | None, list[_Resource]]:
        # The match, and the resources that the path has but that do not answer this method. A fixed path with a
        # route for just this method does not come here: it stands in exact.
        fixed = self._paths.fixed.get(path)
        passed = [] if fixed is None else [fixed]
        if fixed is not None and fixed.any is not None:
            return Match(_FOUND, fixed.any), passed
        fallback: Match[Route] | None = None
        for rule, resource in self._paths.candidates(path):
            params = rule.match(path)
            if params is None:
                continue
            route = resource.routes.get(method)
            if route is not None:
                return Match(_FOUND, route, params), passed
            passed.append(resource)
            if resource.any is not None and fallback is None:
                fallback = Match(_FOUND, resource.any, params)
        return fallback, passed

    def _is_other(self, path: str, raw_path: str) -> bool:
        # Never for what a browser would take for another host: //evil.example, /\evil.example.
        if len(path) < 2 or raw_path[1:2] in ("/", "\\"):
            return False
        return next(self._paths.matching(_toggled(path)), None) is not None

    def _resource(self, rule: Rule) -> _Resource:
        # By text, not by shape: rules of one shape may call their parameters differently.
        key = f"{rule.shape} {rule.text}"
        if key not in self._resources:
            self._resources[key] = _Resource()
            self._paths.add(rule, self._resources[key])
        return self._resources[key]

    def _check_free(self, method: str, rule: Rule, name: str, what: str) -> None:
        earlier = self._names.get((method, rule.shape))
        if earlier is not None:
            raise DuplicateRoute(f"two {what} {rule.text}: {earlier!r} and {name!r}")


def _toggled(path: str) -> str:
    """``/a/`` for ``/a`` and the other way round."""
    return path[:-1] if path.endswith("/") else path + "/"


def _allow(resources: Iterable[_Resource]) -> tuple[str, ...]:
    methods = {"OPTIONS"}
    for resource in resources:
        methods.update(resource.routes)
        if resource.any is not None:
            methods |= KNOWN_METHODS
    return tuple(sorted(methods))
