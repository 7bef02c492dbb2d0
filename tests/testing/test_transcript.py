"""The wire transcript reads as a talk."""

from __future__ import annotations

from microsock.testing.frames import BINARY, CLOSE, CONTINUATION, PING, TEXT, build_frame
from microsock.testing.transcript import Transcript


def said(who: str, *pieces: bytes | str, after: bytes = b"") -> str:
    transcript = Transcript(lambda: 1.5)
    if after:
        transcript.note(1, "server", after)
    for piece in pieces:
        transcript.note(1, who, piece)
    return transcript.text(since=1 if after else 0)


SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"


def test_each_piece_tells_when_on_which_connection_and_who() -> None:
    assert said("client", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") == (
        "   1.500s  #1 client > GET / HTTP/1.1\n                       Host: a\n                       "
    )
    assert said("server", "half-closes") == "   1.500s  #1 server < half-closes"


def test_what_cannot_be_printed_is_escaped() -> None:
    assert said("client", b"a\x00\xff\tb\n").endswith(r"> a\x00ÿ\tb\n")


def test_long_lines_and_many_lines_are_cut_and_counted() -> None:
    assert said("client", b"x" * 1000).endswith("x" * 120 + " … 1000 in all")
    assert said("client", bytes(100)).endswith(r"\x00" * 30 + " … 100 in all")
    assert said("client", b"line\r\n" * 25).endswith("… 5 more lines, 150 bytes in all")


def test_after_a_101_both_sides_are_read_as_frames() -> None:
    transcript = Transcript(lambda: 0.0)
    transcript.note(2, "server", SWITCHED + build_frame(TEXT, "welcome", mask=None))
    transcript.note(2, "client", build_frame(TEXT, "hi"))
    transcript.note(1, "client", b"GET / HTTP/1.1\r\n")
    text = transcript.text()
    assert "Upgrade: websocket\n" in text
    assert " text welcome\n" in text
    assert "#2 client > text hi" in text
    assert "#1 client > GET / HTTP/1.1" in text


def test_the_head_of_a_101_may_come_in_pieces() -> None:
    transcript = Transcript(lambda: 0.0)
    for number in range(len(SWITCHED)):
        transcript.note(1, "server", SWITCHED[number : number + 1])
    transcript.note(1, "server", build_frame(TEXT, "hi", mask=None))
    assert transcript.text().endswith("< text hi")


def test_a_frame_that_begins_behind_the_handshake_is_read_to_its_end() -> None:
    transcript = Transcript(lambda: 0.0)
    first, second = build_frame(TEXT, "first"), build_frame(TEXT, "second")
    transcript.note(1, "client", b"GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n" + first + second[:5])
    transcript.note(1, "server", SWITCHED)
    transcript.note(1, "client", second[5:])
    assert transcript.text().endswith("#1 client > text second")


def test_frames_show_their_kind_their_flags_and_a_readable_payload() -> None:
    def shown(*frames: bytes) -> str:
        return said("client", *frames, after=SWITCHED).removeprefix("   1.500s  #1 client > ")

    assert shown(build_frame(PING)) == "ping"
    assert shown(build_frame(BINARY, b"\x00a")) == r"binary \x00a"
    assert shown(build_frame(CONTINUATION, b"b", fin=False, rsv=4)) == "continuation unfinished rsv=100 b"
    assert shown(build_frame(11, b"b")) == "opcode 11 b"
    assert shown(build_frame(CLOSE, b"\x03\xe8bye")) == "close 1000 bye"
    assert shown(build_frame(CLOSE)) == "close"
    assert shown(build_frame(TEXT, b"\xff")) == "text �"


def test_a_part_of_a_frame_is_told_by_its_length_and_then_as_the_whole() -> None:
    frame = build_frame(TEXT, "whole")
    text = said("client", frame[:4], frame[4:], after=SWITCHED)
    assert text.splitlines() == ["   1.500s  #1 client > (4 bytes of a frame)", "   1.500s  #1 client > text whole"]


def test_a_flood_of_frames_is_cut() -> None:
    text = said("client", build_frame(PING) * 30, after=SWITCHED)
    assert text.count("ping") == 20
    assert text.endswith("… more frames")


def test_only_the_last_pieces_are_kept() -> None:
    transcript = Transcript(lambda: 0.0)
    for number in range(1000):
        transcript.note(number, "client", "closes")
    assert len(transcript.text().splitlines()) == 300
    assert len(transcript.text(since=999).splitlines()) == 1
