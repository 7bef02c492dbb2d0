"""The short way for plain frames tells exactly what wsproto tells, over random and hostile frames, cut anywhere.

Where the two differ on purpose: the words of a 1007 (wsproto's name a position, which depends on the cut), and what
comes behind our own Close, which nobody reads. `python -m tests.protocol.test_against_wsproto 1000000` runs longer.
"""

from __future__ import annotations

import random
import sys
from itertools import pairwise

import pytest
from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage

from microsock.protocol.events import CloseReceived, Event, MessageReceived, PingReceived, PongReceived
from microsock.protocol.frames import Frames, MessageLimits

Told = tuple[list[Event], bytes]

TEXTS = [
    b"",
    b"a",
    b"hello",
    "grün €𝄞".encode(),
    b"x" * 125,
    b"y" * 126,
    b"z" * 300,
    b"\xff",
    b"caf\xc3",
    b"\xed\xa0\x80",
]
CLOSES = [
    b"",
    b"\x03\xe8",
    b"\x03\xe8bye",
    b"\x03\xed",
    b"\x03",
    b"\x0b\xb8own",
    b"\x03\xe8\xff",
    b"\x00\x00",
    b"\x13\x88",
]


def random_frame(rng: random.Random) -> bytes:
    """Most frames are plain; each of the others breaks or bends a rule."""
    kind = rng.random()
    if kind < 0.5:
        return frame(rng, rng.choice((1, 1, 2)), rng.choice(TEXTS) if rng.random() < 0.9 else rng.randbytes(200))
    if kind < 0.7:
        return frame(rng, rng.choice((0, 0, 1, 2)), rng.choice(TEXTS), fin=rng.random() < 0.5)
    if kind < 0.85:
        return frame(rng, rng.choice((9, 10)), rng.randbytes(rng.choice((0, 4, 125, 125, 126))))
    if kind < 0.9:
        return frame(rng, 8, rng.choice(CLOSES))
    return frame(
        rng,
        rng.randrange(16),
        rng.choice(TEXTS),
        fin=rng.random() < 0.8,
        rsv=rng.choice((0, 0, 0x10, 0x20, 0x40)),
        masked=rng.random() < 0.8,
        extended=rng.choice((None, None, 2, 8)),
    )


def frame(
    rng: random.Random,
    opcode: int,
    payload: bytes,
    *,
    fin: bool = True,
    rsv: int = 0,
    masked: bool = True,
    extended: int | None = None,
) -> bytes:
    """A frame; `extended` says its length in so many bytes, whether it needs them or not."""
    size = len(payload)
    extended = extended or (0 if size < 126 else 2 if size < 65536 else 8)
    short = {0: size, 2: 126, 8: 127}[extended]
    head = bytes((opcode | rsv | 0x80 * fin, short | 0x80 * masked))
    head += size.to_bytes(extended, "big") if extended else b""
    if not masked:
        return head + payload
    mask = rng.randbytes(4)
    return head + mask + bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))


def pieces(rng: random.Random, data: bytes) -> list[bytes]:
    """The bytes cut at random places; in one piece now and then."""
    places = sorted(rng.randrange(len(data) + 1) for _ in range(rng.choice((0, 1, 3, 10, 40))))
    return [data[start:end] for start, end in pairwise([0, *places, len(data)]) if end > start]


def told_by_us(parts: list[bytes]) -> Told:
    frames = Frames(bytearray(), False, MessageLimits(1 << 20, None), None)
    events: list[Event] = []
    for part in parts:
        frames.receive_data(part)
        while (event := frames.next_event()) is not None:
            events.append(event)
    return events, b"".join(frames.data_to_send())


class Reference:
    """wsproto for every byte."""

    def __init__(self) -> None:
        self.wsproto = Connection(ConnectionType.SERVER)
        self.events: list[Event] = []
        self.out = b""
        self.text: list[str] = []
        self.binary: list[bytes] = []
        self.over = False

    def feed(self, data: bytes) -> None:
        self.wsproto.receive_data(data)
        for event in self.wsproto.events():
            if not self.over:
                self.take(event)

    def take(self, event: object) -> None:
        if isinstance(event, TextMessage):
            self.text.append(event.data)
            if event.message_finished:
                self.events.append(MessageReceived("".join(self.text)))
                self.text.clear()
        elif isinstance(event, BytesMessage):
            self.binary.append(bytes(event.data))
            if event.message_finished:
                self.events.append(MessageReceived(b"".join(self.binary)))
                self.binary.clear()
        elif isinstance(event, Ping):
            self.out += self.wsproto.send(event.response())
            self.events.append(PingReceived(bytes(event.payload)))
        elif isinstance(event, Pong):
            self.events.append(PongReceived(bytes(event.payload)))
        elif isinstance(event, CloseConnection):
            self.end(event)

    def end(self, event: CloseConnection) -> None:
        by_peer = self.wsproto.state is ConnectionState.REMOTE_CLOSING
        reason = event.reason or ""
        if not by_peer and event.code == 1007:
            reason = "invalid UTF-8"
        self.out += self.wsproto.send(event.response() if by_peer else CloseConnection(event.code, reason))
        self.events.append(CloseReceived(int(event.code), reason, by_peer))
        self.over = True


def told_by_wsproto(parts: list[bytes]) -> Told:
    reference = Reference()
    for part in parts:
        if not reference.over:
            reference.feed(part)
    return reference.events, reference.out


def compare(seed: int) -> Event | None:
    """One random stream through both; gives how it ended."""
    rng = random.Random(seed)
    stream = b"".join(random_frame(rng) for _ in range(rng.randrange(1, 12)))
    parts = pieces(rng, stream)
    ours = told_by_us(parts)
    assert ours == told_by_wsproto([stream]), f"seed {seed}, cut {parts!r}"
    return ours[0][-1] if ours[0] else None


@pytest.mark.parametrize("block", range(4))
def test_random_and_hostile_frames_tell_the_same_on_both_ways(block: int) -> None:
    ends = [compare(seed) for seed in range(block * 1000, block * 1000 + 1000)]
    codes = {end.code for end in ends if isinstance(end, CloseReceived)}
    # The streams are worth something only if they end in every way.
    assert codes >= {1000, 1002, 1005, 1007}
    assert any(isinstance(end, MessageReceived) for end in ends)


if __name__ == "__main__":
    for seed in range(int(sys.argv[1])):
        compare(seed)
    print(f"{sys.argv[1]} streams, no difference")  # noqa: T201 - the result of the long run
