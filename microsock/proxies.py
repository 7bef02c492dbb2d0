"""What a request's forwarded headers say, and whose word counts: that of the listed proxies, and nobody else's.

X-Forwarded-For, -Proto, -Host and Forwarded (RFC 7239) are read from right to left: each proxy writes at the right end,
so that what a client has made up itself stands behind the first hop that is not trusted, and is never read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice

from .log import logger
from .networks import LOCAL, Networks, parse_ip
from .request import Address, Request
from .settings import Settings

__all__ = ["Proxies"]

_FOR, _PROTO, _HOST, _FORWARDED = b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"forwarded"
_NAMES = frozenset((_FOR, _PROTO, _HOST, _FORWARDED))
_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
# As in Host, but for the characters that no real name has.
# Compiled where one is first needed, which most servers never come to; `re` keeps it.
_AUTHORITY = r"(?:[A-Za-z0-9\-._~]{1,255}|\[(?P<v6>[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:.]{1,40})\])(?::(?P<port>[0-9]{1,5}))?"
# One ``name=value`` of Forwarded, mirrored, since it is read from the right: possessive, so that it takes linear time.
_MIRRORED_PAIR = (
    r"""[ \t]*+(?:"(?P<quoted>[^"]*+)"|(?P<plain>[^",;= \t]*+))="""
    r"""(?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]++)[ \t]*+(?P<sep>[;,]|\Z)"""
)
_BRACKETED = r"\[(?P<host>[^\]]*:[^\]]*)\](?::(?P<port>.*))?"
_MIRRORED_NOTHING = r"[ \t]*+[,;]"
_LONGEST_HOP, _MOST_REMEMBERED = 64, 1024
# More proxies than this in a row is no installation but an attempt.
_MOST_HOPS = 64
# More than this in one Forwarded, pairs and empty elements together, is none either. Each costs a microsecond.
_MOST_PAIRS = 4 * _MOST_HOPS
# Without trusted proxies, so many requests are looked at for a sign that there should be some.
_FIRST_REQUESTS = 1000


class Proxies:
    """Sees to each request of a site before anything asks who it comes from.

    Args:
        settings: ``trusted_proxies``, ``behind_proxy`` and ``root_path`` count.

    Attributes:
        watching: whether ``look`` has anything to do; what serves without proxies is soon spared the call.
    """

    __slots__ = ("_left", "_root_path", "_said", "_trusted", "watching")

    def __init__(self, settings: Settings) -> None:
        self._trusted = Networks((*settings.trusted_proxies, *(LOCAL if settings.behind_proxy else ())))
        self._root_path = settings.root_path
        self._left = _FIRST_REQUESTS
        self._said: set[str] = set()
        self.watching = True

    def look(self, request: Request) -> None:
        """Put the real client, scheme and host into a request, and the path as the app knows it."""
        if self._root_path:
            request.mount(self._root_path)
        if self._trusted and self._trusted.hold(*request.client):
            self._believe(request)
        elif self._left:
            self._doubt(request)

    def origin_refused(self, request: Request) -> None:
        """A page was refused a WebSocket because its origin is not our host: say once what that often means."""
        origin = request.headers.get("origin", "")
        self._say_once(
            "origin",
            f"a page of {_shown(origin)} was refused a WebSocket, because it asked the host {_shown(request.host)} by "
            f"{request.scheme}. Behind a proxy, have it send X-Forwarded-Host and X-Forwarded-Proto and use "
            f"{_remedy(request.client)}; a page of another site goes into @app.websocket(…, origins=[…])",
        )

    # Those who are not believed.

    def _doubt(self, request: Request) -> None:
        self._left -= 1
        lines = request.lines_of(_NAMES)
        if lines:
            name, host = lines[0][0].decode().title(), request.client.host
            self._left = 0
            self._say_once(
                "doubt",
                f"{_shown(host)} sent {name}, which is ignored since nobody there is trusted; if that is your proxy, "
                f"use {_remedy(request.client)}",
            )
        if not self._left:
            self.watching = bool(self._trusted or self._root_path)

    def _say_once(self, what: str, message: str) -> None:
        if what not in self._said:
            self._said.add(what)
            logger.warning("%s", message)

    # Those who are.

    def _believe(self, request: Request) -> None:
        lines = request.lines_of(_NAMES)
        if not lines:
            return
        told: dict[bytes, str] = {}
        for name, value in lines:
            # Several lines of one name are one list (RFC 9110 section 5.3).
            text = value.decode("latin-1")
            told[name] = f"{told[name]},{text}" if name in told else text
        # Of the two families X-Forwarded counts, word by word: the proxy is to delete the one that it does not write.
        if _FORWARDED in told:
            self._warn_of_both(told)
            self._read_forwarded(request, told[_FORWARDED])
        if _FOR in told:
            self._set_client(request, (_hop(text) for text in _from_the_right(told[_FOR])))
        _set_scheme(request, _last(told.get(_PROTO, "")))
        _set_host(request, _last(told.get(_HOST, "")))

    def _warn_of_both(self, told: dict[bytes, str]) -> None:
        if len(told) > 1:
            self._say_once(
                "both",
                "requests come with Forwarded and with X-Forwarded headers; the latter are believed. Have the proxy "
                "delete those that it does not write itself, or clients can make them up",
            )

    def _set_client(self, request: Request, hops: Iterable[Address | None]) -> None:
        for hop in hops:
            if hop is None:  # unknown, or nonsense: so far and no further
                return
            request.client = hop
            if not self._trusted.hold(*hop):
                return

    def _read_forwarded(self, request: Request, text: str) -> None:
        for element in islice(_elements(text), _MOST_HOPS):
            hop = _hop(element.get("for", ""))
            # Each proxy tells of the request that it got itself: the farthest one that is trusted counts.
            _set_scheme(request, element.get("proto", ""))
            _set_host(request, element.get("host", ""))
            if hop is None:
                return
            request.client = hop
            if not self._trusted.hold(*hop):
                return


def _from_the_right(text: str) -> Iterator[str]:
    parts = text.rsplit(",", _MOST_HOPS)
    return (part for part in reversed(parts[-_MOST_HOPS:]) if part.strip())


def _last(text: str) -> str:
    return text[text.rfind(",") + 1 :].strip(" \t")


def _hop(text: str) -> Address | None:
    text = text.strip(" \t")
    hop = _hops.get(text)
    if hop is None and len(text) <= _LONGEST_HOP:
        hop = _read_hop(text)
        # What is no address may be anything, and is not to lie about.
        if hop is not None:
            if len(_hops) >= _MOST_REMEMBERED:
                _hops.clear()
            _hops[text] = hop
    return hop


_hops: dict[str, Address] = {}


def _read_hop(text: str) -> Address | None:
    # An address as proxies write it: 192.0.2.7, 192.0.2.7:4711, 2001:db8::7, [2001:db8::7]:4711.
    if text == "unix:":  # nginx's word for the peer of a Unix socket
        return Address("unix", 0)
    host, port = text, ""
    if bracketed := re.compile(_BRACKETED).fullmatch(text):
        host, port = bracketed["host"], bracketed["port"] or ""
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    # A zone means something on one machine only, and could be any text.
    address = None if "%" in host else parse_ip(host)
    return None if address is None else Address(str(address), _port(port))


def _port(text: str) -> int:
    number = int(text) if text.isascii() and text.isdecimal() and len(text) <= 5 else 0
    return number if number <= 65535 else 0


def _set_scheme(request: Request, word: str) -> None:
    request.scheme = _SCHEMES.get(word.lower(), request.scheme)


def _set_host(request: Request, text: str) -> None:
    authority = re.compile(_AUTHORITY).fullmatch(text)
    if authority is None or int(authority["port"] or 0) > 65535:
        return
    if authority["v6"] is None or parse_ip(authority["v6"]) is not None:
        request.host = text


def _elements(text: str) -> Iterator[dict[str, str]]:
    # Forwarded's elements, the last one first, up to the first that is malformed.
    mirrored, place = text[::-1], 0
    nothing_at, pair_at = re.compile(_MIRRORED_NOTHING).match, re.compile(_MIRRORED_PAIR).match
    element: dict[str, str] = {}
    for _ in range(_MOST_PAIRS):
        if place >= len(mirrored):
            return
        if nothing := nothing_at(mirrored, place):
            place = nothing.end()
            separator = nothing[0][-1]
        elif pair := pair_at(mirrored, place):
            place = pair.end()
            separator = pair["sep"] or ","
            value = pair["plain"] if pair["quoted"] is None else pair["quoted"]
            element.setdefault(pair["name"][::-1].lower(), value[::-1])
        else:
            return
        if separator == "," and element:
            yield element
            element = {}


def _remedy(client: Address) -> str:
    if Networks(LOCAL).hold(*client):
        return "--behind-proxy (or behind_proxy=True)"
    return f"--trusted-proxies {_shown(client.host)} (or trusted_proxies=[…])"


def _shown(text: str) -> str:
    # Peers must not be able to write lines of their own into the log.
    return ascii(text)[1:-1][:100]
