"""How many connections each address has, where ``max_connections_per_address`` bounds them.

Loaded only where it does. Knows no socket.
"""

from __future__ import annotations

import ipaddress  # noqa: F401 - for ``limits``, before the first client comes

from ..limits import client_of
from ..request import Address

__all__ = ["REFUSAL", "AddressLimit"]

REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 43\r\n"
    b"Retry-After: 1\r\nConnection: close\r\n\r\n503 too many connections from this address\n"
)
"""What a client past the limit is told, where it speaks plain HTTP."""


class AddressLimit:
    """Counts the open connections of each address: of an IPv4 address, of the /64 network of an IPv6 address.

    Those that come over Unix sockets have no address and are not counted.

    Args:
        most: how many connections one address may have.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._counts: dict[str, int] = {}

    def admit(self, client: Address) -> bool:
        """A client has connected; tells whether it may stay. Who may is to be ``released``."""
        if _is_local(client):
            return True
        key = client_of(client)
        count = self._counts.get(key, 0)
        if count >= self._most:
            return False
        self._counts[key] = count + 1
        return True

    def released(self, client: Address) -> None:
        """One that was admitted has closed."""
        if _is_local(client):
            return
        key = client_of(client)
        count = self._counts[key] - 1
        if count:
            self._counts[key] = count
        else:
            del self._counts[key]

    def __len__(self) -> int:
        return len(self._counts)


def _is_local(client: Address) -> bool:
    # A TCP peer's port is never 0.
    return client.port == 0
