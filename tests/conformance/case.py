"""One conformance case, and the few words in which the tables are written.

Knows nothing of microsock: the tables could be run against any server that serves the app of ``subject``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence

from .answers import Answer

__all__ = [
    "ANY",
    "HOST",
    "MUST",
    "NEXT",
    "SHOULD",
    "SILENCE",
    "Case",
    "Check",
    "ask",
    "chunked",
    "must",
    "post",
    "refuse",
    "should",
]

MUST, SHOULD = "MUST", "SHOULD"
# Stands among the statuses for: no answer at all, the connection just ends.
SILENCE = 0
# For ``closes``: the case does not say whether the connection stays.
ANY = None
HOST = b"Host: a\r\n"
# What is sent to see that a connection is still usable; ``subject`` answers it with ``next``.
NEXT = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"

# Looks at the answers; gives a complaint, or nothing when all is well.
Check = Callable[[Sequence[Answer]], str]
Statuses = int | Iterable[int]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """What is sent and what may come back.

    Attributes:
        name: a sentence.
        section: where the rule stands, as ``9112 3.2``: RFC and section.
        level: MUST or SHOULD. A rule of ours that goes beyond the RFC is a MUST.
        ours: the RFC leaves the choice (MAY, or nothing said), microsock does not.
        raw: the bytes the client sends.
        rest: bytes it sends only after it has read what ``raw`` brought.
        half_close: whether it then ends its side of the connection.
        wait: seconds that then pass, by the virtual clock.
        answers: for each answer in order, the statuses that are right.
        closes: whether the server must close (True), must stay (False) or may do either (ANY).
        heads: the answers that answer a HEAD, and so have no body.
        checks: what else must hold.
    """

    name: str
    section: str
    level: str
    ours: bool
    raw: bytes
    rest: bytes
    half_close: bool
    wait: float
    answers: tuple[frozenset[int], ...]
    closes: bool | None
    heads: frozenset[int]
    checks: tuple[Check, ...]

    def __str__(self) -> str:
        return self.name


def must(
    section: str,
    name: str,
    raw: bytes,
    *answers: Statuses,
    checks: Sequence[Check] = (),
    closes: bool | None = False,
    level: str = MUST,
    ours: bool = False,
    rest: bytes = b"",
    half_close: bool = False,
    wait: float = 0.0,
    heads: Iterable[int] | None = None,
) -> Case:
    """A case that must hold. By default the connection must stay usable."""
    if heads is None:
        heads = {0} if raw.lstrip(b"\r\n").startswith(b"HEAD ") else ()
    return Case(
        name=name, section=section, level=level, ours=ours, raw=raw, rest=rest, half_close=half_close, wait=wait,
        answers=tuple(frozenset({item} if isinstance(item, int) else item) for item in answers),
        closes=closes, heads=frozenset(heads), checks=tuple(checks),
    )  # fmt: skip


def should(
    section: str, name: str, raw: bytes, *answers: Statuses, closes: bool | None = False, **more: object
) -> Case:
    """A case that should hold; one that does not is named in ``table.UNMET`` with the reason."""
    return must(section, name, raw, *answers, closes=closes, level=SHOULD, **more)  # type: ignore[arg-type]


def refuse(
    section: str, name: str, raw: bytes, *answers: Statuses, level: str = MUST, ours: bool = False, **more: object
) -> Case:
    """A request that is refused, with 400 unless other statuses are given, and the connection closed."""
    answers = answers or (400,)
    return must(section, name, raw, *answers, closes=True, level=level, ours=ours, **more)  # type: ignore[arg-type]


def ask(line: bytes, *lines: bytes, body: bytes = b"", host: bytes = HOST) -> bytes:
    """A request with a Host line and further header lines."""
    return line + b"\r\n" + host + b"".join(field + b"\r\n" for field in lines) + b"\r\n" + body


def post(*lines: bytes, body: bytes = b"", target: bytes = b"/") -> bytes:
    """A POST whose framing lines are all in ``lines``."""
    return ask(b"POST " + target + b" HTTP/1.1", *lines, body=body)


def chunked(body: bytes, *lines: bytes, target: bytes = b"/") -> bytes:
    """A chunked POST; ``body`` is the coded form, chunk sizes and all."""
    return post(b"Transfer-Encoding: chunked", *lines, body=body, target=target)
