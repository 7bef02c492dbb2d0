"""Whose peers are meant: addresses, networks and ``unix``, as the setting ``trusted_proxies`` writes them.

Text in, values out; nothing is looked up here.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import ipaddress

__all__ = ["LOCAL", "UNIX", "Networks", "client_network", "host_name", "is_loopback", "is_loopback_name", "parse_ip"]

UNIX = "unix"
# Who runs on this machine.
LOCAL = ("127.0.0.0/8", "::1", UNIX)

IP: TypeAlias = "ipaddress.IPv4Address | ipaddress.IPv6Address"

_LONGEST_IP = 64
_MOST_REMEMBERED = 4096


class Networks:
    """A set of peers.

    Args:
        texts: each an address (``10.0.0.7``, ``::1``), a network (``10.0.0.0/8``) or ``unix``, for the peers of Unix
            sockets.

    Raises ``ValueError`` saying which text is none of them.
    """

    __slots__ = ("_networks", "_remembered", "_unix")

    def __init__(self, texts: Iterable[str] = ()) -> None:
        named = list(texts)
        self._unix = UNIX in named
        self._networks = [_network(text) for text in named if text != UNIX]
        self._remembered: dict[str, bool] = {}

    def __bool__(self) -> bool:
        return self._unix or bool(self._networks)

    def hold(self, host: str, port: int) -> bool:
        """Whether a peer is one of them. A host that is no IP address, with port 0, is the peer of a Unix socket."""
        known = self._remembered.get(host)
        if known is None:
            if len(self._remembered) >= _MOST_REMEMBERED:
                self._remembered.clear()
            known = self._remembered[host] = self._find(host, port)
        return known

    def _find(self, host: str, port: int) -> bool:
        address = parse_ip(host)
        if address is None:
            return self._unix and port == 0
        return any(address.version == network.version and address in network for network in self._networks)


def parse_ip(text: str) -> IP | None:
    """The IP address that a text is, or None. One of IPv4 that is written as IPv6 (``::ffff:1.2.3.4``) is IPv4."""
    import ipaddress  # for few peers; `protocol.spare` has it loaded in time

    try:
        address = ipaddress.ip_address(text) if len(text) <= _LONGEST_IP else None
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def client_network(host: str) -> str:
    """Who is counted as one client: an IPv4 address, the /64 network of an IPv6 address, all peers of a Unix socket."""
    return host if ":" not in host else _ipv6_network(host)


@lru_cache(maxsize=1024)
def _ipv6_network(host: str) -> str:
    ip = parse_ip(host.partition("%")[0])
    if ip is None or ip.version == 4:
        return host if ip is None else str(ip)
    # The hosts of an IPv6 network choose their own last 64 bits (RFC 4291 section 2.5.1).
    return f"{type(ip)(int(ip) >> 64 << 64)}/64"


def is_loopback(text: str) -> bool:
    """Whether a text is a loopback address, of IPv4, IPv6 or the one written as the other."""
    address = parse_ip(text)
    return address is not None and address.is_loopback


def is_loopback_name(name: str) -> bool:
    """Whether a ``host_name`` means this machine wherever it is resolved (RFC 6761 section 6.3)."""
    return name == "localhost" or name.endswith(".localhost") or is_loopback(name)


def host_name(host: str) -> str:
    """The name or address in a Host, as it is compared: without port, brackets and a dot at its end, in lower case."""
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    if ":" in host:
        return str(parse_ip(host) or host)
    return host.lower().removesuffix(".")


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    import ipaddress  # where a setting names networks

    if text == "*":
        raise ValueError("'*' would believe everybody; write 0.0.0.0/0 and ::/0 if that is meant")
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no address, network or 'unix' ({error})") from None
