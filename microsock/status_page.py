"""``app.status``: who may see the figures, and in which form: JSON, Prometheus' text, or a page for people.

Without a guard they are for this machine only, and a proxy on it must not make visitors of the whole world local.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable
from urllib.parse import urlsplit

from .errors import HTTPError
from .headers import Headers
from .prometheus import CONTENT_TYPE, exposition
from .request import Request
from .response import Response
from .signatures import check_call
from .status import Report
from .status_html import CONTENT_SECURITY_POLICY, PAGE

__all__ = ["Guard", "StatusPage", "why_not_local"]

Guard = Callable[[Request], bool]

_FORMATS = ("json", "prometheus", "html")
# Whoever sends one of these speaks for somebody else.
_FORWARDED = (
    "via", "x-real-ip", "x-client-ip", "x-cluster-client-ip", "cf-connecting-ip", "true-client-ip", "client-ip",
    "fastly-client-ip", "x-azure-clientip", "x-envoy-external-address",
)  # fmt: skip
_TYPES = {"json": "application/json", "prometheus": CONTENT_TYPE, "html": "text/html; charset=utf-8"}


class StatusPage:
    """The handler behind ``app.status``.

    Args:
        report: gives the figures.
        guard: says who may see them; None for this machine only.
    """

    def __init__(self, report: Callable[[], Report], guard: Guard | None = None) -> None:
        if guard is not None:
            check_call(guard, ("request",), (), "app.status(guard=)")
        self._report = report
        self._guard = guard
        self.__name__ = "status"

    def __call__(self, request: Request) -> Response:
        """Answer with the figures. Raises ``HTTPError`` 403 for who may not see them, 400 for a form there is not."""
        self._admit(request)
        form = _form(request)
        response = Response(self._body(form), content_type=_TYPES[form], headers=_HEADERS)
        if form == "html":
            response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        return response

    def _admit(self, request: Request) -> None:
        if self._guard is not None:
            if not self._guard(request):
                raise HTTPError(403)
        elif reason := why_not_local(request):
            raise HTTPError(403, f"this page is for its own machine only, and {reason}; see guard= of app.status")

    def _body(self, form: str) -> str:
        if form == "html":
            return PAGE
        report = self._report()
        return json.dumps(report) + "\n" if form == "json" else exposition(report)


_HEADERS = {"Cache-Control": "no-store", "Vary": "Accept", "X-Content-Type-Options": "nosniff"}


def _form(request: Request) -> str:
    given = request.args.get("format")
    if given is not None:
        if given not in _FORMATS:
            raise HTTPError(400, f"there is no format {given!r:.40}; there are {', '.join(_FORMATS)}")
        return given
    accept = request.headers.get("accept", "")
    if "text/html" in accept:
        return "html"
    return "prometheus" if "openmetrics-text" in accept or "text/plain" in accept else "json"


def why_not_local(request: Request) -> str:
    """Why a request may come from another machine; empty if it comes from this one.

    An address alone says little: to a server behind a proxy everybody is local, and so is a browser whose page has
    had its own name resolve to 127.0.0.1.
    """
    forwarded = _forwarding_header(request.headers)
    if forwarded:
        return f"a proxy has passed this request on ({forwarded})"
    if not _is_loopback(request.client.host):
        return "this request does not come from a loopback address"
    # The target's host counts for the app; a proxy may have chosen by the other one.
    if not all(_is_loopback_name(_host_of(host)) for host in (request.host, request.headers.get("host", ""))):
        return "its Host is not a name of the loopback"
    origin = request.headers.get("origin")
    if origin is not None and not _is_loopback_name(_host_of_origin(origin)):
        return "a page of another site asks"
    return ""


def _forwarding_header(headers: Headers) -> str:
    return next((name for name, _ in headers.items() if name in _FORWARDED or "forwarded" in name), "")


def _host_of_origin(origin: str) -> str:
    try:
        return urlsplit(origin).hostname or ""
    except ValueError:
        return ""


def _host_of(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _is_loopback_name(name: str) -> bool:
    name = name.lower().rstrip(".")
    return name == "localhost" or name.endswith(".localhost") or _is_loopback(name)


def _is_loopback(host: str) -> bool:
    # A Unix socket's peer has a path for a host, or nothing.
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)
