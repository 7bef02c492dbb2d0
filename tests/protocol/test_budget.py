"""What a session may do before others get their turn: it stops by the amount of work, and goes on where it stopped."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable

import pytest

from microsock.protocol.deflate import Agreement, Deflate
from microsock.protocol.events import CloseReceived, Event, MessageReceived, RequestReceived, RequestStarted, Waiting
from microsock.protocol.frames import Frames, MessageLimits
from microsock.testing import build_frame

from .cuts import cuts
from .talk import Talk
from .test_against_wsproto import pieces, random_frame, told_by_wsproto

pytestmark = pytest.mark.usefixtures("untraced")

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
RSV1 = 4


def begin(size: int = 1 << 20, *, compressed: bool = False) -> Frames:
    return Frames(bytearray(), False, MessageLimits(size, None), Deflate(Agreement()) if compressed else None)


def deflated(payload: bytes, flushes: int = 1) -> bytes:
    """A message's payload as permessage-deflate sends it."""
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    size = -(-len(payload) // flushes) or 1
    packed = b"".join(
        deflater.compress(payload[at : at + size]) + deflater.flush(zlib.Z_SYNC_FLUSH)
        for at in range(0, len(payload) or 1, size)
    )
    return packed.removesuffix(b"\0\0\xff\xff")


def in_turns(frames: Frames, budget: int) -> tuple[list[Event], int]:
    """What there is, if each turn may do so much; and how many turns that took."""
    events: list[Event] = []
    turns = 0
    more = True
    while more:
        turns += 1
        frames.budget = budget
        while (event := frames.next_event()) is not None:
            events.append(event)
        more = frames.budget <= 0
    return events, turns


# Each is 16 kB that a turn must not take whole, and how many bytes of it a turn may take.
FRAGMENT = build_frame(CONTINUATION, b"", fin=False)
INPUTS: dict[str, Callable[[], tuple[Frames, bytes]]] = {
    "empty fragments": lambda: (begin(), build_frame(TEXT, b"", fin=False) + FRAGMENT * 1000),
    "fragments of a byte": lambda: (begin(), (build_frame(TEXT, "a", fin=False) + build_frame(0, "b")) * 500),
    "compressed fragments": lambda: (
        begin(compressed=True), build_frame(TEXT, b"", fin=False, rsv=RSV1) + FRAGMENT * 1000
    ),
    "ended streams": lambda: (
        begin(compressed=True), build_frame(TEXT, b"\x4b\x04\x00" * 4 + b"\0", rsv=RSV1) * 500
    ),
    "lengths in eight bytes": lambda: (
        begin(), build_frame(TEXT, "a", fin=False) + build_frame(CONTINUATION, "b", fin=False, length_bytes=2) * 10
    ),
    "frames behind our Close": lambda: (closing(), build_frame(TEXT, "a") * 2000),
    "fragments behind our Close": lambda: (closing(), FRAGMENT * 2000),
}  # fmt: skip


def closing(*, compressed: bool = False) -> Frames:
    frames = begin(compressed=compressed)
    frames.close(4000, "")
    return frames


@pytest.mark.parametrize("name", [name for name in INPUTS if name != "lengths in eight bytes"])
def test_a_turn_ends_by_the_work_and_not_by_the_events(name: str) -> None:
    frames, data = INPUTS[name]()
    frames.receive_data(data)
    left = frames.buffered
    turns = 0
    while frames.buffered:
        frames.budget = 250
        while frames.next_event() is not None:
            pass
        taken, left = left - frames.buffered, frames.buffered
        assert 0 < taken <= 2000
        turns += 1
    assert turns > 5


def test_what_is_not_bounded_takes_all_there_is() -> None:
    frames = begin()
    frames.receive_data(build_frame(TEXT, b"", fin=False) + FRAGMENT * 1000)
    assert frames.next_event() is None
    assert frames.buffered == 0


@pytest.mark.parametrize("budget", [1, 30, 100, 1000])
def test_the_events_are_the_same_however_often_it_stops(budget: int) -> None:
    for seed in range(400):
        rng = random.Random(seed)
        stream = b"".join(random_frame(rng) for _ in range(rng.randrange(1, 12)))
        frames = begin()
        events: list[Event] = []
        for part in pieces(rng, stream):
            frames.receive_data(part)
            events += in_turns(frames, budget)[0]
        assert (events, b"".join(frames.data_to_send())) == told_by_wsproto([stream]), f"seed {seed}"


@pytest.mark.parametrize("budget", [1, 100])
def test_the_end_of_the_stream_comes_behind_all_that_was_sent(budget: int) -> None:
    frames = begin()
    frames.receive_data((build_frame(TEXT, "a", fin=False) + build_frame(0, "b")) * 50)
    frames.receive_data(b"")
    events, turns = in_turns(frames, budget)
    assert events == [MessageReceived("ab")] * 50 + [CloseReceived(1006, "", True)]
    assert turns > 10


# Large messages.


def random_text(size: int) -> bytes:
    return "".join(random.Random(size).choices("abc€𝄞 ", k=size)).encode()


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("size", [0, 1, 127, 128, (128 << 10) - 1, 128 << 10, (128 << 10) + 1, 700_000])
@pytest.mark.parametrize("repetitive", [False, True])
def test_a_compressed_message_of_any_size_arrives_whole_however_it_is_cut(
    opcode: int, size: int, repetitive: bool
) -> None:
    payload = b"x" * size if repetitive else random_text(size // 2)
    packed = deflated(payload)
    whole = build_frame(opcode, packed, rsv=RSV1)
    middle = len(packed) // 2
    parts = (
        build_frame(opcode, packed[:1], fin=False, rsv=RSV1) + build_frame(PONG, b"p")
        + build_frame(CONTINUATION, packed[1:middle], fin=False) + build_frame(CONTINUATION, b"", fin=False)
        + build_frame(CONTINUATION, packed[middle:] if middle else packed[1:])
    )  # fmt: skip
    expected = MessageReceived(payload.decode() if opcode == TEXT else payload)
    for data in (whole, parts):
        for step in (len(data), 1 + len(data) // 7):
            frames = begin(compressed=True)
            events: list[Event] = []
            for at in range(0, len(data), step):
                frames.receive_data(data[at : at + step])
                events += in_turns(frames, 100)[0]
            assert [event for event in events if isinstance(event, MessageReceived)] == [expected]
            # Nothing of it is left behind.
            frames.receive_data(build_frame(TEXT, "plain") + build_frame(TEXT, deflated(b"packed"), rsv=RSV1))
            assert in_turns(frames, 100)[0] == [MessageReceived("plain"), MessageReceived("packed")]


def test_a_bomb_is_inflated_in_many_turns() -> None:
    frames = begin(compressed=True)
    frames.receive_data(build_frame(BINARY, deflated(bytes(1 << 20)), rsv=RSV1))
    events, turns = in_turns(frames, 250)
    assert events == [MessageReceived(bytes(1 << 20))]
    assert turns >= 8


def test_a_large_message_waits_for_a_turn_of_its_own() -> None:
    frames = begin()
    frames.receive_data(build_frame(BINARY, bytes(1 << 20)))
    frames.budget = 250
    assert frames.next_event() is None
    assert frames.budget <= 0
    assert (frames.held, frames.at_ease) == (1 << 20, False)
    frames.budget = 250
    assert frames.next_event() == MessageReceived(bytes(1 << 20))
    assert (frames.held, frames.at_ease) == (0, True)


def test_a_message_that_waits_for_its_turn_is_not_told_behind_our_close() -> None:
    frames = begin()
    frames.receive_data(build_frame(BINARY, bytes(1 << 20)))
    frames.budget = 250
    assert frames.next_event() is None
    frames.close(1001, "")
    frames.receive_data(build_frame(CLOSE, b"\x03\xe9"))
    assert in_turns(frames, 250)[0] == [CloseReceived(1001, "", False)]


@pytest.mark.parametrize("cut", [False, True])
def test_what_inflates_past_the_limit_is_refused_before_it_is_all_there(cut: bool) -> None:
    frames = begin(300_000, compressed=True)
    packed = deflated(bytes(1 << 24))
    if cut:
        data = build_frame(TEXT, packed[:500], fin=False, rsv=RSV1) + build_frame(CONTINUATION, packed[500:])
    else:
        data = build_frame(TEXT, packed, rsv=RSV1)
    frames.receive_data(data)
    assert in_turns(frames, 250)[0] == [CloseReceived(1009, "message over 300000 bytes", False)]


def test_invalid_text_is_refused_whether_it_is_compressed_or_not() -> None:
    packed = deflated(b"ab\xff")
    for data in (
        build_frame(TEXT, packed, rsv=RSV1),
        build_frame(TEXT, packed[:2], rsv=RSV1, fin=False) + build_frame(CONTINUATION, packed[2:]),
        build_frame(TEXT, deflated(b"ab\xe2\x82"), rsv=RSV1, fin=False) + build_frame(CONTINUATION, b""),
    ):
        for parts in cuts(data):
            frames = begin(compressed=True)
            events: list[Event] = []
            for part in parts:
                frames.receive_data(part)
                events += in_turns(frames, 100)[0]
            assert events == [CloseReceived(1007, "invalid UTF-8", False)]


@pytest.mark.parametrize("streams", [8, 9])
def test_how_often_a_message_may_end_its_stream_does_not_depend_on_the_cut(streams: int) -> None:
    packed = b"\x4b\x04\x00" * streams + b"\0"
    told = MessageReceived("a" * streams) if streams < 9 else CloseReceived(1007, "invalid compressed data", False)
    fragments = [build_frame(TEXT, b"", fin=False, rsv=RSV1)]
    fragments += [build_frame(CONTINUATION, packed[at : at + 4], fin=False) for at in range(0, len(packed), 4)]
    for data in (build_frame(TEXT, packed, rsv=RSV1), b"".join(fragments) + build_frame(CONTINUATION, b"")):
        for parts in cuts(data):
            frames = begin(compressed=True)
            events: list[Event] = []
            for part in parts:
                frames.receive_data(part)
                events += in_turns(frames, 100)[0]
            assert events == [told]


# The size of a message is that of the message.


@pytest.mark.parametrize("size", [1, 100, 3000, 16_384, 100_000, 1 << 20])
@pytest.mark.parametrize("memory", [1, 5, 8, 9])
@pytest.mark.parametrize("fragments", [1, 20])
def test_what_does_not_compress_is_taken_up_to_the_same_size(size: int, memory: int, fragments: int) -> None:
    payload = random.Random(size).randbytes(size)
    deflater = zlib.compressobj(1, zlib.DEFLATED, -15, memory)
    step = -(-size // fragments)
    parts = [
        deflater.compress(payload[at : at + step]) + deflater.flush(zlib.Z_SYNC_FLUSH) for at in range(0, size, step)
    ]
    parts[-1] = parts[-1].removesuffix(b"\0\0\xff\xff")
    data = b"".join(
        build_frame(CONTINUATION if number else BINARY, part, fin=number == len(parts) - 1, rsv=0 if number else RSV1)
        for number, part in enumerate(parts)
    )
    assert len(data) > size
    frames = begin(size, compressed=True)
    frames.receive_data(data)
    assert in_turns(frames, 250)[0] == [MessageReceived(payload)]
    smaller = begin(size - 1, compressed=True)
    smaller.receive_data(data)
    assert in_turns(smaller, 250)[0][-1:] == [CloseReceived(1009, f"message over {size - 1} bytes", False)]


@pytest.mark.parametrize("size", [100, 3000, 1 << 20])
def test_a_compressed_frame_far_over_the_limit_is_refused_at_its_header(size: int) -> None:
    frames = begin(size, compressed=True)
    frames.receive_data(build_frame(BINARY, b"", length=size + size // 16 + 100, rsv=RSV1))
    assert in_turns(frames, 250)[0] == [CloseReceived(1009, f"message over {size} bytes", False)]


def test_what_is_not_compressed_has_no_more_room_behind_what_was() -> None:
    frames = begin(100, compressed=True)
    frames.receive_data(build_frame(BINARY, deflated(b"x"), rsv=RSV1) + build_frame(BINARY, bytes(101)))
    assert in_turns(frames, 250)[0] == [MessageReceived(b"x"), CloseReceived(1009, "message over 100 bytes", False)]


# Behind our Close.

LATE = {
    "messages": build_frame(TEXT, "late") * 3,
    "large messages": build_frame(BINARY, bytes(100_000)),
    "text that is none": build_frame(TEXT, b"\xff"),
    "fragments": build_frame(TEXT, "a", fin=False) + build_frame(CONTINUATION, "b"),
    "fragments of nothing": build_frame(CONTINUATION, "b", fin=False) * 5000,
    "what cannot be inflated": build_frame(BINARY, b"\xff" * 50, rsv=RSV1),
    "bombs": build_frame(BINARY, deflated(bytes(1 << 20)), rsv=RSV1),
    "pings": build_frame(PING, b"a") + build_frame(PONG, b""),
    "more than may be sent": build_frame(BINARY, bytes(2 << 20)),
}
# What comes before our Close and is only half there by then.
HALF = {
    "nothing": (b"", b""),
    "half a header": (build_frame(TEXT, "abc")[:1], build_frame(TEXT, "abc")[1:]),
    "half a text": (build_frame(TEXT, "abc")[:-1], build_frame(TEXT, "abc")[-1:]),
    "half a binary message": (build_frame(BINARY, bytes(9))[:-5], build_frame(BINARY, bytes(9))[-5:]),
    "half a message": (build_frame(TEXT, "a", fin=False), build_frame(CONTINUATION, "b")),
    "half a compressed message": (build_frame(TEXT, b"x", fin=False, rsv=RSV1), build_frame(CONTINUATION, b"y")),
    "half a compressed frame": (build_frame(BINARY, b"\xffabc", rsv=RSV1)[:-2], b"\0\0"),
    "half a ping": (build_frame(PING, b"abc")[:-1], build_frame(PING, b"abc")[-1:]),
}


@pytest.mark.parametrize("half", HALF)
@pytest.mark.parametrize("late", LATE)
def test_behind_our_close_only_the_peers_is_looked_for(half: str, late: str) -> None:
    before, rest = HALF[half]
    end = build_frame(CLOSE, b"\x0f\xa0bye")
    for size in (1 << 30, 4097):
        frames = begin(compressed=True)
        if before:
            frames.receive_data(before)
        events = in_turns(frames, 250)[0]
        frames.data_to_send()
        frames.close(4000, "")
        assert len(frames.data_to_send()) == 1
        data = rest + LATE[late] + end
        for at in range(0, len(data), size):
            assert frames.waiting is Waiting.CLOSE
            frames.receive_data(data[at : at + size])
            events += in_turns(frames, 250)[0]
        assert [event for event in events if isinstance(event, (MessageReceived, CloseReceived))] == [
            CloseReceived(4000, "bye", False)
        ]
        assert frames.data_to_send() == []


def test_the_peers_close_is_found_when_half_of_it_came_before_ours() -> None:
    data = build_frame(CLOSE, b"\x0f\xa0bye")
    for cut in range(1, len(data)):
        frames = begin()
        frames.receive_data(data[:cut])
        assert frames.next_event() is None
        frames.close(4000, "")
        frames.receive_data(data[cut:])
        assert frames.next_event() == CloseReceived(4000, "bye", False)


@pytest.mark.parametrize(
    "broken",
    [
        build_frame(7), build_frame(TEXT, "a", mask=None), build_frame(TEXT, "a", rsv=1), build_frame(PING, bytes(126)),
        build_frame(PING, b"", fin=False), build_frame(TEXT, "a", length_bytes=8), build_frame(CLOSE, b"\x03"),
        build_frame(CLOSE, b"\x03\xe8\xff"), build_frame(PING, b"", rsv=RSV1),
    ],
)  # fmt: skip
def test_a_frame_that_breaks_the_protocol_ends_it_behind_our_close_too(broken: bytes) -> None:
    frames = closing(compressed=True)
    frames.receive_data(build_frame(TEXT, "a") + broken)
    (end,) = in_turns(frames, 250)[0]
    assert isinstance(end, CloseReceived)
    assert end.code in (1002, 1007)
    assert not end.by_peer


# Requests.


@pytest.mark.parametrize("ending", [b"", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"])
@pytest.mark.parametrize("budget", [1, 50, 250])
@pytest.mark.parametrize("chunk", [b"1\r\nx\r\n", b'1;a="b";c=d\r\nx\r\n', b"0001\r\nx\r\n"])
def test_a_chunked_body_is_read_in_many_turns_and_arrives_whole(ending: bytes, budget: int, chunk: bytes) -> None:
    talk = Talk(body_limit=1 << 20)
    talk.http.receive_data(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert isinstance(talk.http.next_event(), RequestStarted)
    assert talk.http.admit(1 << 20) is None
    talk.http.receive_data(chunk * 3000 + b"0\r\nA: b\r\n\r\n" + ending)
    if not ending:
        talk.http.receive_data(b"")
    left, turns = talk.http.buffered, 0
    while True:
        talk.http.budget = budget
        event = talk.http.next_event()
        turns += 1
        taken, left = left - talk.http.buffered, talk.http.buffered
        if event is not None:
            break
        assert talk.http.budget <= 0
        assert 0 < taken < 10_000
    assert turns > 10
    assert isinstance(event, RequestReceived)
    assert event.request.body == b"x" * 3000
    assert left == len(ending)
