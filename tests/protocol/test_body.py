from __future__ import annotations

import random
import tracemalloc

import pytest

from microsock.protocol.body import IncomingBody
from microsock.protocol.framing import Framing


def body_of(length: int) -> IncomingBody:
    return IncomingBody(Framing("/", "a", length, False, False), length)


@pytest.mark.parametrize("seed", range(20))
def test_pieces_of_any_size_are_one_body_in_their_order(seed: int) -> None:
    rng = random.Random(seed)
    pieces = [rng.randbytes(rng.choice((0, 1, 7, 4095, 4096, 70_000))) for _ in range(rng.randrange(12))]
    last = rng.randbytes(rng.choice((0, 1, 5000)))
    body = body_of(0)
    for piece in pieces:
        body.keep(piece)
    assert body.whole(last) == b"".join(pieces) + last


def test_a_body_that_came_in_one_piece_is_not_copied() -> None:
    whole = bytes(100_000)
    assert body_of(100_000).whole(whole) is whole


def test_many_tiny_pieces_take_little_more_memory_than_the_body() -> None:
    body, tiny = body_of(0), [bytes((number,)) for number in range(256)]
    tracemalloc.start()
    try:
        for number in range(50_000):
            body.keep(tiny[number % 256])
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 100_000
    assert len(body.whole(b"")) == 50_000


def test_no_more_is_taken_than_belongs_to_it() -> None:
    for buffer in (b"hello, next", bytearray(b"hello, next")):
        body = body_of(5)
        assert (body.take(buffer[:2]), body.left) == (b"he", 3)
        assert (body.take(buffer[2:]), body.left) == (b"llo", 0)
        assert buffer == b"hello, next"
