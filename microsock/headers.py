"""Header fields: case-blind, several lines to a name, checked when they are set.

Knows the grammar of names and values (RFC 9110 section 5) and nothing of requests or responses.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

__all__ = ["Headers", "MutableHeaders", "is_token"]

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
# A field value: visible characters, space, tab and obs-text (RFC 9110 section 5.5).
_FORBIDDEN_IN_VALUE = re.compile(r"[^\t\x20-\x7e\x80-\xff]")

HeaderSource = Mapping[str, str] | Iterable[tuple[str, str]]


def is_token(text: str) -> bool:
    """Whether ``text`` is a token (RFC 9110 section 5.6.2): a method, a header name, a subprotocol."""
    return _TOKEN.fullmatch(text) is not None


_is_name = lru_cache(256)(is_token)  # an app has few names, and sets each again and again


class Headers(Mapping[str, str]):
    """The header lines of a request, in order. Names are case-blind.

    ``headers["accept"]`` joins the lines of a name by ``", "`` (RFC 9110 section 5.3); ``getlist`` gives them
    apart; ``items`` gives every line as it came.
    """

    __slots__ = ("_lines",)

    def __init__(self, lines: Iterable[tuple[str, str]] = ()) -> None:
        self._lines = list(lines)

    def getlist(self, name: str) -> list[str]:
        """The value of each line with this name, in order; empty if there is none."""
        wanted = name.lower()
        return [value for key, value in self._lines if key.lower() == wanted]

    def __getitem__(self, name: str) -> str:
        values = self.getlist(name)
        if not values:
            raise KeyError(name)
        return values[0] if len(values) == 1 else ", ".join(values)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(self.getlist(name))

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name.lower() for name, _ in self._lines))

    def __len__(self) -> int:
        return len({name.lower() for name, _ in self._lines})

    def items(self) -> list[tuple[str, str]]:  # type: ignore[override]
        """Every line as ``(name, value)``, in order, repeated names included."""
        return list(self._lines)

    def lines(self) -> tuple[tuple[str, str], ...]:
        """The same as a key for a table."""
        return tuple(self._lines)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._lines!r})"


class MutableHeaders(Headers):
    """The header lines of a response. What is set is checked at once, so that a mistake shows where it is made.

    Raises ``ValueError`` for a name that is no token and for a value with control characters (CR and LF above
    all: they would end the line and start another) or characters outside Latin-1.
    """

    __slots__ = ()

    def __init__(self, lines: HeaderSource | None = None) -> None:
        super().__init__()
        if lines:
            self.update(lines)

    def __setitem__(self, name: str, value: str) -> None:
        line = _checked(name, value)
        self._remove(name)
        self._lines.append(line)

    def __delitem__(self, name: str) -> None:
        if not self._remove(name):
            raise KeyError(name)

    def add(self, name: str, value: str) -> None:
        """Add a line and keep the others of that name (``Set-Cookie``, ``Vary``)."""
        self._lines.append(_checked(name, value))

    def update(self, lines: HeaderSource) -> None:
        """Add lines; a name that occurs in ``lines`` replaces what stood here under it."""
        pairs = lines.items() if isinstance(lines, Mapping) else lines
        added = [_checked(name, value) for name, value in pairs]
        for name, _ in added:
            self._remove(name)
        self._lines += added

    def setdefault(self, name: str, value: str) -> str:
        """Set a line unless the name is there; give what is there afterwards."""
        if name not in self:
            self.add(name, value)
        return self[name]

    def supplement(self, lines: Iterable[tuple[str, str]]) -> None:
        """Add lines that are known to be right, unchecked, where there are none of their names."""
        here = {name.lower() for name, _ in self._lines}
        self._lines += [line for line in lines if line[0].lower() not in here] if here else lines

    def pop(self, name: str, default: str | None = None) -> str | None:
        """Take a name out and give its value, or ``default`` if it is not there."""
        value = self.get(name, default)
        self._remove(name)
        return value

    def _remove(self, name: str) -> bool:
        wanted = name.lower()
        before = len(self._lines)
        self._lines = [line for line in self._lines if line[0].lower() != wanted]
        return len(self._lines) < before


def _checked(name: str, value: str) -> tuple[str, str]:
    if not isinstance(name, str) or not _is_name(name):
        raise ValueError(f"header name {name!r} is not a token (letters, digits and !#$%&'*+-.^_`|~)")
    if not isinstance(value, str):
        raise ValueError(f"header {name} has the value {value!r}; a str is expected")
    plain = value.isascii() and value.isprintable()
    bad = None if plain else _FORBIDDEN_IN_VALUE.search(value)
    if bad:
        raise ValueError(
            f"header {name} has {bad.group()!r} in its value; allowed are visible Latin-1 characters, spaces, tabs"
        )
    return name, value.strip(" \t")
