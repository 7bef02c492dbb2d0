"""What the value of a setting may be, by its kind: checked where it is given, and read from text.

Pure functions; they raise ``ValueError``, and know no setting by its name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from .networks import Networks, host_name, parse_ip
from .rates import parse_rate
from .startup import NamedTuple

__all__ = ["Setting", "check", "expected", "read"]

_SIZES = {"": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_SECONDS = {"": 1.0, "s": 1.0, "ms": 0.001, "m": 60.0, "h": 3600.0}
# Compiled where one is first needed, which most servers never come to; `re` keeps it.
_NUMBER = r"([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)"
_PREFIX = r"(?:/[A-Za-z0-9\-._~!$&'()*+,;=:@]+)+"
_HOST = r"\*|\.?[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?(?::[0-9]{1,5})?"
_ADDRESS = r"[0-9A-Fa-f:.]+|\[[0-9A-Fa-f:.]+\](?::[0-9]{1,5})?"
_YES, _NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")


class Setting(NamedTuple):
    """What is known of one setting beside its name and default.

    ``kind`` is ``size`` (bytes), ``seconds``, ``count``, ``switch``, ``choice``, ``text``, ``list`` (of text),
    ``networks`` (``microsock.networks``), ``hosts`` (names), ``prefix`` (of a path), ``rate`` (``microsock.rates``),
    ``workers`` (a count or ``auto``) or ``function`` (a keyword only, no flag).
    """

    kind: str
    group: str
    help: str
    optional: bool = False
    minimum: float = 0
    choices: tuple[str, ...] = ()
    default: Any = None


def check(setting: Setting, value: object) -> object:
    """The value as it is kept. Raises ``ValueError``, with words where there is more to say than what fits."""
    if value is None and setting.optional:
        return None
    return _CHECKS[setting.kind](value, setting)


def read(setting: Setting, text: str) -> object:
    """What a flag or environment variable gives, still to be checked. Raises ``ValueError``."""
    word = text.strip().lower()
    if setting.optional and word in ("none", ""):
        return None
    if setting.kind == "switch" and word in _YES + _NO:
        return word in _YES
    if setting.kind in ("size", "seconds", "count") or (setting.kind == "workers" and word != "auto"):
        return _number(word, setting)
    if setting.kind in ("list", "networks", "hosts"):
        return [part.strip() for part in text.split(",") if part.strip()]
    return text.strip() if setting.kind in ("text", "prefix") else word


def expected(setting: Setting) -> str:
    """What fits, in words."""
    least = f" of at least {setting.minimum:g}" if setting.minimum else ""
    kinds = {
        "size": f"a number of bytes{least} (16384, or as text 16k, 1m)",
        "seconds": f"a number of seconds{least} (10, 0.5, or as text 500ms, 2m)",
        "count": f"a number{least}",
        "switch": "True or False",
        "choice": " or ".join(repr(choice) for choice in setting.choices),
        "text": "a text",
        "list": "a list of texts",
        "networks": "a list of addresses, networks and 'unix'",
        "hosts": "a list of names such as 'example.org', '.example.org' for all below it too, or '*' for any",
        "prefix": "a path such as '/shop', or ''",
        "rate": "a rate such as '100/minute', '5/second' or '20/10s'",
        "workers": "a number of at least 1 or 'auto'",
        "function": "a function",
    }
    return kinds[setting.kind] + (" or None" if setting.optional else "")


def _number(text: str, setting: Setting) -> float:
    units: Mapping[str, float] = {"size": _SIZES, "seconds": _SECONDS}.get(setting.kind, {"": 1})  # type: ignore[assignment]
    match = re.compile(_NUMBER).fullmatch(text)
    if match is None or match[2] not in units:
        raise ValueError
    number = float(match[1]) * units[match[2]]
    return int(number) if number.is_integer() else number


def _check_number(value: object, setting: Setting) -> object:
    whole = setting.kind != "seconds" and not isinstance(setting.default, float)
    if not isinstance(value, int if whole else (int, float)) or isinstance(value, bool):
        raise ValueError
    if not setting.minimum <= value < math.inf:
        raise ValueError
    return value if whole else float(value)


def _check_choice(value: object, setting: Setting) -> object:
    return _required(value in setting.choices, value)


def _check_type(kind: type) -> Callable[[object, Setting], object]:
    return lambda value, setting: _required(isinstance(value, kind), value)


def _check_list(value: object, setting: Setting) -> tuple[str, ...]:
    parts = (value,) if isinstance(value, str) else value
    if not isinstance(parts, (list, tuple)) or not all(isinstance(part, str) for part in parts):
        raise ValueError
    return tuple(parts)


def _check_networks(value: object, setting: Setting) -> object:
    parts = _check_list(value, setting)
    Networks(parts)  # raises, naming the one that is none
    return parts


def _check_hosts(value: object, setting: Setting) -> object:
    parts = _check_list(value, setting)
    for part in parts:
        is_address = re.compile(_ADDRESS).fullmatch(part) and parse_ip(host_name(part))
        if not is_address and re.compile(_HOST).fullmatch(part) is None:
            raise ValueError(f"{part!r} is no name of a host; write 'example.org', '.example.org' or '*'")
    return _required(bool(parts), parts)


def _check_prefix(value: object, setting: Setting) -> object:
    if not isinstance(value, str):
        raise ValueError
    prefix = value.rstrip("/")
    return _required(not prefix or re.compile(_PREFIX).fullmatch(prefix) is not None, prefix)


def _check_rate(value: object, setting: Setting) -> object:
    try:
        return parse_rate(value)
    except ValueError:
        raise ValueError from None


def _check_workers(value: object, setting: Setting) -> object:
    counts = isinstance(value, int) and not isinstance(value, bool) and value >= 1
    return _required(counts or value == "auto", value)


def _check_function(value: object, setting: Setting) -> object:
    return _required(callable(value), value)


def _required(fits: bool, value: Any) -> Any:
    if not fits:
        raise ValueError
    return value


_CHECKS: dict[str, Callable[[object, Setting], object]] = {
    "size": _check_number,
    "seconds": _check_number,
    "count": _check_number,
    "switch": _check_type(bool),
    "choice": _check_choice,
    "text": _check_type(str),
    "list": _check_list,
    "networks": _check_networks,
    "hosts": _check_hosts,
    "prefix": _check_prefix,
    "rate": _check_rate,
    "workers": _check_workers,
    "function": _check_function,
}
