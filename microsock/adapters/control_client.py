"""Speaking to a running server over its control socket: ``publish``, ``status``, ``reload``, ``stop``.

Blocks, for a few seconds at most. Whoever is at the other end is asked for by the kernel before anything is said, and
what it answers is checked before anything is made of it. Knows nothing of what the server does with it.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import MicrosockError, Overloaded
from ..messages import Sendable, encode_message
from .control_path import found_path_of_port
from .peers import Peer, peer_of
from .processes import MAX_PID
from .untrusted import count_in, printable, read_object, text_in

__all__ = ["Control", "NoServer", "connected", "publish", "reload", "status", "stop"]

# For all of an exchange, however slowly the other end answers.
_SECONDS = 10.0
_CHUNK = 1 << 16
_LONGEST_ANSWER = 4 << 20


class NoServer(MicrosockError, ConnectionError):
    """Nobody answers at a control socket; the message says where."""


def publish(topic: str, data: Sendable, server: str | int | Path, *, retain: bool = False) -> None:
    """Send a message to all who follow a topic of a running server, from any other process of the same user.

    Args:
        topic: its name.
        data: as for ``App.publish``.
        server: the path of its control socket, or its port.
        retain: as for ``App.publish``.

    Raises ``TypeError`` or ``ValueError`` for what cannot be sent, ``Overloaded`` where the server is too far behind,
    ``MicrosockError`` where it refuses or is not to be trusted, and its subclass ``NoServer``, a ``ConnectionError``,
    where nobody answers.
    """
    message = encode_message(data)
    said = {"text": message} if isinstance(message, str) else {"base64": base64.b64encode(message).decode()}
    with connected(server) as control:
        control.ask("publish", topic=topic, retain=retain, **said)


def status(server: str | int | Path) -> dict[str, Any]:
    """What the server counts, as ``app.status`` gives it in JSON. Raises as ``publish``."""
    with connected(server) as control:
        found = control.ask("status").get("status")
        if not isinstance(found, dict):
            raise control.nonsense(f"its status is {found!r:.60}")
        return found


def reload(server: str | int | Path) -> str:
    """Have the server reload; gives in a few words what it does. Raises as ``publish``."""
    with connected(server) as control:
        answer = control.ask("reload")
        try:
            return printable(text_in(answer, "reloads"))
        except ValueError as error:
            raise control.nonsense(str(error)) from None


def stop(server: str | int | Path, kill: bool = False) -> int:
    """Have the server stop, with ``kill`` at once; gives the pid of what will end. Raises as ``publish``."""
    with connected(server) as control:
        return control.stop(kill)


class Control:
    """A connection to a control socket, for one question; all of it takes ten seconds at most.

    Attributes:
        path: of the socket.
        peer: who listens there, as the kernel says; of this user or root. None where it does not say.
    """

    def __init__(self, server: str | int | Path, path: Path, sock: socket.socket) -> None:
        self.path = path
        self._server = server
        self._sock = sock
        self._deadline = time.monotonic() + _SECONDS
        try:
            sock.settimeout(_SECONDS)
            sock.connect(str(path))
        except (OSError, ValueError) as error:
            raise self._no_server(error) from error
        # Asked of the connection, not of the path: that may have been replaced meanwhile.
        self.peer = peer_of(sock)
        _check_user(path, self.peer)

    @property
    def pid(self) -> int:
        """Who listens there; 0 where the kernel does not say."""
        return 0 if self.peer is None else self.peer.pid

    def ask(self, command: str, **request: object) -> dict[str, Any]:
        """Say it and give the answer. Raises what the server refuses with."""
        line = json.dumps({"command": command, **request}).encode() + b"\n"
        try:
            answer = read_object(self._exchanged(line), _LONGEST_ANSWER)
        except ValueError as error:
            raise self.nonsense(printable(str(error))) from None
        if answer.get("ok") is True:
            return answer
        if answer.get("ok") is not False:
            raise self.nonsense("it says neither that it was done nor that it was not")
        try:
            kind, reason = text_in(answer, "type"), printable(text_in(answer, "error"))
        except ValueError as error:
            raise self.nonsense(str(error)) from None
        raise _ERRORS.get(kind, MicrosockError)(reason)

    def stop(self, kill: bool = False) -> int:
        """Have the server stop, with ``kill`` at once; gives the pid of what will end: the kernel's word for it."""
        try:
            said = count_in(self.ask("stop", kill=kill), "pid", 1, MAX_PID)
        except ValueError as error:
            raise self.nonsense(str(error)) from None
        return self.pid or said

    def listens(self) -> bool:
        """Whether anybody listens at the path now."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.setblocking(False)
            try:
                probe.connect(str(self.path))
            except BlockingIOError:
                return True  # its backlog is full
            except OSError:
                return False
        return True

    def nonsense(self, why: str) -> MicrosockError:
        """The error for an answer that no server gives."""
        return MicrosockError(f"what answers at {self.path} is no microsock server: {why}")

    def _exchanged(self, line: bytes) -> bytes:
        answer, chunk = bytearray(), b""
        try:
            self._wait_no_longer()
            self._sock.sendall(line)
            while b"\n" not in chunk:
                self._wait_no_longer()
                chunk = self._sock.recv(_CHUNK)
                answer += chunk
                if len(answer) > _LONGEST_ANSWER:
                    raise ValueError(f"its answer is longer than {_LONGEST_ANSWER} bytes")
                if not chunk:
                    raise ConnectionError(f"it hung up {'in the middle of' if answer else 'without'} an answer")
        except OSError as error:
            raise self._no_server(error) from error
        return bytes(answer.partition(b"\n")[0])

    def _wait_no_longer(self) -> None:
        left = self._deadline - time.monotonic()
        if left <= 0.0:
            raise TimeoutError
        self._sock.settimeout(left)

    def _no_server(self, error: OSError | ValueError) -> NoServer:
        if isinstance(error, TimeoutError):
            # The kernel has taken the connection for it, so there is one.
            return NoServer(f"the server at {self.path} is there but does not answer: a handler may hold it")
        reason = getattr(error, "strerror", None) or str(error)
        if isinstance(self._server, int):
            return NoServer(f"no server at port {self._server} (no control socket answers at {self.path}: {reason})")
        return NoServer(f"no server at {self.path} ({reason})")


_ERRORS: dict[str, type[Exception]] = {"Overloaded": Overloaded, "ValueError": ValueError, "TypeError": TypeError}


@contextlib.contextmanager
def connected(server: str | int | Path) -> Iterator[Control]:
    """A connection to a server, by the path of its control socket or by its port, for a ``with`` block.

    Raises ``NoServer`` where nobody listens, and ``MicrosockError`` where it is somebody else's than this user's or
    root's: nothing is said to it, and whatever it says is not believed.
    """
    path = Path(found_path_of_port(server)) if isinstance(server, int) else Path(server)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        yield Control(server, path, sock)


def _check_user(path: Path, peer: Peer | None) -> None:
    user = os.lstat(path).st_uid if peer is None else peer.user
    if user not in (0, os.geteuid()):
        raise MicrosockError(
            f"what listens at {path} is user id {user}'s and not yours (user id {os.geteuid()}), so it is told "
            "nothing; speak to a server of that user as that user"
        )
