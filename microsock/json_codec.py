"""JSON in and out, for HTTP, WebSockets, event streams and the command alike (RFC 8259).

What ``parse_json`` has taken, ``json_text`` and ``encode_json`` can say again. Values only; knows no request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, NoReturn

__all__ = ["MAX_DEPTH", "encode_json", "json_text", "parse_json"]

MAX_DEPTH = 256
"""Arrays and objects inside each other that ``parse_json`` takes: what walks a value may need a frame for each."""

_TOO_DEEP = "nested too deeply"
_LARGEST = 1.7976931348623157e308
# How deep a path to a value that is no JSON is told.
_MAX_PATH = 12


def parse_json(data: str | bytes) -> Any:
    """The value of a JSON text; bytes are UTF-8, with or without its mark (RFC 8259 section 8.1).

    Raises ``ValueError`` saying what is wrong with it. NaN, Infinity and numbers too large for a float are refused
    (RFC 8259 section 6), and so is what nests deeper than ``MAX_DEPTH``.
    """
    text = data if isinstance(data, str) else data.decode("utf-8-sig")
    try:
        value = _decoder()(text)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    except ValueError as error:
        # The one error of Python's own that is no JSONDecodeError, and advises to change the interpreter's limit.
        if "integer string conversion" in str(error):
            raise ValueError("an integer has too many digits") from None
        raise
    if text.count("[") + text.count("{") > MAX_DEPTH:
        _check_depth(value)
    return value


def json_text(value: Any) -> str:
    """JSON without spaces, fit for UTF-8: a lone surrogate is escaped (RFC 8259 section 8.2).

    Raises ``TypeError`` or ``ValueError`` for what is no JSON, naming the path to it.
    """
    text = _encoded(value)
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return _escaped(text).decode()
    return text


def encode_json(value: Any) -> bytes:
    """``json_text`` as it goes over the wire, in UTF-8. Raises as ``json_text``."""
    text = _encoded(value)
    try:
        return text.encode()
    except UnicodeEncodeError:
        return _escaped(text)


def _escaped(text: str) -> bytes:
    # The only characters that UTF-8 cannot say are lone surrogates, and this writes them as JSON does: \ud83d.
    return text.encode(errors="backslashreplace")


def _encoded(value: Any) -> str:
    try:
        return _encoder()(value)
    except RecursionError:
        raise ValueError("the value is nested too deeply for JSON") from None
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{error}{_place_of_error(value)}") from None


def _place_of_error(value: Any) -> str:
    """Where in a value the part is that is no JSON, as `` (at ['items'][3])``; empty for the value itself."""
    path = ""
    for _ in range(_MAX_PATH):
        for key, child in _children(value):
            if not _is_json(child):
                path += f"[{key!r:.60}]"
                value = child
                break
        else:
            break
    return path and f" (at {path})"


def _children(value: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(value, dict):
        return value.items()
    return enumerate(value) if isinstance(value, (list, tuple)) else ()


def _is_json(value: Any) -> bool:
    try:
        _encoder()(value)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _check_depth(value: Any) -> None:
    # Level by level: to recurse is what a deep value must not bring about.
    level = [value]
    for _ in range(MAX_DEPTH + 1):
        parts = [part.values() if type(part) is dict else part for part in level if type(part) in (dict, list)]
        if not parts:
            return
        level = [child for part in parts for child in part]
    raise ValueError(_TOO_DEEP)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _finite(text: str) -> float:
    number = float(text)
    if -_LARGEST <= number <= _LARGEST:
        return number
    raise ValueError(f"{text:.60} is too large a number")


# Made once: `json.loads` and `json.dumps` with options make a decoder and an encoder for each call.


@cache
def _decoder() -> Callable[[str], Any]:
    import json  # loaded in time, see `server.spare`

    return json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite).decode


@cache
def _encoder() -> Callable[[Any], str]:
    import json  # loaded in time, see `server.spare`

    return json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
