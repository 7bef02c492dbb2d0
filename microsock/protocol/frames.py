"""The WebSocket half of a session: bytes in, messages out; messages in, frames out.

A plain frame (whole in the buffer, not fragmented) is read here; everything else goes through wsproto, which
``Strict`` holds. Sizes and fragments are judged at each frame's header, before its payload is taken. Frames may bring
about nothing, so ``budget`` bounds what is parsed at once. Knows no socket, no clock and no app.
"""

from __future__ import annotations

import sys
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
# What things cost, in units of about a microsecond: a frame by wsproto, a plain one, one that is only skipped, and
# how many bytes come for one unit.
_STRICT_COST, _PLAIN_COST, _SKIP_COST = 25, 5, 2
_STRICT_BYTES, _PLAIN_BYTES = 128, 400
# What compression adds at most to a message that does not get shorter: zlib puts 5 bytes in front of each block, which
# has 127 bytes where it is told to use as little memory as it can, and 5 behind each flush, as a fragment may be.
_BLOCK_BYTES, _FLUSH_BYTES, _COMPRESSION_BYTES = 24, 6, 64
# The first byte of a message in one frame.
_TEXT_ALONE, _BINARY_ALONE = 0x81, 0x82


class MessageLimits:
    """Counts a message's bytes and fragments as its frames are announced."""

    __slots__ = ("_bytes", "_compressed", "_fragments", "_max_fragments", "max_size")

    def __init__(self, max_size: int, max_fragments: int | None) -> None:
        self.max_size = max_size
        self._max_fragments = max_fragments
        self._bytes = 0
        self._fragments = 0
        self._compressed = False

    def offence(self, header: FrameHeader, compressed: bool = False) -> str | None:
        """What is wrong with the message once this data frame belongs to it; None if nothing is.

        Args:
            header: the frame's.
            compressed: whether it starts a compressed message. Of that, ``max_size`` bounds what it inflates to.
        """
        if header.opcode:
            self._bytes = self._fragments = 0
            self._compressed = compressed
        allowed = self._max_fragments if self._max_fragments is not None else 1024 + self._bytes // 64
        self._bytes += header.length
        self._fragments += 1
        if self._bytes > self._most_bytes():
            return self.too_large()
        if self._fragments > allowed:
            return "too many fragments"
        return None

    def _most_bytes(self) -> int:
        # On the wire.
        most = self.max_size
        if self._compressed:
            most += most // _BLOCK_BYTES + self._fragments * _FLUSH_BYTES + _COMPRESSION_BYTES
        return most

    def too_large(self) -> str:
        """What to tell the peer of a message past ``max_size``."""
        return f"message over {self.max_size} bytes"


class Frames:
    """One connection after its WebSocket handshake.

    Call ``receive_data`` and then ``next_event`` until it gives None; what is not asked for stays unparsed. Set
    ``budget`` before, to have it give None as well when it has worked for so long.
    """

    __slots__ = (
        "_buffer", "_deflate", "_ended", "_events", "_limits", "_needed", "_out", "_over", "_skipped", "_strict",
        "budget", "close_sent",
    )  # fmt: skip

    def __init__(self, buffer: bytearray, ended: bool, limits: MessageLimits, deflate: Deflate | None) -> None:
        self.close_sent: int | None = None
        self.budget = sys.maxsize
        """How much may be parsed, in units of about a microsecond; past it, at 0 and below, there may be more to do."""
        self._buffer = buffer
        self._ended = ended
        self._limits = limits
        self._deflate = deflate
        self._strict: Strict | None = None  # only while it holds part of a message
        self._needed = 0  # bytes of a frame that is gathered whole
        self._skipped = 0  # payload bytes still to come of a frame that nobody wants
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
    def held(self) -> int:
        """Bytes in memory: those not parsed, what is here of a message, and messages that wait for the next turn."""
        waiting = sum(len(event.data) for event in self._events if isinstance(event, MessageReceived))
        return len(self._buffer) + waiting + (0 if self._strict is None else self._strict.size)

    @property
    def peer_ended(self) -> bool:
        """Whether the peer has ended its stream."""
        return self._ended

    @property
    def at_ease(self) -> bool:
        """Whether it is open, and nothing that came is still to be parsed."""
        pending = self._buffer or self._strict or self._events or self._ended or self._over
        return not pending and self.close_sent is None

    @property
    def waiting(self) -> Waiting:
        """What this half waits for."""
        if self._over:
            return Waiting.NOTHING
        return Waiting.MESSAGE if self.close_sent is None else Waiting.CLOSE

    def next_event(self) -> Event | None:
        """The next message, pong or end; None until more bytes come, or ``budget`` is used up."""
        if not self._events:
            if not self._buffer and not self._ended and self._strict is None:
                return None
            if (event := self._read_small()) is not None:
                return event
        while not self._events and not self._over and len(self._buffer) >= self._needed and self.budget > 0:
            if not self._read_frame():
                break
        if self.budget <= 0 and not self._over:
            return None
        if not self._events and self._ended and not self._over:
            self._over = True
            return CloseReceived(ABNORMAL, "", True)
        return self._events.pop(0) if self._events else None

    def _read_frame(self) -> bool:
        # One frame, or what is here of it; tells whether that was anything.
        self._needed = 0
        if self.close_sent is not None:
            return self._look_for_close()
        strict = self._strict
        if strict is not None and (strict.left or strict.pending):
            return self._feed_strict(strict)
        header = FrameHeader.read(self._buffer)
        if header is None:
            return False
        if header.opcode < CLOSE and (offence := self._limits.offence(header, self._is_compressed(header))):
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
            return not header.rsv or self._is_compressed(header)
        return header.opcode in (PING, PONG) and not header.rsv and header.length < 126

    def _is_compressed(self, header: FrameHeader) -> bool:
        return header.rsv == RSV1 and self._deflate is not None

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
        self.budget -= _PLAIN_COST + header.length // _PLAIN_BYTES
        self._guarded(partial(self._take_plain, header, payload))
        return True

    def _take_plain(self, header: FrameHeader, payload: bytes) -> list[Event]:
        if header.opcode == PING:
            return [PingReceived(payload)]
        if header.opcode == PONG:
            return [PongReceived(payload)]
        if header.rsv and self._deflate is not None:
            self._deflate.receive_data(payload, True)
            payload = self._deflate.inflate(self._limits.max_size)
            if self._deflate.pending:
                return self._made_strict().take_over(header, payload)
        return [MessageReceived(payload.decode() if header.opcode == TEXT else payload)]

    # All other frames.

    def _start_strict(self, header: FrameHeader) -> bool:
        strict = self._made_strict()
        raw = bytes(self._buffer[: header.size])
        del self._buffer[: header.size]
        self.budget -= _STRICT_COST
        self._guarded(partial(strict.start, header, raw))
        self._drop_idle()
        return True

    def _made_strict(self) -> Strict:
        if self._strict is None:
            from .strict import Strict  # and wsproto; `spare` has them loaded in time

            self._strict = Strict(self._deflate, self._limits.max_size)
        return self._strict

    def _feed_strict(self, strict: Strict) -> bool:
        size = 0 if strict.pending else strict.left
        if size and not self._buffer:
            return False
        part = bytes(self._buffer[:size])
        del self._buffer[:size]
        self.budget -= _PLAIN_COST + len(part) // _STRICT_BYTES
        self._guarded(partial(strict.feed, part))
        self._drop_idle()
        return True

    def _drop_idle(self) -> None:
        # Between messages a connection keeps no wsproto object.
        if self._strict is not None and self._strict.idle:
            self._drop_strict(self._strict)

    def _drop_strict(self, strict: Strict) -> None:
        strict.drop()
        self._strict = None

    # Behind our Close nobody takes messages any more; only the peer's own is looked for (RFC 6455 section 5.5.1).

    def _look_for_close(self) -> bool:
        strict = self._strict
        if strict is not None:
            if strict.is_close:
                return self._feed_strict(strict)
            self._skipped = strict.left
            self._drop_strict(strict)
        if self._skipped:
            return self._skip()
        header = FrameHeader.read(self._buffer)
        if header is None:
            return False
        if not self._is_skippable(header):
            return self._start_strict(header)
        self._skipped = header.size + header.length
        return self._skip()

    def _is_skippable(self, header: FrameHeader) -> bool:
        if not (header.masked and header.is_shortest) or header.rsv & ~(RSV1 if self._deflate is not None else 0):
            return False
        if header.opcode in (PING, PONG):
            return header.fin and header.length < 126 and not header.rsv
        return header.opcode <= BINARY

    def _skip(self) -> bool:
        here = min(self._skipped, len(self._buffer))
        del self._buffer[:here]
        self._skipped -= here
        self.budget -= _SKIP_COST
        return here > 0

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
        if self._deflate is not None:
            self.budget -= self._deflate.spent()

    def _handle(self, event: Event) -> None:
        if isinstance(event, CloseReceived):
            self._end(event)
        elif self.close_sent is None:
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
            self._needed = 0
            self._events.clear()  # nobody is there to take them any more (RFC 6455 section 1.4)
            self._out.append(frame(CLOSE, close_payload(code, reason)))

    def drop(self) -> None:
        """Let go of all that was received and said; nothing that comes is read after this."""
        self._over = True
        self._buffer = bytearray()
        self._events.clear()
        self._out.clear()
        self._deflate = None
        if self._strict is not None:
            self._drop_strict(self._strict)

    @property
    def has_output(self) -> bool:
        """Whether ``data_to_send`` has anything to give."""
        return bool(self._out)

    def data_to_send(self) -> list[bytes]:
        """Bytes for the peer since the last call, in order."""
        out, self._out = self._out, []
        return out
