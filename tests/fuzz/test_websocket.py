"""Random and hostile streams of frames, cut anywhere, against the WebSocket half: wsproto and what stands before it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from microsock.testing import Frame, TestClient, build_frame, read_frames

from .watch import UPGRADE, answers_to, cut, make_app, nothing_escapes

pytestmark = pytest.mark.usefixtures("untraced")

BOUNDED = settings(max_examples=150, deadline=None, derandomize=True)
ROUTES = st.sampled_from([b"/ws", b"/generator"])
CLOSE, PONG = 8, 10
CODES = {1000, 1002, 1003, 1007, 1008, 1009}


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with make_app().test_client() as client:
        yield client


payloads = st.one_of(
    st.binary(max_size=150),
    st.text(max_size=40).map(str.encode),
    st.sampled_from([b"", b"\x03\xe8", b"\x03\xe8bye", b"\x03\xed", b"\x03", b"\xff\xff", b"\x03\xe8\xff", b"x" * 500]),
)
# What a header says of the length, and in how many bytes; None is what is right.
lengths = st.sampled_from(
    [(None, None)] * 8 + [(0, 2), (5, None), (126, None), (126, 8), (70000, None), (2**63 - 1, None), (2**63, None)]
)
hostile = st.builds(
    lambda opcode, payload, fin, rsv, mask, length: build_frame(
        opcode, payload, fin=fin, rsv=rsv, mask=mask, length=length[0], length_bytes=length[1]
    ),
    st.one_of(st.integers(0, 15), st.sampled_from([0, 1, 2, 8, 9, 10])),
    payloads,
    st.booleans(),
    st.sampled_from([0] * 6 + [1, 4]),
    st.sampled_from([b"\0\0\0\0", b"\x12\x34\x56\x78", b"\xff\x00\xff\x00", None]),
    lengths,
)
streams = st.lists(st.one_of(hostile, st.binary(max_size=20)), max_size=8).map(b"".join)
places = st.lists(st.integers(0, 3000), max_size=6)


def _frames(received: bytes) -> list[Frame]:
    # What the server sent behind its 101, to the last byte.
    head, _, rest = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 ")
    buffer = bytearray(rest)
    frames = list(read_frames(buffer))
    assert not buffer
    return frames


def _check_frames(frames: Sequence[Frame]) -> None:
    # RFC 6455 section 5: nothing behind a Close, no reserved bits, control frames whole and short.
    closes = [number for number, frame in enumerate(frames) if frame.opcode == CLOSE]
    assert closes in ([], [len(frames) - 1])
    for frame in frames:
        assert frame.rsv == 0
        assert frame.fin
        assert frame.opcode in (1, 2, CLOSE, 9, PONG)
        assert frame.opcode < CLOSE or len(frame.payload) <= 125
        if frame.opcode == 1:
            frame.payload.decode()


@BOUNDED
@given(ROUTES, streams, places, st.booleans())
def test_hostile_frames(client: TestClient, route: bytes, data: bytes, places: list[int], half_close: bool) -> None:
    with nothing_escapes(client, len(data)) as connection:
        received = answers_to(connection, [UPGRADE % route, *cut(data, places)])
        if half_close:
            connection.half_close()
        client.advance(100)
        received += connection.receive()
    frames = _frames(received)
    _check_frames(frames)
    assert connection.ended
    assert not connection.was_reset


@BOUNDED
@given(ROUTES, st.binary(max_size=1000), places)
def test_random_bytes(client: TestClient, route: bytes, data: bytes, places: list[int]) -> None:
    with nothing_escapes(client, len(data)) as connection:
        received = answers_to(connection, [UPGRADE % route, *cut(data, places)])
    _check_frames(_frames(received))


messages = st.one_of(st.text(max_size=100), st.binary(max_size=400))
# A message, where it is cut into fragments, and the pings between them.
sendings = st.lists(st.tuples(messages, places, st.lists(st.binary(max_size=20), max_size=3)), max_size=6)


def _as_frames(message: str | bytes, places: Sequence[int], pings: Sequence[bytes]) -> bytes:
    data = message.encode() if isinstance(message, str) else message
    fragments = cut(data, places)
    opcodes = [1 if isinstance(message, str) else 2] + [0] * len(fragments)
    frames = [
        build_frame(opcode, part, fin=number == len(fragments) - 1)
        for number, (opcode, part) in enumerate(zip(opcodes, fragments, strict=False))
    ]
    for number, ping in enumerate(pings):
        frames.insert(number % (len(frames) + 1), build_frame(9, ping))
    return b"".join(frames)


@BOUNDED
@given(ROUTES, sendings, places)
def test_every_message_comes_back_and_every_ping_however_they_are_cut(
    client: TestClient, route: bytes, sendings: list[tuple[str | bytes, list[int], list[bytes]]], places: list[int]
) -> None:
    data = b"".join(_as_frames(*sending) for sending in sendings) + build_frame(CLOSE, b"\x03\xe8")
    with nothing_escapes(client, len(data)) as connection:
        received = answers_to(connection, cut(UPGRADE % route + data, places))
    frames = _frames(received)
    _check_frames(frames)
    echoes = [frame.payload.decode() if frame.opcode == 1 else frame.payload for frame in frames if frame.opcode < 3]
    assert echoes == [message for message, _, _ in sendings]
    pongs = [frame.payload for frame in frames if frame.opcode == PONG]
    assert pongs == [ping for _, _, pings in sendings for ping in pings]
    assert frames[-1] == Frame(CLOSE, b"\x03\xe8", True, 0)


COSTLY = {
    "empty fragments": build_frame(1, b"", fin=False) + build_frame(0, b"", fin=False) * 2700,
    "tiny fragments": build_frame(1, b"x", fin=False) + build_frame(0, b"x", fin=False) * 2300,
    "pings": build_frame(9, b"") * 2700,
    "empty messages": build_frame(1, b"") * 2700,
    "a message byte by byte": build_frame(1, b"x" * 16_000),
    "a frame that never ends": build_frame(2, b"x" * 16_000, length=1_000_000),
    "a header that says 2**62": build_frame(2, b"x" * 16_000, length=2**62),
    "closes": build_frame(8, b"\x03\xe8") * 1800,
}


@pytest.mark.parametrize("what", COSTLY)
@pytest.mark.parametrize(("size", "step"), [(16 << 10, 16 << 10), (8 << 10, 3)])
def test_no_stream_costs_more_than_its_length(what: str, size: int, step: int) -> None:
    data = COSTLY[what][:size]
    app = make_app()
    app.settings_given.clear()  # the limits that are on by default
    with app.test_client() as client, nothing_escapes(client, len(data), len(data) // step) as connection:
        connection.send(UPGRADE % b"/ws")
        for start in range(0, len(data), step):
            connection.send(data[start : start + step])
            connection.receive()
