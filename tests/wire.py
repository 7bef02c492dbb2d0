"""Requests as bytes, and what is read off the bytes that come back."""

from __future__ import annotations

import re
from typing import Any

from microsock import App, WebSocketClosed
from microsock.testing import RawConnection, TestClient, WebSocketClient, build_frame
from microsock.testing.memory import CAPACITY

__all__ = ["HANDSHAKE", "ask", "asked", "body_of", "handshake", "message", "opened", "received", "statuses"]

_STATUS = re.compile(rb"HTTP/1\.1 ([0-9]{3}) ")


def ask(target: str = "/", *lines: str, method: str = "GET", version: str = "1.1", body: bytes = b"") -> bytes:
    """A request, with a length if it has a body."""
    fields = ["Host: localhost", *lines, *([f"Content-Length: {len(body)}"] if body else [])]
    return "\r\n".join([f"{method} {target} HTTP/{version}", *fields, "", ""]).encode() + body


def handshake(target: str = "/ws", *lines: str) -> bytes:
    """A request that asks for a WebSocket."""
    key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    return ask(target, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", key, *lines)


HANDSHAKE = handshake()


def message(payload: str | bytes = "x") -> bytes:
    """A message in one frame, masked as a client's must be."""
    return build_frame(1 if isinstance(payload, str) else 2, payload)


def asked(app: App, data: bytes, *, capacity: int = CAPACITY, **settings: Any) -> tuple[TestClient, RawConnection]:
    """A client, and a connection over which it has sent this."""
    client = TestClient(app, **settings)
    connection = client.raw_connection(capacity=capacity)
    connection.send(data)
    return client, connection


def statuses(raw: bytes) -> list[int]:
    """The status of each answer. Bodies must not look like status lines."""
    return [int(status) for status in _STATUS.findall(raw)]


def body_of(raw: bytes) -> bytes:
    """What is behind the first head."""
    return raw.partition(b"\r\n\r\n")[2]


def opened(app: App, path: str = "/ws", **settings: Any) -> tuple[TestClient, WebSocketClient]:
    """A client, and a WebSocket that it has opened."""
    client = TestClient(app, **settings)
    return client, client.websocket(path)


def received(ws: WebSocketClient) -> list[str | bytes]:
    """All messages that come before the clock is moved."""
    messages: list[str | bytes] = []
    try:
        while True:
            messages.append(ws.receive())
    except (WebSocketClosed, TimeoutError):
        return messages
