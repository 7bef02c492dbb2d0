"""What systemd hands to a service and wants to hear from it: sockets, and its state (sd_listen_fds(3), sd_notify(3)).

Everything comes from the environment; without systemd nothing happens here. For the process that systemd started, not
for its workers.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Mapping

from ..errors import BindError

__all__ = ["Notifier", "descriptor_of", "inherited"]

_FIRST_DESCRIPTOR = 3


def inherited(environ: Mapping[str, str] = os.environ) -> list[str]:
    """Addresses (``fd://3``) of the sockets that were handed to this very process; none without socket activation."""
    return [f"fd://{number}" for number in _descriptors(environ)]


def descriptor_of(name: str, environ: Mapping[str, str] = os.environ) -> int:
    """The descriptor that ``fd://`` calls so: a number, or the ``FileDescriptorName=`` of a socket unit.

    Raises ``BindError`` if no socket of that name was handed over.
    """
    if name.isdecimal() and len(name) < 10:  # what a descriptor can be
        return int(name)
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    found = [number for number, its in zip(_descriptors(environ), names, strict=False) if its == name]
    if not found:
        known = f"; there are {', '.join(filter(None, names))}" if any(names) else ""
        raise BindError(f"cannot listen on fd://{name}: systemd handed over no socket of that name{known}")
    return found[0]


def _descriptors(environ: Mapping[str, str]) -> range:
    # Another process's variables, inherited by accident, are not meant for us.
    if environ.get("LISTEN_PID") != str(os.getpid()):
        return range(0)
    count = environ.get("LISTEN_FDS", "")
    return range(_FIRST_DESCRIPTOR, _FIRST_DESCRIPTOR + (int(count) if count.isdecimal() else 0))


class Notifier:
    """Tells systemd how the service is. Every call returns at once and never fails.

    Args:
        environ: where ``NOTIFY_SOCKET`` and ``WATCHDOG_USEC`` stand, if systemd wants to be told.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._path = environ.get("NOTIFY_SOCKET", "")
        self.watchdog_seconds = _half_of_watchdog(environ) if self._path else None
        """How often to call ``watchdog``: twice in the time after which systemd ends the service; None: never."""

    def ready(self, status: str = "") -> None:
        """All sockets accept, or a reload is done."""
        self._tell("READY=1", f"STATUS={status}" if status else "")

    def reloading(self) -> None:
        """A reload begins; ``ready`` says that it is done."""
        # Type=notify-reload tells by the time which reload this answers.
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """The service drains."""
        self._tell("STOPPING=1")

    def watchdog(self) -> None:
        """The service is alive."""
        self._tell("WATCHDOG=1")

    def _tell(self, *lines: str) -> None:
        if self._path[:1] not in ("/", "@"):
            return
        where = "\0" + self._path[1:] if self._path[0] == "@" else self._path
        message = "\n".join(filter(None, (line.replace("\n", " ") for line in lines)))
        # A manager that does not listen, or has no room, must not stop the service that it manages.
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.sendto(message.encode(), where)


def _half_of_watchdog(environ: Mapping[str, str]) -> float | None:
    micros, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not micros.isdecimal() or int(micros) == 0 or pid not in ("", str(os.getpid())):
        return None
    return int(micros) / 2_000_000
