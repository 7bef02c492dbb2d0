"""Reading what another process has said, so that whatever it says is a value of the expected kind or a ``ValueError``.

Knows no socket and no process.
"""

from __future__ import annotations

import math
from typing import Any

from ..json_codec import parse_json

__all__ = ["count_in", "printable", "printable_lines", "read_object", "seconds_in", "text_in"]

_LONGEST_TEXT = 500
_DEEPEST = 32


def read_object(data: bytes, longest: int) -> dict[str, Any]:
    """A JSON object, in UTF-8, of at most ``longest`` bytes.

    Every number in it is finite, and nothing nests so deeply that whoever walks it runs out of stack.
    """
    if len(data) > longest:
        raise ValueError(f"{len(data)} bytes of JSON; at most {longest} are taken")
    value = parse_json(data)
    if not isinstance(value, dict):
        raise ValueError(f"no JSON object: {printable(repr(value), 60)}")
    _check(value)
    return value


def text_in(said: dict[str, Any], name: str) -> str:
    """The text that an object has under a name."""
    value = said.get(name)
    if not isinstance(value, str):
        raise ValueError(f"{name!r} is no text: {value!r:.60}")
    return value


def count_in(said: dict[str, Any], name: str, least: int, most: int) -> int:
    """The whole number within bounds that an object has under a name."""
    value = said.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(f"{name!r} is no number from {least} to {most}: {value!r:.60}")
    return value


def seconds_in(said: dict[str, Any], name: str, most: float) -> float:
    """The seconds that an object has under a name; of a longer time ``most``."""
    value = said.get(name)
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not value >= 0:
        raise ValueError(f"{name!r} is no number of seconds: {value!r:.60}")
    return float(min(value, most))


def printable(text: str, longest: int = _LONGEST_TEXT) -> str:
    """A text for a log or a terminal: on one line, not too long, and without a character that does something there."""
    if len(text) > longest:
        text = text[: longest - 1] + "…"
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def printable_lines(text: str, longest: int) -> str:
    """As ``printable``, but line ends and tabs stay. Of a longer text the end stays: of a traceback that says most."""
    if len(text) > longest:
        text = f"…{text[1 - longest :]}"
    return "".join(char if char.isprintable() or char in "\n\t" else ascii(char)[1:-1] for char in text)


def _check(value: object) -> None:
    # Level by level: to recurse is what a deep value must not bring about.
    level = [value]
    for _ in range(_DEEPEST):
        if any(isinstance(part, float) and not math.isfinite(part) for part in level):
            raise ValueError("a number that is not finite is no JSON")
        parts = [part.values() if isinstance(part, dict) else part for part in level if isinstance(part, (dict, list))]
        if not parts:
            return
        level = [child for part in parts for child in part]
    raise ValueError("nested too deeply")
