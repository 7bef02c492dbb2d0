"""May this request run now: rate limits, and whether its client has connected. Asked before the body is read.

A site has a gate only where the app or its settings ask for one. Knows no connection and no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import blake2b  # which ``limits`` needs too, before the first request comes
from math import ceil
from typing import TYPE_CHECKING, Any

from .errors import HTTPError
from .failures import reraise_if_fatal
from .limits import Verdict, client_of, limit_lines
from .rates import Rate
from .request import Request
from .routing import Match, Route
from .signatures import handler_name
from .startup import NamedTuple
from .tally import Cell

if TYPE_CHECKING:
    from .site import Site

__all__ = ["Gate", "Permit"]


class Permit(NamedTuple):
    """What the gate says.

    Attributes:
        error: why the request may not run, None where it may.
        lines: header lines for the answer, whatever it is.
    """

    error: BaseException | None
    lines: list[tuple[str, str]]


class _Meter(NamedTuple):
    """One limit of a route: its name for people, the rate, the store's key but for who asks, and what tells that."""

    name: str
    rate: Rate
    scope: bytes
    key: Callable[[Request], str] | None


class Gate:
    """Keeps the limits of one site, as they are when it is made."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self._meters: dict[Any, tuple[_Meter, ...]] = {}

    def ask(self, request: Request, match: Match[Any], done: Callable[[Permit], None]) -> Permit | None:
        """Count a request. Its permit comes back at once, or None does: then it comes by ``done``, on the loop."""
        if match.params:
            request.params = match.params
        return _Asking(self, request, match.route, done).go_on()

    def meters(self, route: Any) -> tuple[_Meter, ...]:
        """What a request of a route counts against, the limit for all routes first."""
        found = self._meters.get(route)
        if found is None:
            found = self._meters[route] = tuple(self._made_meters(route))
        return found

    def _made_meters(self, route: Any) -> Iterator[_Meter]:
        rate = self.site.settings.rate_limit
        if rate is not None:
            yield _Meter("app", rate, _scope("", rate), None)
        if route is not None and route.limits:
            where = f"{'|'.join(route.methods)} {route.rule.text}" if isinstance(route, Route) else route.rule.text
            for number, limit in enumerate(route.limits, 1):
                name = "route" if number == 1 else f"route-{number}"
                # With the name: who is told apart by one key may be called as somebody by another.
                yield _Meter(name, limit.rate, _scope(f"{name} {where}", limit.rate), limit.key)

    def judge(self, request: Request, route: Any) -> Exception | None:
        """Whether a request that is within its limits must still be refused: its client has to connect first."""
        if not self.site.settings.connection_required or (isinstance(route, Route) and route.exempt):
            return None
        clients = self.site.app.clients
        if clients.of(request).key in clients:
            return None
        return HTTPError(400, "this client is not connected", type="NOT_CONNECTED")


class _Asking:
    """One request on its way through its limits, one after the other, up to the first that refuses it."""

    __slots__ = ("_asked", "_done", "_gate", "_meters", "_request", "_route", "_told")

    def __init__(self, gate: Gate, request: Request, route: Any, done: Callable[[Permit], None]) -> None:
        self._gate = gate
        self._request = request
        self._route = route
        self._done = done
        self._meters = gate.meters(route)
        self._asked = 0  # how many of them
        self._told: list[tuple[str, Rate, Verdict]] = []

    def go_on(self) -> Permit | None:
        """The permit, or None where a store has still to say something."""
        request, hit = self._request, self._gate.site.limits.hit
        try:
            for meter in self._meters[self._asked :]:
                self._asked += 1
                who = client_of(request.client).encode() if meter.key is None else _named(meter.key, request)
                verdict = hit(meter.scope + who, meter.rate, self._later)
                if verdict is None:
                    return None
                if not self._take(meter, verdict):
                    return self._refused(verdict)
            return self._permit(self._gate.judge(request, self._route))
        except BaseException as error:  # a key function's own
            reraise_if_fatal(error)
            return self._permit(error)

    def _later(self, verdict: Verdict) -> None:
        permit = self.go_on() if self._take(self._meters[self._asked - 1], verdict) else self._refused(verdict)
        if permit is not None:
            self._done(permit)

    def _take(self, meter: _Meter, verdict: Verdict) -> bool:
        if not verdict.away:
            self._told.append((meter.name, meter.rate, verdict))
        return verdict.allowed

    def _refused(self, verdict: Verdict) -> Permit:
        retry = [("Retry-After", str(max(1, ceil(verdict.reset_seconds))))]
        if verdict.away:
            return self._permit(HTTPError(503, "requests cannot be counted now", headers=retry))
        self._gate.site.tally.add(Cell.RATE_LIMITED)
        return self._permit(HTTPError(429, headers=retry))

    def _permit(self, error: BaseException | None) -> Permit:
        return Permit(error, limit_lines(self._told) if self._told else [])


def _named(key: Callable[[Request], str], request: Request) -> bytes:
    who = key(request)
    if not isinstance(who, str):
        raise TypeError(f"key {handler_name(key)!r} of @app.limit returned {who!r:.60}; return a str")
    # It may be a secret, an API key perhaps, and counts are kept for long.
    return blake2b(who.encode(errors="surrogatepass"), digest_size=16).digest()


def _scope(where: str, rate: Rate) -> bytes:
    # With the rate in it: one that is changed begins to count anew.
    return f"{where}\0{rate.limit}/{rate.seconds}\0".encode(errors="surrogatepass")
