"""WebSocket frames as bytes: headers read and written, payloads unmasked (RFC 6455 section 5).

Pure functions on bytes; the rules about which frame may follow which are not here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

__all__ = [
    "BINARY",
    "CLOSE",
    "CONTINUATION",
    "PING",
    "PONG",
    "RSV1",
    "TEXT",
    "FrameHeader",
    "close_payload",
    "frame",
    "masked_frame",
    "message_frame",
    "unmask",
    "unmask_in_python",
]

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
RSV1 = 0x40
_FIN = 0x80

# A mask is repeated over a payload by one multiplication; blocks keep the integers small enough to be quick.
_BLOCK = 8 << 10
_REPEATED = int.from_bytes(b"\1\0\0\0" * (_BLOCK // 4), "little")


def frame(opcode: int, payload: bytes, *, compressed: bool = False) -> bytes:
    """A whole frame as a server sends it, unmasked."""
    return _head(opcode | _FIN | (RSV1 if compressed else 0), 0, len(payload)) + payload


def message_frame(data: str | bytes) -> bytes:
    """A message as one uncompressed frame; the same bytes may go to any number of connections."""
    return frame(TEXT, data.encode()) if isinstance(data, str) else frame(BINARY, data)


def masked_frame(opcode: int, payload: bytes, *, fin: bool) -> bytes:
    """A frame as a client sends it, under a mask of zeros."""
    return _head(opcode | (_FIN if fin else 0), 0x80, len(payload)) + b"\0\0\0\0" + payload


def _head(first: int, mask_bit: int, size: int) -> bytes:
    if size < 126:
        return bytes((first, mask_bit | size))
    if size < 65536:
        return bytes((first, mask_bit | 126, size >> 8, size & 255))
    return bytes((first, mask_bit | 127)) + size.to_bytes(8, "big")


def close_payload(code: int, reason: str) -> bytes:
    """What a Close frame carries; nothing for 1005, which says just that (RFC 6455 section 7.4.1)."""
    if code == 1005:
        return b""
    text = reason.encode()
    if len(text) > 123:
        text = text[:123].decode(errors="ignore").encode()
    return code.to_bytes(2, "big") + text


class FrameHeader:
    """One frame's header, as it stands in a buffer."""

    __slots__ = ("fin", "length", "masked", "opcode", "rsv", "size")

    def __init__(self, first: int, masked: bool, size: int, length: int) -> None:
        self.fin = first & _FIN != 0
        self.rsv = first & 0x70
        self.opcode = first & 0x0F
        self.masked = masked
        self.size = size
        """Bytes of the header itself, masking key included."""
        self.length = length
        """Bytes of payload that follow."""

    @classmethod
    def read(cls, buffer: bytearray) -> FrameHeader | None:
        """The header that ``buffer`` starts with; None while it is incomplete."""
        if len(buffer) < 2:
            return None
        short, masked = buffer[1] & 0x7F, buffer[1] & 0x80 != 0
        extended = _EXTENDED.get(short, 0)
        size = 2 + extended + 4 * masked
        if len(buffer) < size:
            return None
        length = int.from_bytes(buffer[2 : 2 + extended], "big") if extended else short
        return cls(buffer[0], masked, size, length)

    @property
    def is_shortest(self) -> bool:
        """Whether the length is said in as few bytes as it can be (RFC 6455 section 5.2)."""
        return self.length >= _LEAST_LENGTH[self.size - 4 * self.masked]


_EXTENDED = {126: 2, 127: 8}
_LEAST_LENGTH = {2: 0, 4: 126, 10: 65536}


def unmask_in_python(payload: bytes | bytearray | memoryview, mask: bytes) -> bytes:
    """A payload with the four bytes of ``mask`` taken off (RFC 6455 section 5.3), as one big integer."""
    size = len(payload)
    if size > _BLOCK:
        return _unmask_blocks(payload, mask)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(key, "little")).to_bytes(size, "little")


def _unmask_blocks(payload: bytes | bytearray | memoryview, mask: bytes) -> bytes:
    key = int.from_bytes(mask, "little") * _REPEATED
    whole = len(payload) - len(payload) % _BLOCK
    blocks = [
        (int.from_bytes(payload[at : at + _BLOCK], "little") ^ key).to_bytes(_BLOCK, "little")
        for at in range(0, whole, _BLOCK)
    ]
    return b"".join((*blocks, unmask_in_python(payload[whole:], mask)))


unmask: Callable[[bytes | bytearray | memoryview, bytes], bytes] = unmask_in_python
with contextlib.suppress(ImportError):
    # The extra microsock[speed]: masking in C.
    from websockets.speedups import apply_mask as unmask
