"""WebSocket messages: what is sent as what, and what is read as what."""

from __future__ import annotations

from typing import Any

import pytest

from microsock.errors import BadRule, WebSocketClosed
from microsock.messages import encode_message, expected_message, read_any, read_binary, read_json, read_text


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("", ""),
        ("grüß dich 🙂", "grüß dich 🙂"),
        (b"", b""),
        (b"\xff", b"\xff"),
        (bytearray(b"a"), b"a"),
        (memoryview(b"a"), b"a"),
        ({"a": [1, None]}, '{"a":[1,null]}'),
        (["ü"], '["ü"]'),
        ({}, "{}"),
    ],
)
def test_text_goes_as_text_bytes_as_binary_and_the_rest_as_json(data: Any, message: str | bytes) -> None:
    encoded = encode_message(data)
    assert encoded == message
    assert type(encoded) is type(message)


@pytest.mark.parametrize(
    ("data", "got"), [(None, "None (NoneType)"), (5, "5 (int)"), ((1, 2), "(1, 2) (tuple)"), (True, "True (bool)")]
)
def test_anything_else_is_refused(data: Any, got: str) -> None:
    with pytest.raises(TypeError) as caught:
        encode_message(data)
    assert str(caught.value) == f"a message is a str, bytes, dict or list, not {got}"


def test_what_json_cannot_say_is_refused() -> None:
    with pytest.raises(TypeError, match="set is not JSON serializable"):
        encode_message([{1}])
    with pytest.raises(ValueError, match="not JSON compliant"):
        encode_message([float("nan")])


def test_a_lone_surrogate_is_escaped_in_json() -> None:
    assert encode_message({"a": "\ud83d"}) == '{"a":"\\ud83d"}'


def test_a_lone_surrogate_in_plain_text_is_refused_where_it_is_sent() -> None:
    with pytest.raises(ValueError) as caught:
        encode_message("ab\ud800")
    assert str(caught.value) == "a text message has the lone surrogate '\\ud800' at 2, which UTF-8 cannot say"


@pytest.mark.parametrize("message", ["5", b"5"])
def test_without_a_wish_a_message_is_read_as_it_comes(message: str | bytes) -> None:
    assert read_any(message) is message


def test_a_message_of_the_wrong_kind_closes_with_1003() -> None:
    for read, wrong, reason in (
        (read_text, b"", "a text message is expected"),
        (read_binary, "", "a binary message is expected"),
        (read_json, b"{}", "a text message is expected"),
    ):
        with pytest.raises(WebSocketClosed) as caught:
            read(wrong)
        assert (caught.value.code, caught.value.reason, caught.value.by_peer) == (1003, reason, False)


@pytest.mark.parametrize("message", ["", "{", "'a'", "NaN", "[" * 100_000, "9" * 5000])
def test_malformed_json_closes_with_1007(message: str) -> None:
    with pytest.raises(WebSocketClosed) as caught:
        read_json(message)
    assert (caught.value.code, caught.value.reason, caught.value.by_peer) == (1007, "JSON is expected", False)


def untyped(ws, message): ...  # type: ignore[no-untyped-def]
def anything(ws: object, message: Any) -> None: ...
def text(ws: object, message: str) -> None: ...
def binary(ws: object, message: bytes) -> None: ...
def both(ws: object, message: str | bytes) -> None: ...
def json_object(ws: object, message: dict[str, Any]) -> None: ...
def json_array(ws: object, message: list[int]) -> None: ...
def json_either(ws: object, message: dict[str, Any] | list[Any]) -> None: ...
def plain_dict(ws, message: dict): ...  # type: ignore[no-untyped-def, type-arg]


@pytest.mark.parametrize(
    ("handler", "kind", "message", "value"),
    [
        (untyped, "any", b"\x00", b"\x00"),
        (anything, "any", "a", "a"),
        (text, "text", "a", "a"),
        (binary, "binary", b"a", b"a"),
        (both, "any", b"a", b"a"),
        (json_object, "json", '{"a": 1}', {"a": 1}),
        (plain_dict, "json", "{}", {}),
        (json_array, "json", "[1, 2]", [1, 2]),
        (json_either, "json", "[]", []),
        (json_either, "json", "{}", {}),
    ],
)
def test_the_annotation_says_what_a_message_is_read_as(handler: Any, kind: str, message: Any, value: Any) -> None:
    expected = expected_message(handler)
    assert expected.kind == kind
    assert expected.read(message) == value


@pytest.mark.parametrize(
    ("handler", "message", "reason"),
    [
        (json_object, "[]", "a JSON object is expected"),
        (json_object, "null", "a JSON object is expected"),
        (json_array, "{}", "a JSON array is expected"),
        (json_either, "5", "a JSON object or array is expected"),
    ],
)
def test_json_of_another_type_closes_with_1007(handler: Any, message: str, reason: str) -> None:
    with pytest.raises(WebSocketClosed) as caught:
        expected_message(handler).read(message)
    assert (caught.value.code, caught.value.reason) == (1007, reason)


def number(ws: object, message: int) -> None: ...
def optional(ws: object, message: str | None) -> None: ...
def pair(ws: object, message: tuple[int, int]) -> None: ...


@pytest.mark.parametrize(("handler", "shown"), [(number, "int"), (optional, "str | None"), (pair, "tuple[int, int]")])
def test_another_annotation_is_refused(handler: Any, shown: str) -> None:
    with pytest.raises(BadRule) as caught:
        expected_message(handler)
    assert str(caught.value) == (
        f"handler {handler.__name__!r} wants its message as {shown}; annotate it with "
        "str, bytes, str | bytes, dict (a JSON object), list (a JSON array) or nothing"
    )
