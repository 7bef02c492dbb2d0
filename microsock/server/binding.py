"""Binding: from an address to sockets that listen there, or to an error that names what stands in the way."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket

from ..adapters.ports import holder_of
from ..errors import BindError, PortInUseError
from ..request import Address
from .addresses import shown

__all__ = ["bind"]

logger = logging.getLogger("microsock")

# Two families want one free port: what is free for the first may be taken for the second.
_FREE_PORT_TRIES = 16
# One of a name's addresses may be of a kind that this machine does not have (IPv6, mostly).
_ABSENT = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)

Candidate = tuple[socket.AddressFamily, str]


def bind(address: Address, backlog: int) -> list[socket.socket]:
    """Sockets that listen on every address a host name stands for, all on one port; port 0 finds a free one.

    Raises ``PortInUseError`` naming the holder, or ``BindError``.
    """
    candidates = _resolve(address)
    for _ in range(_FREE_PORT_TRIES if address.port == 0 else 0):
        with contextlib.suppress(PortInUseError):
            return _bind_all(candidates, 0, backlog)
    return _bind_all(candidates, address.port, backlog)


def _resolve(address: Address) -> list[Candidate]:
    try:
        found = socket.getaddrinfo(address.host or None, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError) as error:
        reason = error.strerror if isinstance(error, socket.gaierror) else error
        raise BindError(f"cannot listen on {shown(address)}: the name does not resolve ({reason})") from error
    return list(dict.fromkeys((family, str(where[0])) for family, _, _, _, where in found))


def _bind_all(candidates: list[Candidate], port: int, backlog: int) -> list[socket.socket]:
    bound: list[socket.socket] = []
    absent: list[BindError] = []
    with contextlib.ExitStack() as undo:
        for family, host in candidates:
            try:
                sock = undo.enter_context(_bind_one(family, Address(host, port), backlog))
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


def _bind_one(family: socket.AddressFamily, address: Address, backlog: int) -> socket.socket:
    with contextlib.ExitStack() as undo:
        try:
            sock = undo.enter_context(socket.socket(family, socket.SOCK_STREAM))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                # IPv4 has a socket of its own, and a client's IPv4 address shows as one.
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.setblocking(False)
            sock.bind(address)
            sock.listen(backlog)
        except OSError as error:
            raise _bind_error(address, error) from error
        undo.pop_all()
    return sock


def _bind_error(address: Address, error: OSError) -> BindError:
    if error.errno == errno.EADDRINUSE:
        holder = holder_of(address.host, address.port)
        failure: BindError = PortInUseError(f"{shown(address)} is in use" + (f" by {holder}" if holder else ""))
    elif error.errno == errno.EACCES:
        needed = "ports below 1024 need root or CAP_NET_BIND_SERVICE"
        failure = BindError(f"cannot listen on port {address.port}: permission denied ({needed})")
    elif error.errno == errno.EADDRNOTAVAIL:
        failure = BindError(f"cannot listen on {shown(address)}: this machine does not have that address")
    else:
        failure = BindError(f"cannot listen on {shown(address)}: {os.strerror(error.errno or 0)}")
    failure.errno = error.errno
    return failure
