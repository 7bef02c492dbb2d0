"""WebSocket messages: what may be sent and what it goes out as; what a handler asks for and how it is read.

Values in, ``str`` or ``bytes`` out, and back. Knows no connection.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any, NoReturn, TypeAlias, Union, get_args, get_origin

from .errors import BadRule, WebSocketClosed
from .json_codec import json_text, parse_json
from .signatures import handler_name, parameter_type
from .startup import NamedTuple

__all__ = ["Expected", "Sendable", "encode_message", "expected_message", "read_binary", "read_json", "read_text"]

Sendable: TypeAlias = str | bytes | dict[Any, Any] | list[Any]
Read: TypeAlias = Callable[[str | bytes], Any]

_UNSUPPORTED_DATA, _INVALID_DATA = 1003, 1007


def encode_message(data: Sendable) -> str | bytes:
    """What goes over the wire for a value: text for a str, binary for bytes, JSON text for a dict or list.

    Raises ``TypeError`` for another type, in a list too, and ``ValueError`` for what UTF-8 or JSON cannot say.
    """
    if type(data) is bytes or (type(data) is str and data.isascii()):
        return data  # what most messages are
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data)
    if isinstance(data, (dict, list)):
        data = json_text(data)
    elif not isinstance(data, str):
        raise TypeError(f"a message is a str, bytes, dict or list, not {data!r:.60} ({type(data).__name__})")
    if not data.isascii():
        _check_text(data)
    return data


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        found = text[error.start]
        raise ValueError(
            f"a text message has the lone surrogate {found!r} at {error.start}, which UTF-8 cannot say"
        ) from None


def read_any(message: str | bytes) -> str | bytes:
    """The message as it came."""
    return message


def read_text(message: str | bytes) -> str:
    """A text message. Raises ``WebSocketClosed`` 1003, not by the peer, for a binary one."""
    if isinstance(message, str):
        return message
    raise WebSocketClosed(_UNSUPPORTED_DATA, "a text message is expected", by_peer=False)


def read_binary(message: str | bytes) -> bytes:
    """A binary message. Raises ``WebSocketClosed`` 1003, not by the peer, for text."""
    if isinstance(message, bytes):
        return message
    raise WebSocketClosed(_UNSUPPORTED_DATA, "a binary message is expected", by_peer=False)


def read_json(message: str | bytes) -> Any:
    """A text message parsed as JSON. Raises ``WebSocketClosed`` 1003 for a binary one, 1007 for malformed JSON."""
    try:
        return parse_json(read_text(message))
    except ValueError:
        raise WebSocketClosed(_INVALID_DATA, "JSON is expected", by_peer=False) from None


def read_object(message: str | bytes) -> dict[str, Any]:
    """A text message that is a JSON object; otherwise as ``read_json``."""
    value = read_json(message)
    return value if isinstance(value, dict) else _refuse("object")


def read_array(message: str | bytes) -> list[Any]:
    """A text message that is a JSON array; otherwise as ``read_json``."""
    value = read_json(message)
    return value if isinstance(value, list) else _refuse("array")


def read_object_or_array(message: str | bytes) -> dict[str, Any] | list[Any]:
    """A text message that is a JSON object or array; otherwise as ``read_json``."""
    value = read_json(message)
    return value if isinstance(value, (dict, list)) else _refuse("object or array")


def _refuse(called: str) -> NoReturn:
    raise WebSocketClosed(_INVALID_DATA, f"a JSON {called} is expected", by_peer=False)


class Expected(NamedTuple):
    """What a handler wants its messages to be.

    ``kind`` is ``any``, ``text``, ``binary`` or ``json``; ``read`` turns what came into that.
    """

    kind: str
    read: Read


ANY = Expected("any", read_any)
_BY_TYPE: dict[Any, Expected] = {
    Any: ANY,
    object: ANY,
    str: Expected("text", read_text),
    bytes: Expected("binary", read_binary),
    dict: Expected("json", read_object),
    list: Expected("json", read_array),
    frozenset((str, bytes)): ANY,
    frozenset((dict, list)): Expected("json", read_object_or_array),
}


def expected_message(handler: Callable[..., Any]) -> Expected:
    """What the second parameter of a message handler is annotated to be.

    Raises ``BadRule`` for an annotation that is none of str, bytes, str | bytes, dict, list and Any.
    """
    annotation = parameter_type(handler, 1)
    kind: Any = get_origin(annotation) or annotation
    if kind in (Union, types.UnionType):
        kind = frozenset(get_origin(part) or part for part in get_args(annotation))
    expected = _BY_TYPE.get(kind)
    if expected is None:
        shown = annotation.__name__ if isinstance(annotation, type) else annotation
        raise BadRule(
            f"handler {handler_name(handler)!r} wants its message as {shown}; "
            "annotate it with str, bytes, str | bytes, dict (a JSON object), list (a JSON array) or nothing"
        )
    return expected
