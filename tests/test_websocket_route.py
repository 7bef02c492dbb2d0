"""WebSocket routes: what is checked when one is registered, and what the driver finds on it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from microsock.errors import BadRule, BadSetting, SetupError, WebSocketClosed
from microsock.websocket_route import WebSocketRoute


def chat(ws, message, room):  # type: ignore[no-untyped-def]
    return f"{room}: {message}"


def quiz(ws, level):  # type: ignore[no-untyped-def]
    yield level


def route() -> WebSocketRoute[...]:
    return WebSocketRoute("/chat/{room}", chat)


def test_a_function_is_called_for_each_message() -> None:
    it = route()
    assert (it.name, it.is_generator, it.expects, str(it.rule)) == ("chat", False, "any", "/chat/{room}")
    assert repr(it) == "<WebSocketRoute /chat/{room} chat>"


def test_a_generator_function_is_run_once_for_each_connection() -> None:
    it: WebSocketRoute[...] = WebSocketRoute("/quiz/{level:int}", quiz)
    assert it.is_generator
    assert it.read("as it comes") == "as it comes"


def test_a_wrapped_generator_function_is_one_too() -> None:
    @functools.wraps(quiz)
    def wrapper(*args: object, **params: object) -> Iterator[int]:
        return iter([8])

    it: WebSocketRoute[...] = WebSocketRoute("/quiz/{level:int}", wrapper)
    assert it.is_generator
    assert it.handler is wrapper


def test_calling_a_route_calls_its_handler() -> None:
    ws: Any = object()
    assert route()(ws, "hello", room="a") == "a: hello"


def test_a_message_is_read_as_it_is_annotated() -> None:
    def upper(ws: object, message: str) -> str:
        return message.upper()

    it: WebSocketRoute[...] = WebSocketRoute("/", upper)
    assert it.expects == "text"
    assert it.read("a") == "a"
    with pytest.raises(WebSocketClosed):
        it.read(b"a")


def message_only(message): ...  # type: ignore[no-untyped-def]
def too_few(ws, room): ...  # type: ignore[no-untyped-def]
async def asynchronous(ws, message, room): ...  # type: ignore[no-untyped-def]


@pytest.mark.parametrize(
    ("rule", "handler", "message"),
    [
        (
            "/{room}",
            too_few,
            "handler 'too_few' takes (ws, room), but WebSocket rule '/{room}' calls it with (ws, message, room)",
        ),
        (
            "/quiz",
            quiz,
            "handler 'quiz' takes (ws, level), but WebSocket rule '/quiz' calls it with (ws)",
        ),
        (
            "/",
            message_only,
            "handler 'message_only' takes (message), but WebSocket rule '/' calls it with (ws, message)",
        ),
        (
            "/{room}",
            asynchronous,
            "handler 'asynchronous' is 'async def'; write 'def', and 'yield from sleep(…)' where it waits",
        ),
        ("chat", chat, "rule 'chat' must start with '/'"),
    ],
)
def test_a_handler_that_does_not_fit_its_rule_is_refused(rule: str, handler: Any, message: str) -> None:
    with pytest.raises(BadRule) as caught:
        WebSocketRoute(rule, handler)
    assert str(caught.value).startswith(message)


def test_the_hooks_are_none_until_they_are_registered() -> None:
    hooks = route().hooks
    assert (hooks.upgrade, hooks.open, hooks.close, hooks.error) == (None, None, None, None)


def on_upgrade(request, room): ...  # type: ignore[no-untyped-def]
def on_open(ws, room): ...  # type: ignore[no-untyped-def]
def on_close(ws, code, reason): ...  # type: ignore[no-untyped-def]
def on_error(ws, error): ...  # type: ignore[no-untyped-def]


@pytest.mark.parametrize("hook", [on_upgrade, on_open, on_close, on_error])
def test_each_hook_is_registered_once_and_given_back(hook: Callable[..., Any]) -> None:
    it, event = route(), hook.__name__
    assert getattr(it, event)(hook) is hook
    assert getattr(it.hooks, event.removeprefix("on_")) is hook
    with pytest.raises(SetupError) as caught:
        getattr(it, event)(hook)
    assert str(caught.value) == f"WebSocket rule '/chat/{{room}}' has two {event} functions: {event!r} and {event!r}"


@pytest.mark.parametrize(
    ("event", "wanted"),
    [
        ("on_upgrade", "(request, room)"),
        ("on_open", "(ws, room)"),
        ("on_close", "(ws, code, reason)"),
        ("on_error", "(ws, error)"),
    ],
)
def test_a_hook_that_cannot_be_called_is_refused(event: str, wanted: str) -> None:
    with pytest.raises(BadRule) as caught:
        getattr(route(), event)(lambda it: None)
    assert str(caught.value) == (
        f"handler '<lambda>' takes (it), but {event} of WebSocket rule '/chat/{{room}}' calls it with {wanted}"
    )


def test_origins_and_subprotocols_are_kept_in_order() -> None:
    it: WebSocketRoute[...] = WebSocketRoute(
        "/{room}", chat, origins=["https://Example.org:8443", "null"], subprotocols=["v2", "v1"], max_message_size=9
    )
    assert it.origins == ("https://example.org:8443", "null")
    assert it.subprotocols == ("v2", "v1")
    assert it.max_message_size == 9


def test_without_options_the_settings_count() -> None:
    it = route()
    assert (it.origins, it.subprotocols, it.max_message_size, it.compression) == ((), (), None, None)


@pytest.mark.parametrize("origin", ["example.org", "https://example.org/", "https://", "//example.org", "", 5])
def test_what_is_no_origin_is_refused(origin: Any) -> None:
    with pytest.raises(SetupError) as caught:
        WebSocketRoute("/{room}", chat, origins=[origin])
    assert str(caught.value) == f"origin {origin!r} is not of the form 'https://example.com', 'null' or '*'"


@pytest.mark.parametrize("name", ["", "a b", "ü", 5])
def test_what_is_no_subprotocol_is_refused(name: Any) -> None:
    with pytest.raises(SetupError) as caught:
        WebSocketRoute("/{room}", chat, subprotocols=[name])
    assert str(caught.value) == f"subprotocol {name!r} is not a token (RFC 6455 section 4.1)"


@pytest.mark.parametrize("option", ["origins", "subprotocols"])
def test_a_text_in_the_place_of_a_list_is_refused(option: str) -> None:
    options: dict[str, Any] = {option: "chat"}
    with pytest.raises(SetupError) as caught:
        WebSocketRoute("/{room}", chat, **options)
    assert str(caught.value) == f"{option} is 'chat'; expected a list or tuple of str, such as ['chat']"


def test_a_message_size_and_a_switch_are_checked_like_their_settings() -> None:
    with pytest.raises(BadSetting, match="max_message_size is 0; expected a number of bytes of at least 1"):
        WebSocketRoute("/{room}", chat, max_message_size=0)
    with pytest.raises(BadSetting, match="compression is 'yes'; expected True or False"):
        WebSocketRoute("/{room}", chat, compression="yes")  # type: ignore[arg-type]
