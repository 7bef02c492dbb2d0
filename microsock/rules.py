r"""Rules: which paths a route answers, and what it reads from them; compiled once.

    /users                    this path
    /users/{id:int}           one segment, converted; Flask's <int:id> means the same
    /files/{name}.{ext}       several in a segment, split at the last dot
    /files/{path:path}        the rest, slashes included
    re.compile(r"/v(?P<n>\d)") matched whole; its named groups are the parameters
    None                      every path

A rule is held against ``Request.routing_path``, in which an encoded slash cannot be taken for a separator. No rule
written as text takes more than linear time, whatever the path.
"""

from __future__ import annotations

import keyword
import math
import re
from collections.abc import Callable
from typing import Any, TypeAlias

from .errors import BadRule
from .request import ENCODED_SLASH
from .startup import NamedTuple

__all__ = ["Rule", "RuleLike", "compile_rule"]

RuleLike: TypeAlias = str | re.Pattern[str] | None
Convert: TypeAlias = Callable[[str], Any]

_PLACEHOLDER, _MARKS = r"\{([^{}]*)\}|<([^<>]*)>", frozenset("{}<>")


def _text(value: str | None) -> str | None:
    # None is an optional group of a re.Pattern that took no part.
    return value and value.replace(ENCODED_SLASH, "/")


def _finite(value: str) -> float:
    number = float(value)
    if math.isinf(number):
        raise ValueError(f"{value} is too large")
    return number


def _uuid(value: str) -> Any:
    from uuid import UUID  # loaded when such a rule is added

    return UUID(value)


# What a placeholder matches and how it is read. Numbers give nothing back to what follows them, so that no path can
# make the engine try their lengths one by one; a path does not begin with a slash, plain or encoded, so that
# joining it to a folder cannot leave the folder by that.
_CONVERTERS: dict[str, tuple[str, Convert]] = {
    "str": ("", _text),
    "string": ("", _text),
    "int": ("[0-9]++", int),
    "float": (r"[0-9]++(?:\.[0-9]++)?+", _finite),
    "path": (rf"[^/{ENCODED_SLASH}](?s:.*)", _text),
    "uuid": ("[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}", _uuid),
}


class Rule(NamedTuple):
    """A compiled rule.

    Attributes:
        text: the rule as it was written, for people.
        shape: the same for two rules that match the same paths, whatever their parameters are called.
        head: the first segment where it is fixed, so that a table can tell rules apart by it.
        pattern: None where no path need be taken apart: a fixed path, or every path.
        groups: name, group of the pattern and conversion of each parameter.
    """

    text: str
    shape: str
    head: str | None = None
    pattern: re.Pattern[str] | None = None
    groups: tuple[tuple[str, int, Convert], ...] = ()

    @property
    def is_every(self) -> bool:
        """Whether it matches every path (the rule None)."""
        return not self.shape

    @property
    def is_static(self) -> bool:
        """Whether it matches one path only."""
        return self.pattern is None and not self.is_every

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its parameters, in order."""
        return tuple(name for name, _, _ in self.groups)

    def match(self, path: str) -> dict[str, Any] | None:
        """The parameters that the rule reads from a routing path; None if it does not match."""
        if self.pattern is None:
            return {} if self.is_every or path == self.text else None
        found = self.pattern.fullmatch(path)
        if found is None:
            return None
        params = {}
        try:
            for name, group, convert in self.groups:
                params[name] = convert(found[group])
        except ValueError:
            return None
        return params

    def __str__(self) -> str:
        return self.text


def compile_rule(rule: RuleLike) -> Rule:
    """A rule made ready to match. Raises ``BadRule`` with what is wrong with it."""
    if rule is None:
        return Rule("(every path)", "")
    if isinstance(rule, re.Pattern):
        return _from_pattern(rule)
    if not isinstance(rule, str):
        raise BadRule(f"a rule is a str, a compiled re.Pattern or None, not {rule!r}")
    if not rule.startswith("/"):
        raise BadRule(f"rule {rule!r} must start with '/'")
    if "?" in rule or "#" in rule:
        raise BadRule(f"rule {rule!r} has a '?' or '#'; a rule is a path only, the query is in request.args")
    return _from_text(rule)


def _from_pattern(pattern: re.Pattern[str]) -> Rule:
    if not isinstance(pattern.pattern, str):
        raise BadRule(f"rule {pattern.pattern!r} is a pattern of bytes; compile it from a str")
    groups = tuple((name, group, _text) for name, group in pattern.groupindex.items())
    return Rule(pattern.pattern, f"{pattern.flags}:{pattern.pattern}", None, pattern, groups)


def _from_text(rule: str) -> Rule:
    segments = [_Segment.parse(rule, text) for text in rule[1:].split("/")]
    placeholders = [placeholder for segment in segments for placeholder in segment.placeholders]
    _check_names(rule, [name for name, _ in placeholders])
    if [converter for _, converter in placeholders].count("path") > 1:
        raise BadRule(f"rule {rule!r} has two placeholders of type path; where one ends would be anyone's guess")
    shape = "".join(f"/{segment.pattern(rule)}" for segment in segments)
    if not placeholders:
        return Rule(rule, shape)
    head = segments[0].literals[0] if not segments[0].placeholders else None
    groups = tuple((name, number, _CONVERTERS[kind][1]) for number, (name, kind) in enumerate(placeholders, 1))
    return Rule(rule, shape, head, re.compile(shape), groups)


class _Segment(NamedTuple):
    # Literal texts and, between them, placeholders as (name, converter).
    literals: list[str]
    placeholders: list[tuple[str, str]]

    @classmethod
    def parse(cls, rule: str, text: str) -> _Segment:
        if not _MARKS.intersection(text):
            return cls([text], [])
        literals, braces, angles = (re.split(_PLACEHOLDER, text)[part::3] for part in range(3))
        stray = re.search(r"[{}<>]", "".join(literals))
        if stray:
            raise BadRule(f"rule {rule!r} has a {stray.group()!r} without its partner; write {{name}} or {{name:int}}")
        return cls(literals, [_placeholder(rule, *pair) for pair in zip(braces, angles, strict=True)])

    def pattern(self, rule: str) -> str:
        result = re.escape(self.literals[0])
        for index, (_, converter) in enumerate(self.placeholders):
            before, after = self.literals[index], self.literals[index + 1]
            if index:
                _check_parted(rule, self.placeholders, before)
            fixed = _CONVERTERS[converter][0]
            result += f"({fixed or _one_segment(before if index else '', after)})" + re.escape(after)
        return result


def _one_segment(before: str, after: str) -> str:
    # Without the character that parts it from the placeholder before, so that there is only one way to split a
    # segment; and with nothing to give back where its segment ends. Both keep matching linear.
    return f"[^/{re.escape(before[:1])}]+" + ("" if after else "+")


def _placeholder(rule: str, braces: str | None, angles: str | None) -> tuple[str, str]:
    if braces is not None:
        name, _, converter = braces.partition(":")
    else:
        converter, _, name = (angles or "").rpartition(":")
    if not name.isidentifier() or keyword.iskeyword(name):
        raise BadRule(f"rule {rule!r}: {name!r} cannot be the name of a parameter")
    converter = converter or "str"
    if converter == "uuid":
        _uuid("0" * 32)  # so that the first request finds it loaded
    if converter not in _CONVERTERS:
        raise BadRule(f"rule {rule!r} has the type {converter!r}; known are str, int, float, path and uuid")
    return name, converter


def _check_names(rule: str, names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise BadRule(f"rule {rule!r} has two parameters named {name!r}")


def _check_parted(rule: str, placeholders: list[tuple[str, str]], between: str) -> None:
    if any(converter == "path" for _, converter in placeholders):
        raise BadRule(f"rule {rule!r}: a placeholder of type path must be the only one in its segment")
    if not between or between[0].isdigit():
        raise BadRule(f"rule {rule!r}: two placeholders of a segment must be parted by text that is no digit")
