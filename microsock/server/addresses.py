"""Where to listen, as people write it: ``host``, ``host:port``, ``:port``, ``[::1]:port``, ``tcp://host:port``.

Text in, values out; nothing is looked up here.
"""

from __future__ import annotations

import re

from ..errors import BadSetting, SetupError
from ..request import Address

__all__ = ["DEFAULT_PORT", "parse_address", "shown"]

DEFAULT_PORT = 8080

_PLAIN = re.compile(r"(?:\[(?P<bracketed>[^\[\]/]+)\]|(?P<host>[^:\[\]/\s]*))(?::(?P<port>[0-9]{1,5}))?")
_BARE_IPV6 = re.compile(r"[0-9A-Fa-f.]*:[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*(?:%\w+)?")
_LATER = re.compile(r"unix:|(?:fd|tls|ssl)://")


def parse_address(text: str, port: int | None = None) -> Address:
    """The host and port that an address stands for; an empty host is every interface.

    Args:
        text: the address.
        port: the port if the address has none; 8080 if that is None too. 0 lets the system choose.

    Raises ``BadSetting`` for what does not parse, a port out of range and two ports that differ.
    """
    if _LATER.match(text):
        raise SetupError(f"address {text!r}: Unix sockets, inherited descriptors and TLS are not supported yet")
    host, own_port = _split(text)
    if own_port is not None and port is not None and own_port != port:
        raise BadSetting(f"address {text!r} says port {own_port} and port= says {port}; give one of them")
    return Address(host, _checked_port(own_port if own_port is not None else port))


def shown(address: Address) -> str:
    """An address as in a URL: an IPv6 address in brackets, every interface as ``*``."""
    host = f"[{address.host}]" if ":" in address.host else address.host or "*"
    return f"{host}:{address.port}"


def _split(text: str) -> tuple[str, int | None]:
    plain = text.removeprefix("tcp://")
    if _BARE_IPV6.fullmatch(plain):
        return plain, None
    match = _PLAIN.fullmatch(plain)
    if match is None or not plain:
        raise BadSetting(
            f"address {text!r} is not understood; expected host, host:port, :port, [::1]:port or tcp://host:port"
        )
    return match["bracketed"] or match["host"] or "", int(match["port"]) if match["port"] else None


def _checked_port(port: int | None) -> int:
    if port is None:
        return DEFAULT_PORT
    if isinstance(port, bool) or not isinstance(port, int) or not 0 <= port <= 65535:
        raise BadSetting(f"port is {port!r}; expected a number from 0 (any free port) to 65535")
    return port
