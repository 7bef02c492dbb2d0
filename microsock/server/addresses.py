"""Where to listen, as people write it: ``host:port``, ``[::1]:port``, ``tls://…``, ``unix:/path``, ``fd://3``.

Text in, values out; nothing is looked up and no file touched here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..errors import BadSetting
from ..request import Address
from ..startup import NamedTuple

__all__ = ["DEFAULT_PORT", "Inherited", "Place", "TcpPlace", "UnixPlace", "parse_address", "parse_addresses", "shown"]

DEFAULT_PORT = 8080

# Compiled where one is first needed, which most servers never come to; `re` keeps it.
_PLAIN = r"(?:\[(?P<bracketed>[^\[\]/]+)\]|(?P<host>[^:\[\]/\s]*))(?::(?P<port>[0-9]{1,5}))?"
_BARE_IPV6 = r"[0-9A-Fa-f.]*:[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*(?:%\w+)?"
_SCHEME = r"(?P<name>tcp|tls|ssl|fd)://|unix:(?://(?=/))?"
_MODE = r"(?P<path>.*)\?mode=(?P<mode>[0-7]{3,4})"
_NAME = r"[0-9]{1,9}|[^\x00-\x20/:\x7f]{1,255}"
# What sockaddr_un holds on Linux, less the NUL (unix(7)).
_LONGEST_PATH = 107


class TcpPlace(NamedTuple):
    """A host, where empty is every interface, and a port; ``tls``: whether the address itself asks for TLS."""

    host: str
    port: int
    tls: bool = False


class UnixPlace(NamedTuple):
    """The path of a Unix socket; ``mode``: its permissions, None for what the umask leaves."""

    path: str
    mode: int | None = None


class Inherited(NamedTuple):
    """A socket that this process was started with: a descriptor's number, or the name that systemd gave it."""

    name: str


Place = TcpPlace | UnixPlace | Inherited


def parse_addresses(texts: str | Sequence[str], port: int | None = None) -> list[Place]:
    """The places that one or several addresses stand for; see ``parse_address``."""
    several = [texts] if isinstance(texts, str) else list(texts)
    if not several:
        raise BadSetting("there is no address to listen on; expected at least one")
    return [parse_address(text, port) for text in several]


def parse_address(text: str, port: int | None = None) -> Place:
    """The place that an address stands for.

    Args:
        text: the address.
        port: the port if the address has none; 8080 if that is None too. 0 lets the system choose.

    Raises ``BadSetting`` for what does not parse, a port out of range and two ports that differ.
    """
    if not isinstance(text, str):
        raise BadSetting(f"address {text!r} is not understood; expected a text")
    scheme = re.compile(_SCHEME).match(text) if ":" in text else None
    rest = text[scheme.end() :] if scheme else text
    if scheme and scheme["name"] in (None, "fd"):
        if port is not None:
            raise BadSetting(f"address {text!r} has no port, and port= says {port}; leave that out")
        return _unix(text, rest) if scheme["name"] is None else _inherited(text, rest)
    host, own_port = _split(text, rest)
    if own_port is not None and port is not None and own_port != port:
        raise BadSetting(f"address {text!r} says port {own_port} and port= says {port}; give one of them")
    tls = scheme is not None and scheme["name"] in ("tls", "ssl")
    return TcpPlace(host, _checked_port(own_port if own_port is not None else port), tls)


def shown(address: Address) -> str:
    """An address as in a URL: an IPv6 address in brackets, every interface as ``*``, a path behind ``unix:``."""
    if "/" in address.host:
        return f"unix:{address.host}"
    host = f"[{address.host}]" if ":" in address.host else address.host or "*"
    return f"{host}:{address.port}"


def _unix(text: str, rest: str) -> UnixPlace:
    with_mode = re.compile(_MODE).fullmatch(rest)
    path = with_mode["path"] if with_mode else rest
    if not path or "\0" in path or "?" in path:
        raise BadSetting(f"address {text!r} is not understood; expected unix:/path or unix:/path?mode=660")
    if len(path.encode()) > _LONGEST_PATH:
        raise BadSetting(f"address {text!r}: the path of a Unix socket has at most {_LONGEST_PATH} bytes")
    return UnixPlace(path, int(with_mode["mode"], 8) if with_mode else None)


def _inherited(text: str, rest: str) -> Inherited:
    if not re.compile(_NAME).fullmatch(rest):
        raise BadSetting(f"address {text!r} is not understood; expected fd://3, or fd://name for a systemd socket")
    return Inherited(rest)


def _split(text: str, plain: str) -> tuple[str, int | None]:
    if plain.count(":") > 1 and re.compile(_BARE_IPV6).fullmatch(plain):
        return plain, None
    match = re.compile(_PLAIN).fullmatch(plain)
    if match is None or not plain:
        raise BadSetting(
            f"address {text!r} is not understood; expected host, host:port, :port, [::1]:port, tcp://host:port, "
            "tls://host:port, unix:/path or fd://3"
        )
    return match["bracketed"] or match["host"] or "", int(match["port"]) if match["port"] else None


def _checked_port(port: int | None) -> int:
    if port is None:
        return DEFAULT_PORT
    if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= 65535:
        raise BadSetting(f"port is {port!r}; expected a number from 0 (any free port) to 65535")
    return port
