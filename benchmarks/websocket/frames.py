"""What goes over the wire (RFC 6455 section 5), made before the clock runs; and a reader for unusual answers."""

from __future__ import annotations

import random
import string
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["BINARY", "CLOSE", "PING", "PONG", "TEXT", "Exchange", "Frame", "FrameReader", "exchanges", "frame"]

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
_CONTROL = 8
_ALPHABET = string.ascii_letters + string.digits + " .,-"


class Frame(NamedTuple):
    """A message or a control frame as the server sent it; fragments are joined."""

    opcode: int
    payload: bytes


class Exchange(NamedTuple):
    """A message to the server and the one it must answer with."""

    sent: bytes
    """The masked frame."""
    answer: bytes
    """The same message as nearly every server frames it: whole, unmasked, its length in the shortest form."""
    message: Frame


def exchanges(opcode: int, size: int, count: int) -> list[Exchange]:
    """Messages of ``size`` bytes, each with a payload and a mask of its own; the same in every run."""
    source = random.Random(size)
    made = []
    for _ in range(count):
        payload = _text(source, size) if opcode == TEXT else source.randbytes(size)
        sent = frame(opcode, payload, source.randbytes(4))
        made.append(Exchange(sent, frame(opcode, payload), Frame(opcode, payload)))
    return made


def frame(opcode: int, payload: bytes, mask: bytes = b"") -> bytes:
    """A whole message in one frame: as a client sends it with a mask, as a server does without."""
    length, masked = len(payload), 0x80 if mask else 0
    if length < 126:
        head = bytes([0x80 | opcode, masked | length])
    elif length < 1 << 16:
        head = bytes([0x80 | opcode, masked | 126]) + length.to_bytes(2, "big")
    else:
        head = bytes([0x80 | opcode, masked | 127]) + length.to_bytes(8, "big")
    return head + mask + (_xor(payload, mask) if mask else payload)


def _xor(payload: bytes, mask: bytes) -> bytes:
    key = (mask * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(len(payload), "big")


def _text(source: random.Random, size: int) -> bytes:
    return "".join(source.choices(_ALPHABET, k=size)).encode()


class FrameReader:
    """Reads any legal frames of a server, for one that fragments, pings, or writes a length the long way."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._opcode = CONTINUATION
        self._payload = bytearray()

    def feed(self, data: bytes | bytearray) -> Iterator[Frame]:
        """Take bytes and give the messages and control frames that they complete."""
        self._buffer += data
        while (size := self._size()) and len(self._buffer) >= sum(size):
            head, length = size
            first = self._buffer[0]
            payload = bytes(self._buffer[head : head + length])
            del self._buffer[: head + length]
            if (found := self._joined(first & 0x0F, first >= 0x80, payload)) is not None:
                yield found

    def _size(self) -> tuple[int, int] | None:
        # Bytes of the first frame's head and of its payload; None while the head is incomplete.
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        extended = {126: 2, 127: 8}.get(buffer[1], 0)
        if len(buffer) < 2 + extended:
            return None
        return 2 + extended, int.from_bytes(buffer[2 : 2 + extended], "big") if extended else buffer[1]

    def _joined(self, opcode: int, final: bool, payload: bytes) -> Frame | None:
        if opcode >= _CONTROL:
            return Frame(opcode, payload)
        if opcode != CONTINUATION:
            self._opcode = opcode
            self._payload.clear()
        self._payload += payload
        return Frame(self._opcode, bytes(self._payload)) if final else None
