"""wsproto, for every frame that is not plain: fragments, Close frames, text in parts, and all that is wrong.

It sees one frame at a time, behind our own reading of the header. Of a compressed message it sees that it starts and
nothing more: that is inflated, decoded and put together here, a piece at a time.
"""

from __future__ import annotations

import codecs
import io

from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage
from wsproto.events import Event as WsprotoEvent

from .codec import BINARY, CLOSE, CONTINUATION, RSV1, TEXT, FrameHeader, masked_frame, unmask
from .deflate import Deflate
from .events import CloseReceived, Event, MessageReceived, PingReceived, PongReceived

__all__ = ["Strict"]

_TRY_AGAIN_LATER, _BAD_GATEWAY = 1013, 1014


class Strict:
    """Holds wsproto while a message or a frame is in parts.

    Args:
        deflate: what was agreed on for compressed messages, None if nothing was.
        max_size: bytes to which a compressed message may inflate.
    """

    __slots__ = (
        "_binary",
        "_code",
        "_decoder",
        "_deflate",
        "_header",
        "_inflated",
        "_mask",
        "_max_size",
        "_text",
        "_wsproto",
        "is_close",
        "left",
        "size",
        "within",
    )

    def __init__(self, deflate: Deflate | None, max_size: int) -> None:
        self.left = 0
        """Payload bytes still to come of the current frame."""
        self.is_close = False
        """Whether the current frame is a Close."""
        self.size = 0
        """Bytes that are here of a message in parts."""
        self.within = False
        """Whether fragments of a message are still to come."""
        self._wsproto = Connection(ConnectionType.SERVER)
        self._deflate = deflate
        self._max_size = max_size
        self._header: FrameHeader | None = None  # of a compressed frame, whose payload is inflated
        self._decoder: codecs.IncrementalDecoder | None = None  # of compressed text
        self._mask = b""
        self._code = b""  # the first two bytes of a Close's payload, as they came
        self._inflated: int | None = None  # bytes so far of a compressed message
        self._text = io.StringIO()
        self._binary = bytearray()

    @property
    def idle(self) -> bool:
        """Whether it holds nothing, so that the next frame may go past it."""
        return not (self.left or self.within or self.pending)

    @property
    def pending(self) -> bool:
        """Whether there is more to inflate of what was fed; then ``feed`` takes nothing."""
        return self._header is not None and self._deflate is not None and self._deflate.pending

    def drop(self) -> None:
        """Let go of all that it holds; nothing is to be called after this."""
        # wsproto's parser is a generator of its own: while it is not closed, each keeps the other.
        self._wsproto._proto._parse_more.close()

    def start(self, header: FrameHeader, raw: bytes) -> list[Event]:
        """Take a frame's header; ``raw`` is how it came. Gives what it brought about."""
        self.left = header.length
        self.is_close = header.opcode == CLOSE
        self._code = b""
        starts = header.opcode in (TEXT, BINARY) and not self.within
        if starts:
            self._inflated = 0 if header.rsv == RSV1 and self._deflate is not None else None
        self._header = header if self._is_compressed(header, starts) else None
        if header.opcode < 8:
            self.within = not header.fin
        self._mask = raw[-4:] if header.masked else b""
        if self._header is None:
            return self._feed(raw)
        if starts:
            self._start_compressed(header)
        return [] if self.left else self._receive(b"")

    def take_over(self, header: FrameHeader, piece: bytes) -> list[Event]:
        """Go on with a compressed message that is one frame, of which ``piece`` is inflated and more is pending."""
        self._header = header
        self._inflated = 0
        self._start_compressed(header)
        return self._take_piece(piece)

    def feed(self, part: bytes) -> list[Event]:
        """Take payload of the current frame, as it came. Gives what it brought about.

        Raises ``TooLarge``, ``zlib.error`` and ``UnicodeDecodeError`` for a compressed one.
        """
        if self.pending:
            return self._inflate()
        self.left -= len(part)
        if self._header is None:
            return self._feed(self._with_known_code(part) if self.is_close else part)
        plain = unmask(part, self._mask)
        turn = len(part) % 4
        self._mask = self._mask[turn:] + self._mask[:turn]
        return self._receive(plain)

    def _is_compressed(self, header: FrameHeader, starts: bool) -> bool:
        # What breaks a rule goes to wsproto as it came, and is refused there.
        if self._inflated is None or not header.masked or not header.is_shortest:
            return False
        return starts or (header.opcode == CONTINUATION and self.within and not header.rsv)

    # A compressed message.

    def _start_compressed(self, header: FrameHeader) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")() if header.opcode == TEXT else None
        if not header.fin:
            # So that it refuses what must not come between fragments.
            self._feed(masked_frame(header.opcode, b"", fin=False))

    def _receive(self, data: bytes) -> list[Event]:
        assert self._header is not None
        assert self._deflate is not None
        self._deflate.receive_data(data, self._header.fin and not self.left)
        return self._inflate()

    def _inflate(self) -> list[Event]:
        assert self._deflate is not None
        assert self._inflated is not None
        return self._take_piece(self._deflate.inflate(self._max_size - self._inflated))

    def _take_piece(self, piece: bytes) -> list[Event]:
        assert self._header is not None
        assert self._inflated is not None
        self._inflated += len(piece)
        ends = self._header.fin and not (self.left or self.pending)
        if self._decoder is None:
            self._binary += piece
            return [MessageReceived(bytes(self._binary))] if ends else []
        self._text.write(self._decoder.decode(piece, ends))
        return [MessageReceived(self._text.getvalue())] if ends else []

    # wsproto.

    def _with_known_code(self, part: bytes) -> bytes:
        # wsproto refuses 1014, which is in the registry of close codes (IANA, for RFC 6455 section 11.7), as it would
        # refuse a code that nobody has given a meaning. It gets 1013, which differs in one byte, the second.
        second = 1 - len(self._code)
        self._code += part[: second + 1]
        if second < 0 or second >= len(part) or not self._is_bad_gateway:
            return part
        known = part[second] ^ _TRY_AGAIN_LATER ^ _BAD_GATEWAY
        return part[:second] + bytes((known,)) + part[second + 1 :]

    @property
    def _is_bad_gateway(self) -> bool:
        return bool(self._mask) and unmask(self._code, self._mask) == _BAD_GATEWAY.to_bytes(2, "big")

    def _feed(self, data: bytes) -> list[Event]:
        self._wsproto.receive_data(data)
        return [event for found in self._wsproto.events() if (event := self._translated(found)) is not None]

    def _translated(self, event: WsprotoEvent) -> Event | None:
        if isinstance(event, (TextMessage, BytesMessage)):
            self.size += len(event.data)
        if isinstance(event, TextMessage):
            self._text.write(event.data)
            return MessageReceived(self._text.getvalue()) if event.message_finished else None
        if isinstance(event, BytesMessage):
            self._binary += event.data
            return MessageReceived(bytes(self._binary)) if event.message_finished else None
        if isinstance(event, Ping):
            return PingReceived(bytes(event.payload))
        if isinstance(event, Pong):
            return PongReceived(bytes(event.payload))
        assert isinstance(event, CloseConnection)
        # wsproto reports a broken protocol as it reports a Close frame; only its state tells them apart.
        by_peer = self._wsproto.state is not ConnectionState.OPEN
        code = _BAD_GATEWAY if event.code == _TRY_AGAIN_LATER and self._is_bad_gateway else int(event.code)
        return CloseReceived(code, event.reason or "", by_peer)
