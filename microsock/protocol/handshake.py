"""The WebSocket opening handshake, checked by us before wsproto sees a byte (RFC 6455 section 4.2)."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import HTTPError
from ..headers import is_token
from ..request import Request

__all__ = ["accept_lines", "check_handshake", "is_websocket_upgrade", "offered_subprotocols", "upgrade_required"]


def is_websocket_upgrade(request: Request) -> bool:
    """Whether a request asks for a WebSocket. HTTP/1.0 cannot ask for an upgrade (RFC 9110 section 7.8)."""
    return request.http_version == "1.1" and "websocket" in _options(request, "upgrade")


def check_handshake(request: Request) -> None:
    """Refuse a malformed handshake by ``HTTPError``: 400, or 426 for a version other than 13."""
    if request.method != "GET":
        raise HTTPError(400, "a WebSocket handshake is a GET request")
    if request.body:
        raise HTTPError(400, "a WebSocket handshake has no body")
    if "upgrade" not in _options(request, "connection"):
        raise HTTPError(400, "a WebSocket handshake needs Connection: Upgrade")
    if request.headers.getlist("sec-websocket-version") != ["13"]:
        raise upgrade_required("only WebSocket version 13 is served")
    if not _is_key(request.headers.getlist("sec-websocket-key")):
        raise HTTPError(400, "Sec-WebSocket-Key must be 16 bytes in base64, once", type="INVALID_WS_KEY")
    offered_subprotocols(request)


def upgrade_required(message: str) -> HTTPError:
    """The 426 for a client that must ask again, with what to ask for (RFC 9110 section 15.5.22)."""
    lines = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13")]
    return HTTPError(426, message, headers=lines)


def offered_subprotocols(request: Request) -> list[str]:
    """The subprotocols that the client offers, best first. Raises ``HTTPError`` 400 for one that is no token."""
    names = _list(request, "sec-websocket-protocol")
    for name in names:
        if not is_token(name):
            raise HTTPError(400, f"subprotocol {name!r} is not a token")
    return names


def accept_lines(request: Request, subprotocol: str | None) -> list[tuple[bytes, bytes]]:
    """The header lines of the 101 answer."""
    from wsproto.utilities import generate_accept_token  # `spare` has it loaded in time

    key = request.headers["sec-websocket-key"].encode("ascii")
    lines = [(b"Upgrade", b"websocket"), (b"Connection", b"Upgrade")]
    lines.append((b"Sec-WebSocket-Accept", generate_accept_token(key)))
    if subprotocol is not None:
        lines.append((b"Sec-WebSocket-Protocol", subprotocol.encode("ascii")))
    return lines


def _is_key(values: Sequence[str]) -> bool:
    # 16 bytes are 22 characters and "==" (RFC 6455 section 4.1).
    if len(values) != 1 or len(values[0]) != 24:
        return False
    import base64  # `spare` has it loaded in time
    import binascii

    try:
        return len(base64.b64decode(values[0], validate=True)) == 16
    except (binascii.Error, ValueError):
        return False


def _list(request: Request, name: str) -> list[str]:
    joined = ",".join(request.headers.getlist(name))
    return [part.strip(" \t") for part in joined.split(",") if part.strip(" \t")]


def _options(request: Request, name: str) -> list[str]:
    return [option.lower() for option in _list(request, name)]
