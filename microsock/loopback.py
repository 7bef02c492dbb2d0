"""Whether a request was made on this machine, for this machine: what pages with secrets ask before they answer.

Reads a request; knows no socket.
"""

from __future__ import annotations

import re

from .headers import Headers
from .networks import host_name, is_loopback, is_loopback_name
from .request import Request

__all__ = ["why_not_local"]

# Whoever sends one of these speaks for somebody else: proxies, and the networks that deliver content. By what their
# names have in common (X-Forwarded-For, CF-Connecting-IP, Fastly-Client-IP, X-Azure-ClientIP …) …
_FORWARDING_WORDS = re.compile(r"forwarded|(?:client|connecting|connection|real|remote|user)-?(?:ip|addr)")
# … and those that have a name of their own (Via: RFC 9110 section 7.6.3; CDN-Loop: RFC 8586).
_FORWARDING = frozenset((
    "via", "cdn-loop", "cf-ray", "cf-visitor", "fastly-ff", "fastly-ssl", "fly-region", "x-amz-cf-id",
    "x-amzn-trace-id", "x-arr-log-id", "x-azure-fdid", "x-azure-ref", "x-azure-socketip", "x-cloud-trace-context",
    "x-envoy-external-address", "x-host", "x-nf-request-id", "x-original-host", "x-original-proto", "x-scheme",
    "x-varnish", "x-vercel-id",
))  # fmt: skip
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(\[[^\]/]*\]|[^:/\[\]]*)(?::[0-9]*)?")


def why_not_local(request: Request) -> str:
    """Why a request may come from another machine; empty if it comes from this one.

    An address alone says little: to a server behind a proxy everybody is local, and so is a browser whose page has
    had its own name resolve to 127.0.0.1.
    """
    forwarded = _forwarding_header(request.headers)
    if forwarded:
        return f"a proxy has passed this request on ({forwarded})"
    if not is_loopback(request.client.host):
        return "this request does not come from a loopback address"
    # The target's host counts for the app; a proxy may have chosen by the other one.
    if not all(is_loopback_name(host_name(host)) for host in (request.host, *request.headers.getlist("host"))):
        return "its Host is not a name of the loopback"
    if not all(is_loopback_name(_name_in_origin(origin)) for origin in request.headers.getlist("origin")):
        return "a page of another site asks"
    return ""


def _forwarding_header(headers: Headers) -> str:
    return next((name for name, _ in headers.items() if _is_forwarding(name)), "")


def _is_forwarding(name: str) -> bool:
    # Some gateways write underscores for dashes.
    name = name.lower().replace("_", "-")
    return name in _FORWARDING or _FORWARDING_WORDS.search(name) is not None


def _name_in_origin(origin: str) -> str:
    match = _ORIGIN.fullmatch(origin.lower())
    return match[1].strip("[]") if match else ""
