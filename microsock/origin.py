"""Which pages may open a WebSocket here: the same host's, and those that the route lists (RFC 6455 section 10.2)."""

from __future__ import annotations

from collections.abc import Collection

from .errors import HTTPError
from .request import Request

__all__ = ["OriginRefused", "check_origin"]

_PORTS = {"http": 80, "https": 443}


class OriginRefused(HTTPError):
    """The page is of another host."""


def check_origin(request: Request, allowed: Collection[str] | None) -> None:
    """Refuse a cross-origin handshake by ``HTTPError`` 403, two Origin lines by 400.

    A client that sends no Origin is no browser and is let through. ``allowed`` lists further origins
    (``https://example.org``, ``null``, or ``*`` for any) beside the request's own host.
    """
    origins = request.headers.getlist("origin")
    if not origins:
        return
    if len(origins) > 1:
        raise HTTPError(400, "more than one Origin")
    origin = origins[0]
    if allowed is not None and ("*" in allowed or origin in allowed):
        return
    if not _same_host(origin, request):
        raise OriginRefused(403, f"origin {origin!r} may not open a WebSocket here")


def _same_host(origin: str, request: Request) -> bool:
    from urllib.parse import urlsplit  # `protocol.spare` has it loaded in time

    try:
        ours, theirs = urlsplit(f"{request.scheme}://{request.host}"), urlsplit(origin)
        return theirs.scheme in _PORTS and _host_and_port(*ours[:2]) == _host_and_port(*theirs[:2])
    except ValueError:
        return False


def _host_and_port(scheme: str, netloc: str) -> tuple[str | None, int | None]:
    from urllib.parse import urlsplit

    parts = urlsplit(f"{scheme}://{netloc}")
    return parts.hostname, parts.port or _PORTS.get(scheme)
