"""Speaking to a running server over its control socket: ``publish``, ``status``, ``reload``, ``stop``.

Blocks, for a few seconds at most. Knows nothing of what the server does with it.
"""

from __future__ import annotations

import base64
import json
import socket
from pathlib import Path
from typing import Any

from ..errors import MicrosockError, Overloaded
from ..messages import Sendable, encode_message
from .control_path import found_path_of_port

__all__ = ["NoServer", "publish", "reload", "status", "stop"]

_SECONDS = 10.0
_CHUNK = 1 << 16


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
    ``MicrosockError`` where it refuses, and its subclass ``NoServer``, a ``ConnectionError``, where nobody answers.
    """
    message = encode_message(data)
    if isinstance(message, str):
        _ask(server, command="publish", topic=topic, retain=retain, text=message)
    else:
        _ask(server, command="publish", topic=topic, retain=retain, base64=base64.b64encode(message).decode())


def status(server: str | int | Path) -> dict[str, Any]:
    """What the server counts, as ``app.status`` gives it in JSON. Raises as ``publish``."""
    return dict(_ask(server, command="status")["status"])


def reload(server: str | int | Path) -> str:
    """Have the server reload; gives in a few words what it does. Raises as ``publish``."""
    return str(_ask(server, command="reload")["reloads"])


def stop(server: str | int | Path, kill: bool = False) -> int:
    """Have the server stop, with ``kill`` at once; gives the pid of what will end. Raises as ``publish``."""
    return int(_ask(server, command="stop", kill=kill)["pid"])


def _ask(server: str | int | Path, **request: object) -> dict[str, Any]:
    path = Path(found_path_of_port(server)) if isinstance(server, int) else Path(server)
    line = json.dumps(request).encode() + b"\n"
    try:
        answer = json.loads(_exchanged(path, line))
    except TimeoutError as error:
        # The kernel has taken the connection for it, so there is one.
        raise NoServer(f"the server at {path} is there but does not answer: a handler may hold it") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        where = f"port {server} (no control socket answers at {path}" if isinstance(server, int) else f"{path} ("
        raise NoServer(f"no server at {where}{': ' if isinstance(server, int) else ''}{reason})") from error
    if not answer["ok"]:
        raise _ERRORS.get(answer["type"], MicrosockError)(answer["error"])
    return dict(answer)


_ERRORS: dict[str, type[Exception]] = {"Overloaded": Overloaded, "ValueError": ValueError, "TypeError": TypeError}


def _exchanged(path: Path, line: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(_SECONDS)
        sock.connect(str(path))
        sock.sendall(line)
        chunks = []
        while chunk := sock.recv(_CHUNK):
            chunks.append(chunk)
    if not chunks:
        raise ConnectionError("it hung up without an answer")
    return b"".join(chunks)
