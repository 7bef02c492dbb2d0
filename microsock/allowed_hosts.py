"""The hosts that a site answers for: the setting ``allowed_hosts``, and what holds without it on the loopback.

A page elsewhere can have its own name resolve to 127.0.0.1 (DNS rebinding). A browser then lets it read what a server
on its user's machine says; but it sends that name as Host, and so it is told from the user.
"""

from __future__ import annotations

from collections.abc import Iterable

from .errors import HTTPError
from .log import logger, printable
from .networks import host_name, is_loopback_name
from .settings import Settings

__all__ = ["AllowedHosts", "allowed_hosts"]

# A server is known by few names; of a whole domain they may be many.
_MOST_REMEMBERED = 64
_HOUR = 3600.0


def allowed_hosts(settings: Settings, own_names: Iterable[str] | None) -> AllowedHosts | None:
    """What a site asks of each request's host; None where it answers for any.

    Args:
        settings: ``allowed_hosts``, ``trusted_proxies`` and ``behind_proxy`` count.
        own_names: where everything that is listened on is a loopback address: the names that it was given by.
    """
    names = settings.allowed_hosts
    if names is not None:
        return None if "*" in names else AllowedHosts(names)
    if own_names is None or settings.trusted_proxies or settings.behind_proxy:
        return None
    return AllowedHosts(own_names, loopback=True)


class AllowedHosts:
    """Tells hosts that a site answers for from others.

    Args:
        names: each the name of a host or its address; ``.example.org`` is that and all names below.
        loopback: whether ``localhost``, ``*.localhost`` and loopback addresses are among them.

    Attributes:
        known: hosts as they came that were found to be among them, the last few; for a look that costs little.
    """

    __slots__ = ("_domains", "_loopback", "_names", "_next_line", "known")

    def __init__(self, names: Iterable[str], *, loopback: bool = False) -> None:
        given = list(names)
        self._domains = tuple(f".{host_name(name[1:])}" for name in given if name.startswith("."))
        self._names = {host_name(name.removeprefix(".")) for name in given}
        if loopback:
            self._names |= {"localhost", "127.0.0.1", "::1"}  # the usual ones, for which no address need be parsed
        self._loopback = loopback
        self._next_line = 0.0
        self.known: set[str] = set()

    def permit(self, host: str) -> bool:
        """Whether a request's host (empty where an HTTP/1.0 client has named none) is among them."""
        if host in self.known:
            return True
        name = host_name(host)
        if host and not self._has(name):
            return False
        if len(self.known) >= _MOST_REMEMBERED:
            self.known.clear()
        self.known.add(host)
        return True

    def _has(self, name: str) -> bool:
        return name in self._names or name.endswith(self._domains) or (self._loopback and is_loopback_name(name))

    def refusal(self, host: str, now: float) -> HTTPError:
        """The answer to a request for another host; the log says so too, once an hour."""
        name = printable(host_name(host))
        remedy = f"give --allowed-hosts {name} (or allowed_hosts=[{name!r}])"
        if self._loopback:
            remedy = f"ask for localhost, or {remedy}; behind a proxy, --behind-proxy"
        if now >= self._next_line:
            self._next_line = now + _HOUR
            logger.warning("a request for the host %s was refused (421); if it is yours: %s", name, remedy)
        return HTTPError(421, f"this server does not answer for {name}. If it is yours: {remedy}")
