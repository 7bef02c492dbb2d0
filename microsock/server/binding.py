"""Binding: from addresses to sockets that listen there, or to an error that names what stands in the way.

Done once, by the process that owns the addresses: workers inherit what is bound here.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..adapters.mark import Mark
from ..errors import BadSetting, BindError, PortInUseError, SetupError
from ..log import logger
from ..request import Address
from ..settings import Settings
from ..startup import NamedTuple
from .addresses import Inherited, Place, TcpPlace, UnixPlace, parse_addresses, shown
from .options import NO_OPTIONS, Options
from .systemd import descriptor_of

if TYPE_CHECKING:
    from .certificates import Certificates
    from .unixsocket import Claim

__all__ = [
    "Bound",
    "address_of",
    "bind",
    "bind_all",
    "bind_places",
    "bound_to",
    "certificates_for",
    "loopback_names",
    "stream_socket",
]

# Two families want one free port: what is free for the first may be taken for the second.
_FREE_PORT_TRIES = 16
# One of a name's addresses may be of a kind that this machine does not have (IPv6, mostly).
_ABSENT = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)

Candidate = tuple[socket.AddressFamily, str]


class Bound:
    """One listening socket; several belong to one server.

    Attributes:
        sock: it, never blocking.
        certificates: for the TLS handshakes of its clients; None where it speaks plain HTTP.
        claim: the path of a Unix socket, for whoever must remove it.
        ours: whether we have bound it ourselves, so that it ends with us.
        name: the host that it was bound by; empty for a socket that came as one.
    """

    __slots__ = ("_mark", "_ours", "certificates", "claim", "name", "sock")

    def __init__(
        self,
        sock: socket.socket,
        certificates: Certificates | None = None,
        claim: Claim | None = None,
        *,
        ours: bool = False,
        name: str = "",
    ) -> None:
        self.sock = sock
        self.name = name
        self._ours = ours
        self.certificates = certificates
        self.claim = claim
        # So that ``free_port_if_stuck`` and ``stop`` know us from other programs.
        self._mark = Mark(sock)

    @property
    def address(self) -> Address:
        """Where it listens. A Unix socket has its path as ``host`` and port 0."""
        return address_of(self.sock)

    @property
    def url(self) -> str:
        """For people: ``http://127.0.0.1:8080``, ``https://…`` or ``unix:/path``."""
        where = shown(self.address)
        if self.sock.family == socket.AF_UNIX:
            return where
        return f"{'http' if self.certificates is None else 'https'}://{where}"

    def serve(self) -> None:
        """Say that this process is about to accept here; also by one that has inherited the socket."""
        self._mark.renew(self.sock)

    def queue_nobody(self) -> None:
        """Have the kernel take no more clients into the backlog, in all processes; who is in there stays.

        Else, while the backlog is emptied, more would come than can be answered in time. A socket that we were given
        outlives us, and stays as it is.
        """
        if self._ours:
            with contextlib.suppress(OSError):
                self.sock.listen(0)

    def close(self) -> None:
        """Stop listening; a path is removed by the process that bound it, and only while it is still its own."""
        # First the path: a client that comes in between finds nothing, and not somebody who is just leaving.
        if self.claim is not None:
            self.claim.remove()
        self._mark.close()
        self.sock.close()


def bind_all(
    addresses: str | Sequence[str], settings: Settings, *, port: int | None = None, options: Options = NO_OPTIONS
) -> list[Bound]:
    """Sockets that listen at all these addresses, each with what its clients' handshakes need.

    Args:
        addresses: in the forms that ``parse_address`` takes.
        settings: of them the backlog, ``reuse_port`` and TLS.
        port: for the addresses that have none.
        options: what has no setting.

    Raises ``BadSetting``, ``BindError`` or ``PortInUseError``; then nothing stays bound.
    """
    return bind_places(parse_addresses(addresses, port), settings, options)


def bind_places(places: Sequence[Place], settings: Settings, options: Options = NO_OPTIONS) -> list[Bound]:
    """``bind_all`` for addresses that are parsed already."""
    certificates = certificates_for(places, settings, options)
    only_some = any(isinstance(place, TcpPlace) and place.tls for place in places)
    with contextlib.ExitStack() as undo:
        bound: list[Bound] = []
        for place in places:
            secure = not only_some or (isinstance(place, TcpPlace) and place.tls)
            for each in _bind_place(place, settings, options):
                undo.callback(each.close)
                if secure and each.sock.family != socket.AF_UNIX:
                    each.certificates = certificates
                bound.append(each)
        undo.pop_all()
    return bound


def loopback_names(bound: Sequence[Bound]) -> list[str] | None:
    """The names that sockets were bound by, if all of them listen on loopback addresses; None otherwise."""
    if not all(each.sock.family != socket.AF_UNIX and _is_loopback(each.address.host) for each in bound):
        return None
    return [each.name for each in bound if each.name]


def stream_socket(sock: socket.socket) -> socket.socket:
    """The socket itself, if it is of a kind that can listen for HTTP; else ``SetupError``."""
    if sock.family not in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX) or sock.type != socket.SOCK_STREAM:
        raise SetupError(f"sock is {sock!r}; expected a TCP or Unix stream socket")
    return sock


def bound_to(sock: socket.socket, settings: Settings, options: Options = NO_OPTIONS) -> Bound:
    """A socket that the caller has bound already, made to listen. Raises ``BindError`` if it cannot."""
    tls = settings.ssl_certfile is not None and sock.family != socket.AF_UNIX
    bound = Bound(sock, _read(settings, options) if tls else None)
    sock.setblocking(False)
    try:
        sock.listen(settings.backlog)
    except OSError as error:
        raise _with_errno(BindError(f"cannot listen on {sock!r}: {os.strerror(error.errno or 0)}"), error) from error
    return bound


def address_of(sock: socket.socket) -> Address:
    """Where a socket is bound."""
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return Address(os.fsdecode(name), 0)
    return Address(name[0], name[1])


def bind(address: Address, backlog: int, *, reuse_port: bool = False, ipv6_only: bool = True) -> list[socket.socket]:
    """Sockets that listen on every address a host name stands for, all on one port; port 0 finds a free one.

    Raises ``PortInUseError`` naming the holder, or ``BindError``.
    """
    candidates = _resolve(address)
    if not ipv6_only and (socket.AF_INET6, "::") in candidates:
        # Its socket takes IPv4 too; one more for that could not be bound beside it.
        candidates = [candidate for candidate in candidates if candidate != (socket.AF_INET, "0.0.0.0")]
    manner = _Manner(backlog, reuse_port, ipv6_only)
    for _ in range(_FREE_PORT_TRIES if address.port == 0 else 0):
        with contextlib.suppress(PortInUseError):
            return _bind_each(candidates, 0, manner)
    return _bind_each(candidates, address.port, manner)


def _is_loopback(host: str) -> bool:
    # As getsockname() writes them; so the addresses need not be parsed, nor `ipaddress` be loaded for that.
    return host == "::1" or host.removeprefix("::ffff:").startswith("127.")


def certificates_for(places: Sequence[Place], settings: Settings, options: Options) -> Certificates | None:
    """What the handshakes of these addresses need; None where none speaks TLS. Raises ``BadSetting``."""
    if settings.ssl_certfile is not None:
        return _read(settings, options)
    tls = next((place for place in places if isinstance(place, TcpPlace) and place.tls), None)
    if tls is not None:
        where = shown(Address(tls.host, tls.port))
        raise BadSetting(f"address tls://{where} needs a certificate; set ssl_certfile (--ssl-certfile)")
    if settings.ssl_keyfile is not None or settings.ssl_ca_certs is not None or options.names:
        raise BadSetting("there is a TLS setting but no ssl_certfile; set that too, or none of them")
    return None


def _read(settings: Settings, options: Options) -> Certificates:
    # OpenSSL is loaded for those who use it; and what the first handshake needs, before there is one.
    from . import tls  # noqa: F401
    from .certificates import Certificates

    return Certificates(settings, options)


def _bind_place(place: Place, settings: Settings, options: Options) -> list[Bound]:
    if isinstance(place, UnixPlace):
        from .unixsocket import bind_unix

        sock, claim = bind_unix(place.path, place.mode, settings.backlog)
        return [Bound(sock, claim=claim, ours=True)]
    if isinstance(place, Inherited):
        return [Bound(_inherit(place, settings.backlog))]
    where = Address(place.host, place.port)
    sockets = bind(where, settings.backlog, reuse_port=settings.reuse_port, ipv6_only=options.ipv6_only)
    return [Bound(sock, ours=True, name=place.host) for sock in sockets]


def _inherit(place: Inherited, backlog: int) -> socket.socket:
    number = descriptor_of(place.name)
    try:
        with contextlib.ExitStack() as undo:
            sock = undo.enter_context(socket.socket(fileno=number))
            if sock.type != socket.SOCK_STREAM or sock.family not in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX):
                raise BindError(f"cannot listen on fd://{place.name}: it is no TCP or Unix stream socket")
            # Handlers may start programs of their own, which have no use for it.
            sock.set_inheritable(False)
            sock.setblocking(False)
            sock.listen(backlog)
            undo.pop_all()
            return sock
    except BindError:
        raise
    except OSError as error:
        reason = "this process was started with no such descriptor" if error.errno == errno.EBADF else error.strerror
        raise _with_errno(BindError(f"cannot listen on fd://{place.name}: {reason}"), error) from error


def _resolve(address: Address) -> list[Candidate]:
    # As bytes where it is plain ASCII: a text would have Python load the tables of international names.
    host: str | bytes = address.host.encode() if address.host.isascii() else address.host
    try:
        found = socket.getaddrinfo(host or None, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError) as error:
        reason = error.strerror if isinstance(error, socket.gaierror) else error
        raise BindError(f"cannot listen on {shown(address)}: the name does not resolve ({reason})") from error
    return list(dict.fromkeys((family, str(where[0])) for family, _, _, _, where in found))


class _Manner(NamedTuple):
    backlog: int
    reuse_port: bool
    ipv6_only: bool


def _bind_each(candidates: list[Candidate], port: int, manner: _Manner) -> list[socket.socket]:
    bound: list[socket.socket] = []
    absent: list[BindError] = []
    with contextlib.ExitStack() as undo:
        for family, host in candidates:
            try:
                sock = undo.enter_context(_bind_one(family, Address(host, port), manner))
            except BindError as error:
                if error.errno not in _ABSENT:
                    raise
                absent.append(error)
                continue
            bound.append(sock)
            port = sock.getsockname()[1]
        if not bound:
            raise absent[0]
        undo.pop_all()
    for reason in absent:
        logger.info("%s", reason)
    return bound


def _bind_one(family: socket.AddressFamily, address: Address, manner: _Manner) -> socket.socket:
    with contextlib.ExitStack() as undo:
        try:
            sock = undo.enter_context(socket.socket(family, socket.SOCK_STREAM))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if manner.reuse_port:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if family == socket.AF_INET6:
                # IPv4 has a socket of its own, and a client's IPv4 address shows as one.
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, manner.ipv6_only)
            sock.setblocking(False)
            sock.bind(address)
            sock.listen(manner.backlog)
        except OSError as error:
            raise _bind_error(address, error) from error
        undo.pop_all()
    return sock


def _bind_error(address: Address, error: OSError) -> BindError:
    if error.errno == errno.EADDRINUSE:
        from ..adapters.ports import holder_of  # the start ends here

        holder = holder_of(address.host, address.port)
        failure: BindError = PortInUseError(f"{shown(address)} is in use" + (f" by {holder}" if holder else ""))
    elif error.errno == errno.EACCES:
        needed = "ports below 1024 need root or CAP_NET_BIND_SERVICE"
        failure = BindError(f"cannot listen on port {address.port}: permission denied ({needed})")
    elif error.errno == errno.EADDRNOTAVAIL:
        failure = BindError(f"cannot listen on {shown(address)}: this machine does not have that address")
    else:
        failure = BindError(f"cannot listen on {shown(address)}: {os.strerror(error.errno or 0)}")
    return _with_errno(failure, error)


def _with_errno(failure: BindError, error: OSError) -> BindError:
    failure.errno = error.errno
    return failure
