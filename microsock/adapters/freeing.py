"""Whether a port is free, and how to free it from a microsock server that was left behind. From no other program.

A process that listens by microsock carries a mark for each socket, which others of the same user can see and which ends
with it (``mark``). So no file has to be found, believed and tidied up.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import time

from ..errors import BadSetting, BindError
from ..log import logger
from .identity import sockets_served
from .ports import Holder, Listening, listening_on
from .processes import Handle, begun, command_of, handle_of, owner_of, parent_of

__all__ = ["free_port_if_stuck", "is_port_free"]

# How long the kernel takes to close what a killed process, and its workers, had open.
_AFTER_KILL_SECONDS = 2.0
_POLL_SECONDS = 0.02
_ABSENT = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


def is_port_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen on a port now, by trying to. False also where this user may not.

    Args:
        port: 1 to 65535.
        host: an address or name, of which all addresses must be free; ``""`` is every interface.

    Raises ``BadSetting`` for what is no port, ``BindError`` for a host that is not one of this machine's.
    """
    return all(_can_bind(family, address, _checked(port)) for family, address in _local(host))


def free_port_if_stuck(port: int, host: str = "127.0.0.1", timeout: float = 5.0, kill: bool = False) -> bool:
    """Free a port from an earlier microsock server of this user; whoever else holds it is named in the log and kept.

    The server gets TERM and may drain; with ``kill`` it gets KILL when the time is over.

    Args:
        port: 1 to 65535.
        host: as for ``is_port_free``.
        timeout: seconds to wait until it has ended.
        kill: whether to end it then all the same.

    Returns whether the port is free now. Raises as ``is_port_free``.
    """
    deadline = time.monotonic() + timeout
    while not is_port_free(port, host):
        pid = _server_on(port, host)
        if pid is None:
            return False
        with handle_of(pid) as handle:
            # Asked once more, now that the number cannot come to mean another process.
            if handle is not None and _server_on(port, host) == pid:
                if not _end(handle, deadline, kill):
                    logger.warning("port %d: pid %d did not end in %g s; kill=True would end it", port, pid, timeout)
                    return False
                continue
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _end(handle: Handle, deadline: float, kill: bool) -> bool:
    with contextlib.suppress(ProcessLookupError):
        handle.send(signal.SIGTERM)
    if handle.ended(max(0.0, deadline - time.monotonic())):
        return True
    if kill:
        with contextlib.suppress(ProcessLookupError):
            handle.send(signal.SIGKILL)
    return kill and handle.ended(_AFTER_KILL_SECONDS)


# Who may be ended.


def _server_on(port: int, host: str) -> int | None:
    # The first of an earlier server's processes; None, and a line in the log, if it is anything else.
    found = [each for _, address in _local(host) for each in listening_on(port, address)]
    pids = {pid for each in found for pid in each.pids}
    if not pids:
        logger.warning("port %d is not free, and whose it is cannot be seen%s", port, _users(found))
        return None
    # The workers of a server leave with their parent.
    pid = min((pid for pid in pids if parent_of(pid) not in pids), default=min(pids))
    reason = _reason_to_keep(pid, pids, {each.inode for each in found})
    if reason:
        logger.warning("port %d is held by %s, %s: left alone", port, Holder(pid, command_of(pid)), reason)
        return None
    return pid


def _reason_to_keep(pid: int, pids: set[int], sockets: set[str]) -> str:
    if os.getpid() in pids or pid in _ancestors():
        return "to which this process belongs"
    if owner_of(pid) != os.geteuid():
        return "another user's"
    if not sockets & (sockets_served(pid) or set()):
        return "which is no microsock server"
    if not 0 < begun(pid) <= begun(os.getpid()):
        return "which was started later than this process"
    return ""


def _ancestors() -> set[int]:
    found: set[int] = set()
    pid = os.getppid()
    while pid and pid not in found:
        found.add(pid)
        pid = parent_of(pid)
    return found


def _users(found: list[Listening]) -> str:
    users = sorted({each.user for each in found})
    return f" (user id {', '.join(map(str, users))})" if users else ""


# Binding, to see whether one can.


def _can_bind(family: socket.AddressFamily, host: str, port: int) -> bool:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind((host, port))
    except OSError as error:
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            return False
        raise BindError(error.errno, f"cannot listen on {host}: {error.strerror}") from error
    return True


def _local(host: str) -> list[tuple[socket.AddressFamily, str]]:
    try:
        found = socket.getaddrinfo(host or None, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError) as error:
        raise BindError(f"{host!r} does not resolve: {error}") from error
    several = list(dict.fromkeys((family, str(where[0])) for family, _, _, _, where in found))
    # A name may have addresses of a kind that this machine does not speak (IPv6, mostly).
    return [each for each in several if len(several) == 1 or _is_present(*each)]


def _is_present(family: socket.AddressFamily, host: str) -> bool:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as sock:
            sock.bind((host, 0))
    except OSError as error:
        return error.errno not in _ABSENT
    return True


def _checked(port: int) -> int:
    if isinstance(port, bool) or not isinstance(port, int) or not 1 <= port <= 65535:
        raise BadSetting(f"port is {port!r}; expected a number from 1 to 65535")
    return port
