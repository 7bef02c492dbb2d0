from __future__ import annotations

import pytest

from microsock.protocol.codec import message_frame
from microsock.protocol.deflate import Agreement, Deflate
from microsock.protocol.events import CloseReceived, Event, MessageReceived, PingReceived, PongReceived, Waiting
from microsock.protocol.frames import Frames, MessageLimits
from microsock.testing import Frame, build_frame, read_frames
from microsock.testing.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT

from .cuts import cuts

SIZE = 1 << 16


def begin(size: int = SIZE, fragments: int | None = None, *, behind: bytes = b"", ended: bool = False) -> Frames:
    """One connection just after its handshake, with what came behind that."""
    return Frames(bytearray(behind), ended, MessageLimits(size, fragments), None)


def events_of(frames: Frames) -> list[Event]:
    return list(iter(frames.next_event, None))


def feed(frames: Frames, *pieces: bytes) -> list[Event]:
    """What these bytes bring about, pings aside; empty bytes are the end of the stream."""
    events: list[Event] = []
    for piece in pieces:
        frames.receive_data(piece)
        events += events_of(frames)
    return [event for event in events if not isinstance(event, PingReceived)]


def sent(frames: Frames) -> list[Frame]:
    buffer = bytearray(b"".join(frames.data_to_send()))
    found = list(read_frames(buffer))
    assert not buffer
    return found


def close_frame(code: int, reason: str = "") -> bytes:
    return build_frame(CLOSE, code.to_bytes(2, "big") + reason.encode())


def closes(frames: Frames) -> list[tuple[int, str]]:
    return [
        (int.from_bytes(frame.payload[:2], "big"), frame.payload[2:].decode())
        for frame in sent(frames)
        if frame.opcode == CLOSE
    ]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536])
@pytest.mark.parametrize("binary", [False, True])
def test_a_message_of_any_length_arrives_whole(size: int, binary: bool) -> None:
    message: str | bytes = b"\xff" * size if binary else "x" * size
    data = build_frame(BINARY if binary else TEXT, message)
    assert feed(begin(), data) == [MessageReceived(message)]
    assert feed(begin(), data[:1], data[1:5], data[5:]) == [MessageReceived(message)]


CONVERSATIONS = [
    (build_frame(TEXT, "grüß dich 👋"), [MessageReceived("grüß dich 👋")]),
    (
        build_frame(TEXT, "a", fin=False) + build_frame(CONTINUATION, "", fin=False) + build_frame(CONTINUATION, "b"),
        [MessageReceived("ab")],
    ),
    # A character may be cut by a fragment's end (RFC 6455 section 5.6).
    (build_frame(TEXT, b"\xf0\x9f", fin=False) + build_frame(CONTINUATION, b"\x91\x8b"), [MessageReceived("👋")]),
    # Control frames may come between fragments (section 5.4).
    (
        build_frame(BINARY, b"a", fin=False) + build_frame(PONG, b"p") + build_frame(CONTINUATION, b"b"),
        [PongReceived(b"p"), MessageReceived(b"ab")],
    ),
    (build_frame(TEXT, "a") + build_frame(BINARY, b"b"), [MessageReceived("a"), MessageReceived(b"b")]),
    (build_frame(TEXT, "a") + close_frame(3000, "bye"), [MessageReceived("a"), CloseReceived(3000, "bye", True)]),
    (build_frame(TEXT, "a") + b"", [MessageReceived("a")]),
]


@pytest.mark.parametrize(("data", "expected"), CONVERSATIONS)
def test_the_same_messages_arrive_however_they_are_cut(data: bytes, expected: list[Event]) -> None:
    for pieces in cuts(data):
        assert feed(begin(), *pieces) == expected


def test_a_ping_is_answered_with_its_payload_even_between_fragments() -> None:
    data = build_frame(TEXT, "a", fin=False) + build_frame(PING, b"here?") + build_frame(CONTINUATION, "b")
    for pieces in cuts(data):
        frames = begin()
        assert feed(frames, *pieces) == [MessageReceived("ab")]
        assert sent(frames) == [Frame(PONG, b"here?", True, 0)]


def test_every_ping_is_an_event_so_that_a_flood_of_them_does_not_fill_a_turn() -> None:
    frames = begin(behind=build_frame(PING, b"1") + build_frame(PING, b"2"))
    assert frames.next_event() == PingReceived(b"1")
    assert frames.buffered == 7
    assert frames.next_event() == PingReceived(b"2")
    assert frames.buffered == 0


def test_what_is_not_asked_for_stays_unparsed() -> None:
    frames = begin(behind=build_frame(TEXT, "a") + build_frame(TEXT, "b") + b"\xff\xff\xff")
    assert frames.next_event() == MessageReceived("a")
    assert frames.buffered == 10
    assert frames.next_event() == MessageReceived("b")


BROKEN = [
    # Frames (RFC 6455 section 5.2).
    (build_frame(TEXT, "a", mask=None), 1002),
    (build_frame(PING, b"a", mask=None), 1002),
    (build_frame(TEXT, "a", rsv=4), 1002),
    (build_frame(TEXT, "a", rsv=2), 1002),
    (build_frame(PING, b"a", rsv=1), 1002),
    (build_frame(3, "a"), 1002),
    (build_frame(7, "a"), 1002),
    (build_frame(11, b"a"), 1002),
    (build_frame(15, b"a"), 1002),
    (build_frame(TEXT, "a", length_bytes=2), 1002),
    (build_frame(BINARY, b"a" * 126, length_bytes=8), 1002),
    (build_frame(CONTINUATION, "a"), 1002),
    (build_frame(TEXT, "a") + build_frame(CONTINUATION, "b"), 1002),
    (build_frame(TEXT, "a", fin=False) + build_frame(TEXT, "b"), 1002),
    # Control frames (section 5.5).
    (build_frame(PING, b"a" * 126), 1002),
    (build_frame(PONG, b"a" * 126), 1002),
    (build_frame(CLOSE, b"\x03\xe8" + b"a" * 124), 1002),
    (build_frame(PING, b"a", fin=False), 1002),
    (build_frame(CLOSE, b"", fin=False), 1002),
    (build_frame(CLOSE, b"\x03"), 1002),
    *((close_frame(code), 1002) for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535)),
    # Text (section 8.1).
    (build_frame(TEXT, b"\xff"), 1007),
    (build_frame(TEXT, b"\xc3"), 1007),
    (build_frame(TEXT, b"\xed\xa0\x80"), 1007),
    (build_frame(TEXT, b"\xf4\x90\x80\x80"), 1007),
    (build_frame(TEXT, b"\xc3", fin=False) + build_frame(CONTINUATION, b"\x28"), 1007),
    (build_frame(TEXT, b"\xc3", fin=False) + build_frame(CONTINUATION, b""), 1007),
    (build_frame(CLOSE, b"\x03\xe8\xff"), 1007),
    (build_frame(CLOSE, b"\x03\xf6\xff"), 1007),
    # Too much (see also below).
    (build_frame(BINARY, bytes(SIZE + 1)), 1009),
    (build_frame(TEXT, "a", length=1 << 40), 1009),
    (build_frame(BINARY, bytes(SIZE), fin=False) + build_frame(CONTINUATION, b"a"), 1009),
]


@pytest.mark.parametrize(("data", "code"), BROKEN)
def test_a_peer_that_breaks_the_protocol_is_told_so_and_read_no_more(data: bytes, code: int) -> None:
    for pieces in [[data], [data[:3], data[3:]], [data[:-1], data[-1:]]]:
        frames = begin()
        *_, end = feed(frames, *pieces)
        assert isinstance(end, CloseReceived)
        assert (end.code, end.by_peer) == (code, False)
        assert [code for code, _ in closes(frames)] == [code]
        assert frames.waiting is Waiting.NOTHING
        assert feed(frames, build_frame(TEXT, "more"), b"") == []


@pytest.mark.parametrize(
    "data", [build_frame(TEXT, b"ab\xff", fin=False), build_frame(TEXT, b"ab\xffcd"), build_frame(7, b"a")]
)
def test_the_verdict_and_its_words_do_not_depend_on_the_cut(data: bytes) -> None:
    verdicts = set()
    for pieces in cuts(data):
        frames = begin()
        verdicts.add((*feed(frames, *pieces), *closes(frames)))
    assert len(verdicts) == 1


def test_invalid_text_is_refused_before_its_frame_is_whole() -> None:
    frames = begin()
    (end,) = feed(frames, build_frame(TEXT, b"ab\xff" + b"c" * 100)[:20])
    assert isinstance(end, CloseReceived)
    assert end.code == 1007


def test_echoes_that_are_due_before_a_broken_frame_go_out_first() -> None:
    frames = begin()
    feed(frames, build_frame(PING, b"a") + build_frame(7, b""))
    assert [frame.opcode for frame in sent(frames)] == [PONG, CLOSE]


def test_a_message_that_is_too_large_is_refused_at_its_header() -> None:
    for data in [build_frame(BINARY, b"", length=11), build_frame(TEXT, b"", length=11)]:
        frames = begin(size=10)
        assert feed(frames, data) == [CloseReceived(1009, "message over 10 bytes", False)]
    assert feed(begin(size=10), build_frame(BINARY, bytes(10))) == [MessageReceived(bytes(10))]


def test_the_bytes_of_a_message_are_counted_across_its_fragments_and_anew_for_the_next() -> None:
    part = build_frame(BINARY, bytes(5), fin=False)
    whole = part + build_frame(CONTINUATION, bytes(5))
    frames = begin(size=10)
    assert feed(frames, whole + whole) == [MessageReceived(bytes(10))] * 2
    (end,) = feed(frames, part + build_frame(CONTINUATION, bytes(5), fin=False) + build_frame(CONTINUATION, b"x"))
    assert isinstance(end, CloseReceived)
    assert end.code == 1009


@pytest.mark.parametrize(("payload", "most"), [(b"", 1024), (b"x" * 64, 2048)])
def test_a_message_has_1024_fragments_and_one_more_for_each_64_bytes(payload: bytes, most: int) -> None:
    first, more = build_frame(BINARY, b"", fin=False), build_frame(CONTINUATION, payload, fin=False)
    frames = begin(size=1 << 20)
    # Each fragment of 64 bytes earns the next one: none of them is ever too many.
    assert feed(frames, first + more * 1023) == []
    end = feed(frames, more * 1025)
    assert end == ([CloseReceived(1009, "too many fragments", False)] if most == 1024 else [])


def test_the_number_of_fragments_can_be_set() -> None:
    frames = begin(fragments=2)
    parts = build_frame(TEXT, "a", fin=False), build_frame(CONTINUATION, "b", fin=False)
    assert feed(frames, *parts) == []
    assert feed(frames, build_frame(CONTINUATION, "c")) == [CloseReceived(1009, "too many fragments", False)]


def test_100000_empty_fragments_are_stopped_early() -> None:
    frames = begin(behind=build_frame(TEXT, b"", fin=False) + build_frame(CONTINUATION, b"", fin=False) * 100_000)
    assert events_of(frames) == [CloseReceived(1009, "too many fragments", False)]
    assert frames.buffered > 590_000


@pytest.mark.parametrize(
    ("payload", "code", "reason"),
    [
        (b"\x03\xe8bye", 1000, "bye"),
        (b"\x0f\xa0", 4000, ""),
        (b"", 1005, ""),
        (b"\x03\xe9" + b"r" * 123, 1001, "r" * 123),
        *((code.to_bytes(2, "big") + b"later", code, "later") for code in range(1007, 1015)),
        (b"\x03\xf6", 1014, ""),
    ],
)
def test_the_peers_close_is_answered_with_its_own_code(payload: bytes, code: int, reason: str) -> None:
    for pieces in cuts(build_frame(CLOSE, payload)):
        frames = begin()
        assert feed(frames, *pieces) == [CloseReceived(code, reason, True)]
        (answer,) = sent(frames)
        assert answer.opcode == CLOSE
        assert answer.payload[:2] == payload[:2]
        assert frames.waiting is Waiting.NOTHING


def test_nothing_behind_the_peers_close_is_read() -> None:
    frames = begin()
    assert feed(frames, close_frame(1000) + build_frame(TEXT, "a")) == [CloseReceived(1000, "", True)]
    assert feed(frames, b"") == []


def test_after_our_close_the_peers_is_still_to_come() -> None:
    frames = begin()
    frames.close(4000, "bye")
    frames.close(1000, "again")
    assert closes(frames) == [(4000, "bye")]
    assert (frames.close_sent, frames.waiting) == (4000, Waiting.CLOSE)
    assert feed(frames, build_frame(TEXT, "late") + build_frame(PING, b"late")) == []
    assert sent(frames) == []
    assert feed(frames, close_frame(4000)) == [CloseReceived(4000, "", False)]
    assert (sent(frames), frames.waiting) == ([], Waiting.NOTHING)


def test_a_peer_that_breaks_the_protocol_after_our_close_gets_no_second_one() -> None:
    frames = begin()
    frames.close(1000, "")
    (end,) = feed(frames, build_frame(7, b""))
    assert isinstance(end, CloseReceived)
    assert closes(frames) == [(1000, "")]
    assert frames.waiting is Waiting.NOTHING


@pytest.mark.parametrize("before", [b"", build_frame(TEXT, "a", fin=False), build_frame(TEXT, "abc")[:-1], b"\x81"])
def test_the_end_of_the_stream_without_a_close_is_1006(before: bytes) -> None:
    frames = begin(behind=before)
    assert events_of(frames) == []
    assert not frames.peer_ended
    assert feed(frames, b"") == [CloseReceived(1006, "", True)]
    assert (frames.peer_ended, frames.waiting) == (True, Waiting.NOTHING)


def test_messages_before_the_end_of_the_stream_come_first() -> None:
    frames = begin(behind=build_frame(TEXT, "a") + build_frame(TEXT, "b"), ended=True)
    assert events_of(frames) == [MessageReceived("a"), MessageReceived("b"), CloseReceived(1006, "", True)]


def test_a_compressed_message_that_ends_its_stream_again_and_again_is_refused() -> None:
    # Each end costs a copy of what follows: 1 MiB of them would take ten seconds of CPU.
    def begin_compressed() -> Frames:
        return Frames(bytearray(), False, MessageLimits(1 << 20, None), Deflate(Agreement()))

    ending = b"\x4b\x04\x00"
    once, often = (build_frame(TEXT, ending * count, rsv=4) for count in (2, 100_000))
    assert feed(begin_compressed(), once) == [MessageReceived("aa")]
    assert feed(begin_compressed(), often) == [CloseReceived(1007, "invalid compressed data", False)]


def test_what_is_sent_is_one_unmasked_frame() -> None:
    frames = begin()
    frames.send_message("grüß")
    frames.send_message(bytes(70_000))
    frames.send_frame(message_frame("to all") + message_frame(b"to all"))
    frames.ping(b"p")
    assert sent(frames) == [
        Frame(TEXT, "grüß".encode(), True, 0),
        Frame(BINARY, bytes(70_000), True, 0),
        Frame(TEXT, b"to all", True, 0),
        Frame(BINARY, b"to all", True, 0),
        Frame(PING, b"p", True, 0),
    ]
    assert frames.data_to_send() == []
