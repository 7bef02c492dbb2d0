"""The WebSocket half of a session: frames in and out by wsproto, bounded by our own reading of each frame's header.

wsproto says nothing before payload arrives and counts nothing, so sizes and fragments are judged here, at the
header, before the frame reaches it. Messages leave whole. Knows no socket, no clock and no app.
"""

from __future__ import annotations

import io

from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage
from wsproto.events import Event as WsEvent
from wsproto.frame_protocol import FrameProtocol

from .events import CloseReceived, Event, MessageReceived, PongReceived, Waiting

__all__ = ["FrameHeader", "FrameWriter", "Frames", "MessageLimits"]

ABNORMAL = 1006
_TOO_BIG = 1009


class FrameWriter:
    """Makes the bytes of a whole message once, so that the same bytes can go to many connections."""

    __slots__ = ("_protocol",)

    def __init__(self) -> None:
        self._protocol = FrameProtocol(client=False, extensions=[])

    def frame(self, data: str | bytes) -> bytes:
        """One unfragmented, unmasked frame (RFC 6455 section 5.2)."""
        return bytes(self._protocol.send_data(data, fin=True))


class FrameHeader:
    """Reads one frame's header out of a buffer (RFC 6455 section 5.2)."""

    __slots__ = ("control", "first", "length", "size")

    def __init__(self, size: int, length: int, opcode: int) -> None:
        self.size = size
        """Bytes of the header itself, masking key included."""
        self.length = length
        """Bytes of payload that follow."""
        self.control = opcode >= 8
        self.first = opcode != 0

    @classmethod
    def read(cls, buffer: bytearray) -> FrameHeader | None:
        """The header that ``buffer`` starts with; None while it is incomplete."""
        if len(buffer) < 2:
            return None
        short = buffer[1] & 0x7F
        extended = {126: 2, 127: 8}.get(short, 0)
        size = 2 + extended + (4 if buffer[1] & 0x80 else 0)
        if len(buffer) < size:
            return None
        length = int.from_bytes(buffer[2 : 2 + extended], "big") if extended else short
        return cls(size, length, buffer[0] & 0x0F)


class MessageLimits:
    """Counts a message's bytes and fragments as its frames are announced."""

    __slots__ = ("_bytes", "_fragments", "_max_fragments", "_max_size")

    def __init__(self, max_size: int, max_fragments: int | None) -> None:
        self._max_size = max_size
        self._max_fragments = max_fragments
        self._bytes = 0
        self._fragments = 0

    def offence(self, header: FrameHeader) -> str | None:
        """What is wrong with the message once this data frame belongs to it; None if nothing is."""
        if header.first:
            self._bytes = self._fragments = 0
        allowed = self._max_fragments if self._max_fragments is not None else 1024 + self._bytes // 64
        self._bytes += header.length
        self._fragments += 1
        if self._bytes > self._max_size:
            return f"message over {self._max_size} bytes"
        if self._fragments > allowed:
            return "too many fragments"
        return None


class Frames:
    """One connection after its WebSocket handshake.

    Call ``receive_data`` and then ``next_event`` until it gives None; what is not asked for stays unparsed.
    """

    def __init__(self, buffer: bytearray, ended: bool, limits: MessageLimits) -> None:
        self.close_sent: int | None = None
        self._buffer = buffer
        self._ended = ended
        self._limits = limits
        self._wsproto = Connection(ConnectionType.SERVER)
        self._left = 0  # payload bytes still to come of the current frame
        self._events: list[Event] = []
        self._text = io.StringIO()
        self._binary = bytearray()
        self._out: list[bytes] = []
        self._over = False

    # In.

    def receive_data(self, data: bytes) -> None:
        """Take bytes from the peer; empty bytes are the end of its stream."""
        if data:
            self._buffer += data
        else:
            self._ended = True

    @property
    def buffered(self) -> int:
        """Bytes received and not yet parsed."""
        return len(self._buffer)

    @property
    def peer_ended(self) -> bool:
        """Whether the peer has ended its stream."""
        return self._ended

    @property
    def waiting(self) -> Waiting:
        """What this half waits for."""
        if self._over:
            return Waiting.NOTHING
        return Waiting.MESSAGE if self.close_sent is None else Waiting.CLOSE

    def next_event(self) -> Event | None:
        """The next message, pong or end; None until more bytes come."""
        while not self._events and not self._over:
            part = self._next_part()
            if not part:
                break
            self._wsproto.receive_data(part)
            self._read_wsproto()
        if not self._events and self._ended and not self._over:
            self._over = True
            return CloseReceived(ABNORMAL, "", True)
        return self._events.pop(0) if self._events else None

    def _next_part(self) -> bytes:
        # At most one frame at a time, so that what is behind it stays unparsed until it is asked for.
        if self._left == 0:
            header = FrameHeader.read(self._buffer)
            if header is None:
                return b""
            offence = None if header.control else self._limits.offence(header)
            if offence is not None:
                self._fail(_TOO_BIG, offence)
                return b""
            self._left = header.size + header.length
        part = bytes(self._buffer[: self._left])
        del self._buffer[: self._left]
        self._left -= len(part)
        return part

    def _read_wsproto(self) -> None:
        for event in self._wsproto.events():
            self._handle(event)

    def _handle(self, event: WsEvent) -> None:
        if isinstance(event, TextMessage):
            self._text.write(event.data)
            if event.message_finished:
                self._deliver(self._text.getvalue())
                self._text = io.StringIO()
        elif isinstance(event, BytesMessage):
            self._binary += event.data
            if event.message_finished:
                self._deliver(bytes(self._binary))
                self._binary = bytearray()
        elif isinstance(event, Ping):
            if self.close_sent is None:
                self._out.append(self._wsproto.send(event.response()))
        elif isinstance(event, Pong):
            self._events.append(PongReceived(bytes(event.payload)))
        elif isinstance(event, CloseConnection):
            self._end(event)

    def _deliver(self, message: str | bytes) -> None:
        # After our Close nobody is there to take it any more (RFC 6455 section 1.4).
        if self.close_sent is None:
            self._events.append(MessageReceived(message))

    def _end(self, event: CloseConnection) -> None:
        # wsproto reports a broken protocol as it reports a Close frame; only its state tells them apart.
        if self._wsproto.state in (ConnectionState.OPEN, ConnectionState.LOCAL_CLOSING):
            self._fail(int(event.code), event.reason or "")
            return
        by_peer = self._wsproto.state is ConnectionState.REMOTE_CLOSING
        if by_peer:
            self._out.append(self._wsproto.send(event.response()))
        self._over = True
        self._events.append(CloseReceived(int(event.code), event.reason or "", by_peer))

    def _fail(self, code: int, reason: str) -> None:
        # Tell the peer what it did wrong, then read no more of it (RFC 6455 section 7.1.7).
        self.close(code, reason)
        self._over = True
        self._events.append(CloseReceived(code, reason, False))

    # Out.

    def send_message(self, data: str | bytes) -> None:
        """Send a whole message in one frame."""
        event = TextMessage(data) if isinstance(data, str) else BytesMessage(data)
        self._out.append(self._wsproto.send(event))

    def send_frame(self, frame: bytes) -> None:
        """Send a frame that a ``FrameWriter`` made."""
        self._out.append(frame)

    def ping(self, payload: bytes) -> None:
        """Send a Ping with at most 125 bytes (RFC 6455 section 5.5.2)."""
        self._out.append(self._wsproto.send(Ping(payload)))

    def close(self, code: int, reason: str) -> None:
        """Send a Close frame, once; the peer's is still to come (RFC 6455 section 5.5.1)."""
        if self.close_sent is None and not self._over:
            self.close_sent = code
            self._out.append(self._wsproto.send(CloseConnection(code, reason)))

    def data_to_send(self) -> list[bytes]:
        """Bytes for the peer since the last call, in order."""
        out, self._out = self._out, []
        return out
