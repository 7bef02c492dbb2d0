"""The same bytes, cut as the network might cut them."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import pairwise

__all__ = ["cuts"]


def cuts(data: bytes) -> Iterator[list[bytes]]:
    """``data`` whole, byte by byte, in halves, and at random places that are the same in each run."""
    yield [data]
    yield [data[index : index + 1] for index in range(len(data))]
    yield [piece for piece in (data[: len(data) // 2], data[len(data) // 2 :]) if piece]
    chance = random.Random(len(data))
    for _ in range(5):
        places = sorted({0, len(data), *chance.choices(range(len(data) + 1), k=6)})
        yield [data[start:end] for start, end in pairwise(places)]
