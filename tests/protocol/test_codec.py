"""Frames as bytes: what a server writes, and masks taken off."""

from __future__ import annotations

import random

import pytest

from microsock.protocol.codec import (
    BINARY,
    TEXT,
    FrameHeader,
    close_payload,
    frame,
    masked_frame,
    unmask,
    unmask_in_python,
)

SIZES = [0, 1, 3, 4, 5, 125, 126, 4095, 8191, 8192, 8193, 16384, 65535, 65536, 100_001]


@pytest.mark.parametrize("size", SIZES)
def test_a_mask_is_taken_off_in_python_as_in_c(size: int) -> None:
    rng = random.Random(size)
    payload, mask = rng.randbytes(size), rng.randbytes(4)
    plain = bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))
    assert unmask_in_python(payload, mask) == plain
    assert unmask(payload, mask) == plain
    assert unmask_in_python(memoryview(payload), mask) == plain


@pytest.mark.parametrize("size", SIZES)
def test_a_frame_says_its_length_in_as_few_bytes_as_it_can(size: int) -> None:
    whole = bytearray(frame(BINARY, bytes(size)))
    header = FrameHeader.read(whole)
    assert header is not None
    assert header.is_shortest
    assert (header.fin, header.rsv, header.opcode, header.masked, header.length) == (True, 0, BINARY, False, size)
    assert len(whole) == header.size + size


def test_a_client_frame_has_a_mask_that_changes_nothing() -> None:
    assert masked_frame(TEXT, b"hi", fin=False) == b"\x01\x82\0\0\0\0hi"


def test_a_header_that_is_not_whole_yet_is_none() -> None:
    whole = frame(TEXT, b"x" * 70_000)
    assert all(FrameHeader.read(bytearray(whole[:size])) is None for size in range(10))


@pytest.mark.parametrize(("code", "reason", "payload"), [(1000, "bye", b"\x03\xe8bye"), (1005, "", b"")])
def test_a_close_frame_carries_its_code_and_reason(code: int, reason: str, payload: bytes) -> None:
    assert close_payload(code, reason) == payload


def test_a_long_reason_is_cut_between_characters() -> None:
    payload = close_payload(1002, "é" * 100)
    assert len(payload) <= 125
    assert payload[2:].decode() == "é" * 61
