"""The rules that cross header lines: one Host, one length, no length beside chunked, a target of a known form.

h11 judges each line; this judges what they say together (RFC 9112 sections 3.2 and 6).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from sys import intern

from ..errors import RemoteProtocolError
from ..startup import NamedTuple

__all__ = ["Framing", "HeadParts", "checked_host", "examine", "split_head"]

_HOST = re.compile(
    r"(?:(?P<name>(?:[A-Za-z0-9\-._~!$&'()*+;=]|%[0-9A-Fa-f]{2})+)|\[(?P<v6>[0-9A-Fa-f:.]+)\])(?::(?P<port>[0-9]{0,5}))?"
)
# Compiled where one is first needed, which ordinary requests never come to; `re` keeps it.
_ABSOLUTE = r"(?i:https?)://([^/?#]*)([^#]*)"
_LENGTH = r"[0-9]{1,19}"
_METHODS = {method: method for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")}
_SINGLE = (b"host", b"content-length", b"transfer-encoding", b"expect")


class Framing(NamedTuple):
    """What the head says of the message as a whole."""

    target: str
    """The target in origin form, or ``*``."""
    host: str
    length: int
    """Bytes of a body with a known length; 0 where there is none or it is chunked."""
    chunked: bool
    expects_continue: bool


class HeadParts(NamedTuple):
    """A head in its parts; names of lines in lower case."""

    method: str
    target: str
    version: str
    lines: list[tuple[bytes, bytes]]


def split_head(head: bytes) -> HeadParts:
    """A head that the scanner has passed, in its parts; h11 is still to judge the lines."""
    request_line, *lines = head[:-4].split(b"\r\n")
    method, target, version = request_line.decode("ascii").split(" ")
    pairs = (line.partition(b":") for line in lines)
    # One text for each of the usual methods: a request may be kept for as long as its WebSocket is open. What a client
    # has made up is not interned, since Python 3.12 would keep it for ever.
    fields = [(name.lower(), value.strip(b" \t")) for name, _, value in pairs]
    return HeadParts(_METHODS.get(method, method), target, intern(version[5:]), fields)


def examine(method: str, target: str, version: str, lines: Iterable[tuple[bytes, bytes]]) -> Framing:
    """Judge a head by its lines (names in lower case). Raises ``RemoteProtocolError`` with the status."""
    values: dict[bytes, list[str]] = {name: [] for name in _SINGLE}
    for name, value in lines:
        if name in values:
            values[name].append(value.decode("latin-1"))
    host = _host(values[b"host"], version)
    chunked = _is_chunked(values[b"transfer-encoding"], version)
    length = _length(values[b"content-length"])
    if chunked and length is not None:
        raise RemoteProtocolError("Content-Length beside Transfer-Encoding (RFC 9112 section 6.1)")
    target, host = _target(method, target, host)
    expects = version == "1.1" and _expects_continue(values[b"expect"])
    return Framing(target, host, length or 0, chunked, expects)


def _host(values: list[str], version: str) -> str:
    if not values and version == "1.0":
        return ""
    if len(values) != 1:
        raise RemoteProtocolError("exactly one Host header is required (RFC 9112 section 3.2)")
    return checked_host(values[0])


@lru_cache(maxsize=256)
def checked_host(text: str) -> str:
    """A host, with or without a port, as it is. Raises ``RemoteProtocolError``."""
    match = _HOST.fullmatch(text) if len(text) <= 512 else None
    if match is None or int(match["port"] or 0) > 65535 or not _is_v6(match["v6"]):
        raise RemoteProtocolError("malformed Host")
    return text


def _is_v6(text: str | None) -> bool:
    if text is None:
        return True
    import ipaddress  # for few requests; `spare` has it loaded in time

    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def _target(method: str, target: str, host: str) -> tuple[str, str]:
    if method == "CONNECT":
        raise RemoteProtocolError("CONNECT is not implemented", 501)
    if target.startswith("/") and "#" not in target:
        return target, host
    if target == "*" and method == "OPTIONS":
        return target, host
    match = re.compile(_ABSOLUTE).fullmatch(target)
    if match is None:
        raise RemoteProtocolError("malformed request target")
    # The target's authority counts, not Host (RFC 9112 section 3.2.2).
    return _origin_form(method, match[2]), checked_host(match[1])


def _origin_form(method: str, rest: str) -> str:
    if not rest and method == "OPTIONS":
        return "*"
    return rest if rest.startswith("/") else "/" + rest


def _length(values: list[str]) -> int | None:
    if not values:
        return None
    if len(values) > 1 or not re.compile(_LENGTH).fullmatch(values[0]):
        raise RemoteProtocolError("malformed or repeated Content-Length")
    return int(values[0])


def _is_chunked(values: list[str], version: str) -> bool:
    if not values:
        return False
    if version == "1.0":
        raise RemoteProtocolError("Transfer-Encoding in HTTP/1.0 (RFC 9112 section 6.1)")
    codings = [coding.strip(" \t").lower() for coding in ",".join(values).split(",")]
    if len(values) > 1 or codings[-1] != "chunked" or codings.count("chunked") > 1:
        raise RemoteProtocolError("malformed Transfer-Encoding")
    if len(codings) > 1:
        raise RemoteProtocolError("no transfer coding but chunked is implemented", 501)
    return True


def _expects_continue(values: list[str]) -> bool:
    if not values:
        return False
    if len(values) > 1 or values[0].lower() != "100-continue":
        raise RemoteProtocolError("only Expect: 100-continue can be met", 417)
    return True
