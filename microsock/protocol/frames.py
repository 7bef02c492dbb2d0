"""The WebSocket half of a session: bytes in, messages out; messages in, frames out.

A plain frame (whole in the buffer, not fragmented) is read here; everything else goes through wsproto, which
``Strict`` holds. Sizes and fragments are judged at each frame's header, before its payload is taken. Knows no socket,
no clock and no app.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from .codec import BINARY, CLOSE, PING, PONG, RSV1, TEXT, FrameHeader, close_payload, frame, unmask
from .deflate import Deflate, TooLarge
from .events import CloseReceived, Event, MessageReceived, PingReceived, PongReceived, Waiting

if TYPE_CHECKING:
    from .strict import Strict

__all__ = ["Frames", "MessageLimits"]

ABNORMAL = 1006
_INVALID, _TOO_BIG = 1007, 1009
_NOT_UTF8 = "invalid UTF-8"
# The first byte of a message in one frame.
_TEXT_ALONE, _BINARY_ALONE = 0x81, 0x82


class MessageLimits:
    """Counts a message's bytes and fragments as its frames are announced."""

    __slots__ = ("_bytes", "_fragments", "_max_fragments", "max_size")

    def __init__(self, max_size: int, max_fragments: int | None) -> None:
        self.max_size = max_size
        self._max_fragments = max_fragments
        self._bytes = 0
        self._fragments = 0

    def offence(self, header: FrameHeader) -> str | None:
        """What is wrong with the message once this data frame belongs to it; None if nothing is."""
        if header.opcode:
            self._bytes = self._fragments = 0
        allowed = self._max_fragments if self._max_fragments is not None else 1024 + self._bytes // 64
        self._bytes += header.length
        self._fragments += 1
        if self._bytes > self.max_size:
            return self.too_large()
        if self._fragments > allowed:
            return "too many fragments"
        return None

    def too_large(self) -> str:
        """What to tell the peer of a message past ``max_size``."""
        return f"message over {self.max_size} bytes"


class Frames:
    """One connection after its WebSocket handshake.

    Call ``receive_data`` and then ``next_event`` until it gives None; what is not asked for stays unparsed.
    """

    __slots__ = (
        "_buffer", "_deflate", "_ended", "_events", "_limits", "_needed", "_out", "_over", "_strict", "close_sent",
    )  # fmt: skip

    def __init__(self, buffer: bytearray, ended: bool, limits: MessageLimits, deflate: Deflate | None) -> None:
        self.close_sent: int | None = None
        self._buffer = buffer
        self._ended = ended
        self._limits = limits
        self._deflate = deflate
        self._strict: Strict | None = None  # only while it holds part of a message
        self._needed = 0  # bytes of a frame that is gathered whole
        self._events: list[Event] = []
        self._out: list[bytes] = []
        self._over = False

    # In.

    def receive_data(self, data: bytes) -> None:
        """Take bytes from the peer; empty bytes are the end of its stream."""
        if data:
            self._buffer += data
        else:
            self._ended = True

    due = 0
    """As of the HTTP half; here nothing is taken without being looked at."""

    @property
    def buffered(self) -> int:
        """Bytes that could be parsed and are not yet; those of a frame that is gathered whole do not count."""
        return 0 if len(self._buffer) < self._needed else len(self._buffer)

    @property
    def peer_ended(self) -> bool:
        """Whether the peer has ended its stream."""
        return self._ended

    @property
    def at_ease(self) -> bool:
        """Whether it is open, and nothing that came is still to be parsed."""
        return not (self._buffer or self._ended or self._over) and self.close_sent is None

    @property
    def waiting(self) -> Waiting:
        """What this half waits for."""
        if self._over:
            return Waiting.NOTHING
        return Waiting.MESSAGE if self.close_sent is None else Waiting.CLOSE

    def next_event(self) -> Event | None:
        """The next message, pong or end; None until more bytes come."""
        if not self._events:
            if not self._buffer and not self._ended:
                return None
            if (event := self._read_small()) is not None:
                return event
        while not self._events and not self._over and len(self._buffer) >= self._needed:
            if not self._read_frame():
                break
        if not self._events and self._ended and not self._over:
            self._over = True
            return CloseReceived(ABNORMAL, "", True)
        return self._events.pop(0) if self._events else None

    def _read_frame(self) -> bool:
        # One frame, or what is here of it; tells whether that was anything.
        self._needed = 0
        strict = self._strict
        if strict is not None and strict.left:
            return self._feed_strict(strict)
        header = FrameHeader.read(self._buffer)
        if header is None:
            return False
        if header.opcode < CLOSE and (offence := self._limits.offence(header)):
            self._fail(_TOO_BIG, offence)
            return True
        if strict is None and self._is_plain(header):
            return self._read_plain(header)
        return self._start_strict(header)

    # Plain frames.

    def _read_small(self) -> MessageReceived | None:
        # What nearly every frame is: a whole small message. No step here that is not needed for just that.
        buffer = self._buffer
        if len(buffer) < 6 or self._strict is not None or self._over or self.close_sent is not None:
            return None
        first, size = buffer[0], buffer[1] - 0x80
        end = size + 6
        if (first != _TEXT_ALONE and first != _BINARY_ALONE) or not 0 <= size < 126 or len(buffer) < end:
            return None
        if size > self._limits.max_size:
            return None
        payload = unmask(buffer[6:end], bytes(buffer[2:6]))
        try:
            message = MessageReceived(payload.decode() if first == _TEXT_ALONE else payload)
        except UnicodeDecodeError:
            return None
        del buffer[:end]
        self._needed = 0
        return message

    def _is_plain(self, header: FrameHeader) -> bool:
        if not (header.fin and header.masked and header.is_shortest):
            return False
        if header.opcode in (TEXT, BINARY):
            return not header.rsv or (header.rsv == RSV1 and self._deflate is not None)
        return header.opcode in (PING, PONG) and not header.rsv and header.length < 126

    def _read_plain(self, header: FrameHeader) -> bool:
        start, end = header.size, header.size + header.length
        if len(self._buffer) < end:
            if header.opcode == TEXT:
                return self._start_strict(header)  # checked as it arrives
            self._needed = end
            return False
        with memoryview(self._buffer) as view, view[start:end] as part:
            payload = unmask(part, bytes(view[start - 4 : start]))
        del self._buffer[:end]
        self._guarded(partial(self._take_plain, header, payload))
        return True

    def _take_plain(self, header: FrameHeader, payload: bytes) -> list[Event]:
        if header.opcode == PING:
            return [PingReceived(payload)]
        if header.opcode == PONG:
            return [PongReceived(payload)]
        if header.rsv and self._deflate is not None:
            payload = self._deflate.inflate(payload, True, self._limits.max_size)
        return [MessageReceived(payload.decode() if header.opcode == TEXT else payload)]

    # All other frames.

    def _start_strict(self, header: FrameHeader) -> bool:
        if self._strict is None:
            from .strict import Strict  # and wsproto; `spare` has them loaded in time

            self._strict = Strict(self._deflate, self._limits.max_size)
        raw = bytes(self._buffer[: header.size])
        del self._buffer[: header.size]
        self._guarded(partial(self._strict.start, header, raw))
        self._drop_idle()
        return True

    def _feed_strict(self, strict: Strict) -> bool:
        part = bytes(self._buffer[: strict.left])
        del self._buffer[: strict.left]
        self._guarded(partial(strict.feed, part))
        self._drop_idle()
        return bool(part)

    def _drop_idle(self) -> None:
        # Between messages a connection keeps no wsproto object.
        if self._strict is not None and self._strict.idle:
            self._strict = None

    # What they bring about.

    def _guarded(self, read: Callable[[], list[Event]]) -> None:
        try:
            events = read()
        except TooLarge:
            self._fail(_TOO_BIG, self._limits.too_large())
        except zlib.error:
            self._fail(_INVALID, "invalid compressed data")
        except UnicodeDecodeError:
            self._fail(_INVALID, _NOT_UTF8)
        else:
            for event in events:
                self._handle(event)

    def _handle(self, event: Event) -> None:
        if isinstance(event, CloseReceived):
            self._end(event)
        elif self.close_sent is None:
            # After our Close nobody is there to take it any more (RFC 6455 section 1.4).
            if isinstance(event, PingReceived):
                self._out.append(frame(PONG, event.payload))
            self._events.append(event)

    def _end(self, event: CloseReceived) -> None:
        if not event.by_peer:
            # The words of wsproto name a position, which depends on how the text was cut.
            self._fail(event.code, _NOT_UTF8 if event.code == _INVALID else event.reason)
            return
        by_peer = self.close_sent is None
        if by_peer:
            self._out.append(frame(CLOSE, close_payload(event.code, event.reason)))
        self._over = True
        self._events.append(event._replace(by_peer=by_peer))

    def _fail(self, code: int, reason: str) -> None:
        # Tell the peer what it did wrong, then read no more of it (RFC 6455 section 7.1.7).
        self.close(code, reason)
        self._over = True
        self._events.append(CloseReceived(code, reason, False))

    # Out.

    def send_message(self, data: str | bytes) -> None:
        """Send a whole message, compressed where that was agreed on and makes it shorter."""
        opcode, payload = (TEXT, data.encode()) if isinstance(data, str) else (BINARY, data)
        compressed = self._deflate.deflate(payload) if self._deflate is not None else None
        if compressed is None:
            self._out.append(frame(opcode, payload))
        else:
            self._out.append(frame(opcode, compressed, compressed=True))

    def send_frame(self, data: bytes) -> None:
        """Send a frame as it is; one that ``message_frame`` made may go to many."""
        self._out.append(data)

    def ping(self, payload: bytes) -> None:
        """Send a Ping with at most 125 bytes (RFC 6455 section 5.5.2)."""
        self._out.append(frame(PING, payload))

    def close(self, code: int, reason: str) -> None:
        """Send a Close frame, once; the peer's is still to come (RFC 6455 section 5.5.1)."""
        if self.close_sent is None and not self._over:
            self.close_sent = code
            self._out.append(frame(CLOSE, close_payload(code, reason)))

    @property
    def has_output(self) -> bool:
        """Whether ``data_to_send`` has anything to give."""
        return bool(self._out)

    def data_to_send(self) -> list[bytes]:
        """Bytes for the peer since the last call, in order."""
        out, self._out = self._out, []
        return out
