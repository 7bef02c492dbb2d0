"""What may be asked of the answers beyond their statuses: each function gives a check for a case's table row."""

from __future__ import annotations

import json
from collections.abc import Sequence

from .answers import Answer
from .case import Check

__all__ = [
    "allows", "body", "closing", "continued", "cut_short", "empty", "field", "keeping", "lacks", "not_continued", "saw",
    "unseen",
]  # fmt: skip


def body(expected: bytes, index: int = 0) -> Check:
    """An answer has exactly this body."""

    def check(answers: Sequence[Answer]) -> str:
        got = answers[index].body
        return "" if got == expected else f"answer {index} has the body {got[:100]!r}, not {expected[:100]!r}"

    return check


def empty(answers: Sequence[Answer]) -> str:
    """No answer has a body."""
    return "".join(f"body {answer.body[:100]!r}; " for answer in answers if answer.body)


def field(name: str, value: str | None = None, index: int = 0) -> Check:
    """An answer has a header line, with this value if one is given."""

    def check(answers: Sequence[Answer]) -> str:
        got = answers[index].all(name)
        right = got == [value] if value is not None else bool(got)
        return "" if right else f"answer {index} has {name} {got}, not {value or 'any value'}"

    return check


def lacks(*names: str, index: int = 0) -> Check:
    """An answer has none of these header lines."""

    def check(answers: Sequence[Answer]) -> str:
        return "".join(f"answer {index} has {name}; " for name in names if answers[index].all(name))

    return check


def allows(*methods: str) -> Check:
    """The first answer's Allow names exactly these methods."""

    def check(answers: Sequence[Answer]) -> str:
        got = sorted(method.strip() for method in answers[0].get("allow").split(","))
        return "" if got == sorted(methods) else f"Allow names {got}, not {sorted(methods)}"

    return check


def closing(answers: Sequence[Answer]) -> str:
    """The last answer says that the connection closes (RFC 9112 section 9.6)."""
    return "" if answers and "close" in answers[-1].options() else "the last answer lacks Connection: close"


def keeping(answers: Sequence[Answer]) -> str:
    """No answer says that the connection closes."""
    return "".join("an answer has Connection: close; " for answer in answers if "close" in answer.options())


def continued(answers: Sequence[Answer]) -> str:
    """Exactly one 100 came, before the first answer."""
    got = [answer.interim for answer in answers]
    return "" if got and got[0] == (100,) and not any(got[1:]) else f"interim answers {got}, not one 100"


def not_continued(answers: Sequence[Answer]) -> str:
    """No 100 came."""
    return "".join(f"interim {answer.interim}; " for answer in answers if answer.interim)


def cut_short(answers: Sequence[Answer]) -> str:
    """The last answer's body ended early, in a way that a client can tell."""
    return "the last answer looks complete" if answers[-1].complete else ""


def saw(index: int = 0, **expected: object) -> Check:
    """The handler of ``/echo`` saw these: method, path, query, body, version, url, fields (a dict)."""

    def check(answers: Sequence[Answer]) -> str:
        if answers[index].status != 200:
            return ""
        got = json.loads(answers[index].body)
        wrong = {key: got[key] for key, value in expected.items() if key != "fields" and got[key] != value}
        fields = expected.get("fields", {})
        assert isinstance(fields, dict)
        wrong |= {name: _values(got, name) for name, value in fields.items() if _values(got, name) != value}
        return f"the handler saw {wrong}, not {expected}" if wrong else ""

    return check


def unseen(*fields: str) -> Check:
    """The handler of ``/echo``, if it ran, saw none of these header lines (``name: value``, lower case)."""

    def check(answers: Sequence[Answer]) -> str:
        if answers[0].status != 200:
            return ""
        lines = [f"{name}: {value}".lower() for name, value in json.loads(answers[0].body)["fields"]]
        return "".join(f"the handler saw {line!r}; " for line in fields if line in lines)

    return check


def _values(got: dict[str, list[list[str]]], name: str) -> str:
    return ", ".join(value for key, value in got["fields"] if key.lower() == name)
