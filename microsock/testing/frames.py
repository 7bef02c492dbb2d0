"""WebSocket frames, byte by byte (RFC 6455 section 5.2): to write what no well-behaved client would send.

Knows the layout of a frame and nothing of what is allowed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["BINARY", "CLOSE", "CONTINUATION", "PING", "PONG", "TEXT", "Frame", "build_frame", "read_frames"]

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10

_MASK = b"\x12\x34\x56\x78"


class Frame(NamedTuple):
    """One frame as it was read; ``rsv`` holds the three reserved bits, RSV1 as 4."""

    opcode: int
    payload: bytes
    fin: bool
    rsv: int


def build_frame(
    opcode: int = TEXT,
    payload: bytes | str = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    mask: bytes | None = _MASK,
    length: int | None = None,
    length_bytes: int | None = None,
) -> bytes:
    """One frame, allowed or not.

    Args:
        opcode: 0 to 15.
        payload: bytes, or text that is sent as UTF-8.
        fin: whether the message ends here.
        rsv: the three reserved bits, RSV1 as 4.
        mask: four bytes; None leaves the frame unmasked, which a server must refuse (section 5.1).
        length: what the header says instead of the payload's true length.
        length_bytes: 0, 2 or 8 bytes of extended length instead of the fewest that do.
    """
    data = payload.encode() if isinstance(payload, str) else payload
    said = len(data) if length is None else length
    size = (0 if said < 126 else 2 if said < 1 << 16 else 8) if length_bytes is None else length_bytes
    short = {0: said, 2: 126, 8: 127}[size]
    head = bytes([fin << 7 | rsv << 4 | opcode, (mask is not None) << 7 | short])
    head += said.to_bytes(size, "big") if size else b""
    return head + data if mask is None else head + mask + _masked(data, mask)


def read_frames(buffer: bytearray) -> Iterator[Frame]:
    """Take whole frames, masked or not, off the front of ``buffer``; what is left is a part of one."""
    while (frame := _read_frame(buffer)) is not None:
        yield frame


def _read_frame(buffer: bytearray) -> Frame | None:
    if len(buffer) < 2:
        return None
    short, masked = buffer[1] & 0x7F, buffer[1] >> 7
    size = {126: 2, 127: 8}.get(short, 0)
    start = 2 + size + 4 * masked
    length = int.from_bytes(buffer[2 : 2 + size], "big") if size else short
    if len(buffer) < start + length:
        return None
    payload = bytes(buffer[start : start + length])
    first, mask = buffer[0], bytes(buffer[start - 4 : start])
    del buffer[: start + length]
    return Frame(first & 0xF, _masked(payload, mask) if masked else payload, first >= 0x80, first >> 4 & 7)


def _masked(data: bytes, mask: bytes) -> bytes:
    # As two long numbers: a megabyte byte by byte would take a tenth of a second.
    key = (mask * (len(data) // 4 + 1))[: len(data)]
    return (int.from_bytes(data) ^ int.from_bytes(key)).to_bytes(len(data))
