"""Frames as RFC 6455 writes them down, and as nobody should."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microsock.testing.frames import BINARY, CONTINUATION, PING, TEXT, Frame, build_frame, read_frames


def test_the_examples_of_rfc_6455_section_5_7() -> None:
    mask = b"\x37\xfa\x21\x3d"
    assert build_frame(TEXT, "Hello", mask=None) == bytes.fromhex("810548656c6c6f")
    assert build_frame(TEXT, "Hello", mask=mask) == bytes.fromhex("818537fa213d7f9f4d5158")
    assert build_frame(TEXT, "Hel", fin=False, mask=None) == bytes.fromhex("010348656c")
    assert build_frame(CONTINUATION, "lo", mask=None) == bytes.fromhex("80026c6f")
    assert build_frame(PING, "Hello", mask=None) == bytes.fromhex("890548656c6c6f")
    assert build_frame(BINARY, bytes(256), mask=None)[:4] == bytes.fromhex("827e0100")
    assert build_frame(BINARY, bytes(65536), mask=None)[:10] == bytes.fromhex("827f0000000000010000")


def test_a_header_may_lie_about_the_length_and_take_too_many_bytes_for_it() -> None:
    assert build_frame(TEXT, "x", length=2**63, mask=None) == b"\x81\x7f\x80" + bytes(7) + b"x"
    assert build_frame(TEXT, "x", length_bytes=2, mask=None) == b"\x81\x7e\x00\x01x"


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536])
@pytest.mark.parametrize("mask", [None, b"\x00\x01\xfe\xff"])
def test_what_is_built_reads_back_at_every_size_of_length(size: int, mask: bytes | None) -> None:
    payload = bytes(range(256)) * (size // 256 + 1)
    buffer = bytearray(build_frame(BINARY, payload[:size], fin=False, rsv=5, mask=mask))
    assert list(read_frames(buffer)) == [Frame(BINARY, payload[:size], False, 5)]
    assert not buffer


@given(st.lists(st.binary(max_size=200), max_size=5), st.integers(min_value=0))
def test_frames_read_the_same_however_they_are_cut(payloads: list[bytes], cut: int) -> None:
    data = b"".join(build_frame(BINARY, payload) for payload in payloads)
    cut %= len(data) + 1
    buffer, read = bytearray(), []
    for piece in (data[:cut], data[cut:]):
        buffer += piece
        read += [frame.payload for frame in read_frames(buffer)]
    assert read == payloads
