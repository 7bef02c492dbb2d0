"""Rates, as people write them: ``100/minute``, ``5/second``, ``20/10s``."""

from __future__ import annotations

import math
import re

from .startup import NamedTuple

__all__ = ["Rate", "parse_rate"]

_UNITS = {"s": 1, "second": 1, "m": 60, "minute": 60, "h": 3600, "hour": 3600, "d": 86_400, "day": 86_400}
# Compiled where one is first needed, which most servers never come to; `re` keeps it.
_RATE = r"([0-9]{1,9})\s*(?:/|per)\s*([0-9]{0,6})\s*([a-z]+)"


class Rate(NamedTuple):
    """At most ``limit`` in any window of ``seconds`` that starts at the first of them."""

    limit: int
    seconds: float

    def __str__(self) -> str:
        unit = next((name for name, size in _UNITS.items() if size == self.seconds and len(name) > 1), None)
        return f"{self.limit}/{unit or f'{self.seconds:g}s'}"


def parse_rate(value: object) -> Rate:
    """A rate from its text, or from a number and seconds. Raises ``ValueError`` for what is none."""
    if isinstance(value, str):
        match = re.compile(_RATE).fullmatch(value.strip().lower())
        unit = _UNITS.get(match[3].removesuffix("s") or "s") if match is not None else None
        if match is None or unit is None:
            raise ValueError(f"{value!r} is no rate; write '100/minute', '5/second' or '20/10s'")
        value = (int(match[1]), float(int(match[2] or 1) * unit))
    if not isinstance(value, tuple) or len(value) != 2:
        raise ValueError(f"{value!r} is no rate; write '100/minute', '5/second' or '20/10s'")
    limit, seconds = value
    whole = isinstance(limit, int) and not isinstance(limit, bool) and limit > 0
    if not whole or not isinstance(seconds, (int, float)) or not 0 < seconds < math.inf:
        raise ValueError(f"{value!r} is no rate: expected a whole number over 0 and seconds over 0")
    return Rate(limit, float(seconds))
