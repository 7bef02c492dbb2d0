"""WebSocket frames by hand (RFC 6455 section 5), so that wrong ones can be written and right ones checked strictly."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["CLOSE", "PING", "PONG", "TEXT", "BINARY", "CONTINUATION", "Frame", "close", "frame", "read_frames"]

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
_MASK = b"\x01\x02\x03\x04"


class Frame(NamedTuple):
    """A frame that the server sent."""

    opcode: int
    payload: bytes

    @property
    def code(self) -> int:
        """The code of a Close frame; 1005 where it has none."""
        return int.from_bytes(self.payload[:2], "big") if self.payload else 1005


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    final: bool = True,
    reserved: int = 0,
    masked: bool = True,
    size: int | None = None,
) -> bytes:
    """A client's frame; ``size`` lies about the payload's length, and has the widest form where it is too large."""
    length = len(payload) if size is None else size
    first = opcode | reserved << 4 | final << 7
    if length < 126:
        head = bytes([first, masked << 7 | length])
    elif length < 1 << 16:
        head = bytes([first, masked << 7 | 126]) + length.to_bytes(2, "big")
    else:
        head = bytes([first, masked << 7 | 127]) + length.to_bytes(8, "big")
    if not masked:
        return head + payload
    return head + _MASK + bytes(byte ^ _MASK[i % 4] for i, byte in enumerate(payload))


def close(code: int | None = 1000, reason: bytes = b"") -> bytes:
    """A client's Close frame."""
    return frame(CLOSE, b"" if code is None else code.to_bytes(2, "big") + reason)


def read_frames(data: bytes) -> list[Frame]:
    """The server's frames. Raises ``AssertionError`` for one that a server must not send."""
    frames = []
    while data:
        first, second = data[0], data[1]
        assert first & 0xF0 == 0x80, f"a fragment or reserved bits: {first:08b}"
        assert not second & 0x80, "a server's frame is masked"
        length, start = second, 2
        if second >= 126:
            start += 2 if second == 126 else 8
            length = int.from_bytes(data[2:start], "big")
            assert length >= (126 if second == 126 else 1 << 16), "a length not written in its shortest form"
        assert len(data) >= start + length, "a frame without its end"
        frames.append(Frame(first & 0xF, data[start : start + length]))
        data = data[start + length :]
    assert all(item.opcode != CLOSE for item in frames[:-1]), "a frame behind the Close"
    return frames
