"""The client's end of a WebSocket in memory: wsproto in its client role, and frames that no client should send.

Knows nothing of the server but its bytes.
"""

from __future__ import annotations

import base64
import hashlib
from collections import deque
from collections.abc import Sequence
from typing import Any

import httpx
import wsproto.events as events
from wsproto.connection import CLIENT, Connection, ConnectionState
from wsproto.extensions import Extension, PerMessageDeflate

from ..errors import RemoteProtocolError, WebSocketClosed
from ..messages import Sendable, encode_message
from ..websocket import WEBSOCKET_GUID
from .errors import StillWaiting
from .frames import Frame, build_frame, read_frames
from .http import HTTPConnection

__all__ = ["WebSocketClient", "handshake_headers"]

# What browsers offer.
_OFFER = "permessage-deflate; client_max_window_bits"
_KEY = base64.b64encode(b"microsock client").decode()
# Unread beyond this, the client stops reading, as one whose program does not keep up.
_READ_AHEAD_BYTES = 4 << 20
_READ_AHEAD_MESSAGES = 1000
_FRAMES_KEPT = 100


def handshake_headers(
    subprotocols: Sequence[str], origin: str | None, compression: bool | str = False
) -> dict[str, str]:
    """The header lines that ask for a WebSocket (RFC 6455 section 4.1); the key is always the same."""
    lines = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": _KEY}
    if subprotocols:
        lines["Sec-WebSocket-Protocol"] = ", ".join(subprotocols)
    if compression:
        lines["Sec-WebSocket-Extensions"] = _OFFER if compression is True else compression
    return lines | ({} if origin is None else {"Origin": origin})


class WebSocketClient:
    """An open WebSocket. It reads ahead and answers pings and Close frames while the server runs, as a browser does.

    As a context manager it closes with 1000 at the end.

    Attributes:
        response: the 101 that opened it.
        subprotocol: the one the server chose, or None.
        closed: code and reason of the server's Close frame; 1006 where it left without one; None while open.
        pongs: payloads of the Pong frames that came.
        compression: what the server agreed to: its ``Sec-WebSocket-Extensions``, or None.
        frames: the last frames that came, as they were on the wire (``rsv`` is 4 for a compressed one).
    """

    def __init__(self, connection: HTTPConnection, response: httpx.Response) -> None:
        self.response = response
        self.subprotocol: str | None = response.headers.get("Sec-WebSocket-Protocol")
        self.closed: tuple[int, str] | None = None
        self.pongs: list[bytes] = []
        self.compression: str | None = response.headers.get("Sec-WebSocket-Extensions")
        self.frames: deque[Frame] = deque(maxlen=_FRAMES_KEPT)
        self._raw = bytearray()
        self._connection = connection
        self._messages: deque[str | bytes] = deque()
        self._parts: list[Any] = []
        self._unread = 0
        self._paused = False
        self._by_peer = True
        _check_accept(response)
        trailing = connection.switched()
        self._keep_frames(trailing)
        self._frames = Connection(CLIENT, extensions=_extensions(self.compression), trailing_data=trailing)
        self._take_events()
        connection.wire.reader = self._read
        self._settle()

    def send(self, data: Sendable) -> None:
        """Send a message; a dict or list goes as JSON text. Raises ``WebSocketClosed`` after the close."""
        self._connection.wire.world.complain()
        if not self._is_open:
            raise WebSocketClosed(*(self.closed or (1000, "")), by_peer=self._by_peer)
        message = encode_message(data)
        if isinstance(message, str):
            self._send(events.TextMessage(data=message))
        else:
            self._send(events.BytesMessage(data=message))
        self._settle()

    def send_parts(self, *parts: str | bytes) -> None:
        """Send one message in several frames, all str or all bytes; each is compressed where that was agreed on."""
        self._connection.wire.world.complain()
        if not self._is_open:
            raise WebSocketClosed(*(self.closed or (1000, "")), by_peer=self._by_peer)
        last = len(parts) - 1
        for number, part in enumerate(parts):
            if isinstance(part, str):
                self._send(events.TextMessage(data=part, message_finished=number == last))
            else:
                self._send(events.BytesMessage(data=part, message_finished=number == last))
        self._settle()

    def receive(self) -> str | bytes:
        """The next message.

        Raises ``WebSocketClosed`` when there is none any more, ``StillWaiting`` at once when none can arrive before
        the clock is moved or something is sent.
        """
        self._connection.wire.world.complain()
        self._settle()
        if not self._messages and self._paused:
            raise StillWaiting("this client is paused and has read all that it had; resume() it")
        if not self._messages and self.closed is not None:
            raise WebSocketClosed(*self.closed, by_peer=self._by_peer)
        if not self._messages:
            raise StillWaiting("no message can arrive now; send something, or client.advance(seconds)")
        message = self._messages.popleft()
        self._unread -= len(message)
        return message

    def send_frame(self, raw: bytes | None = None, **frame: Any) -> None:
        """Send bytes as they are, or a frame built of ``opcode``, ``payload``, ``fin`` … (see ``build_frame``)."""
        self._connection.wire.world.complain()
        self._connection.wire.transport.deliver(build_frame(**frame) if raw is None else raw)
        self._settle()

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Send a Close frame, unless one has gone already."""
        if self._is_open:
            self._by_peer = False
            self._send(events.CloseConnection(code, reason))
            self._settle()

    def drop(self, *, reset: bool = False) -> None:
        """Leave without a Close frame, as a browser that crashes; with ``reset`` by RST."""
        self._connection.wire.transport.hang_up(reset=reset)
        self.closed = self.closed or (1006, "")
        self._settle()

    def pause(self) -> None:
        """Read nothing from here on, not even pings: a peer that hangs."""
        self._paused = True

    def resume(self) -> None:
        """Read on."""
        self._paused = False
        self._settle()

    def __enter__(self) -> WebSocketClient:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
        self.drop()

    @property
    def _is_open(self) -> bool:
        return self.closed is None and self._frames.state is ConnectionState.OPEN

    def _settle(self) -> None:
        self._connection.wire.world.settle()

    def _send(self, event: events.Event) -> None:
        self._connection.wire.transport.deliver(self._frames.send(event))

    def _read(self) -> bool:
        # Called while the server runs: takes what is there and never settles.
        if self._paused or self._unread > _READ_AHEAD_BYTES or len(self._messages) > _READ_AHEAD_MESSAGES:
            return False
        data = self._connection.wire.transport.take()
        if not data:
            return self._end()
        self._check_open()
        self._keep_frames(data)
        self._frames.receive_data(data)
        self._take_events()
        return True

    def _keep_frames(self, data: bytes) -> None:
        self._raw += data
        self.frames.extend(read_frames(self._raw))

    def _end(self) -> bool:
        self._connection.wire.reader = None
        self._connection.wire.transport.hang_up()
        self.closed = self.closed or (1006, "")
        return True

    def _take_events(self) -> None:
        for event in self._frames.events():
            self._check_open()
            if isinstance(event, (events.TextMessage, events.BytesMessage)):
                self._join(event)
            elif isinstance(event, events.Ping):
                self._send(event.response())
            elif isinstance(event, events.Pong):
                self.pongs.append(bytes(event.payload))
            elif isinstance(event, events.CloseConnection):
                self._take_close(event)

    def _check_open(self) -> None:
        if self.closed is not None:
            raise RemoteProtocolError("the server sent more behind its Close frame (RFC 6455 section 5.5.1)")

    def _join(self, part: events.TextMessage | events.BytesMessage) -> None:
        self._parts.append(part.data)
        if part.message_finished:
            whole = "".join(self._parts) if isinstance(part.data, str) else b"".join(self._parts)
            self._parts.clear()
            self._messages.append(whole)
            self._unread += len(whole)

    def _take_close(self, event: events.CloseConnection) -> None:
        if self._frames.state in (ConnectionState.OPEN, ConnectionState.LOCAL_CLOSING):
            # wsproto says so of a frame that it cannot parse.
            raise RemoteProtocolError(f"the server broke the WebSocket protocol: {event.reason}")
        self.closed = (int(event.code), event.reason or "")
        if self._frames.state is ConnectionState.REMOTE_CLOSING:
            self._send(event.response())


def _extensions(agreed: str | None) -> list[Extension]:
    if agreed is None:
        return []
    deflate = PerMessageDeflate()
    # An offer without client_max_window_bits leaves us the largest window (RFC 7692 section 7.1.2.2).
    deflate.finalize(agreed)
    return [deflate]


def _check_accept(response: httpx.Response) -> None:
    key = response.request.headers.get("Sec-WebSocket-Key", "")
    expected = base64.b64encode(hashlib.sha1((key + WEBSOCKET_GUID).encode()).digest()).decode()
    if response.headers.get("Sec-WebSocket-Accept") != expected:
        raise RemoteProtocolError("the server's Sec-WebSocket-Accept does not fit the key (RFC 6455 section 4.2.2)")
