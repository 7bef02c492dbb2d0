"""The decorators: what each registers, and that it gives back what it got."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from microsock import App, BadRule, HTTPError, Request, Response, SetupError, WebSocket, WebSocketRoute
from microsock.registry import Registry


@pytest.fixture
def registry() -> Registry:
    return Registry()


def show(request: Request) -> str:
    return "shown"


@pytest.mark.parametrize("name", ["get", "post", "put", "patch", "delete", "head", "options", "trace"])
def test_each_decorator_registers_its_method_and_gives_the_handler_back(registry: Registry, name: str) -> None:
    assert getattr(registry, name)("/", max_body_size=7)(show) is show
    (route,) = registry.router.routes
    assert (route.methods, route.handler, route.max_body_size) == ((name.upper(),), show, 7)


def test_route_registers_several_methods_and_get_by_default(registry: Registry) -> None:
    assert registry.route("/a", methods=["GET", "PURGE"], max_body_size=7)(show) is show
    registry.route("/b", "PUT|POST")(show)
    registry.route("/c")(show)
    assert [route.methods for route in registry.router.routes] == [("GET", "PURGE"), ("PUT", "POST"), ("GET",)]
    assert registry.router.routes[0].max_body_size == 7


def test_add_route_is_the_call_form(registry: Registry) -> None:
    registry.add_route("/a", show)
    registry.add_route("/a", show, "PUT", max_body_size=7)
    assert [(route.methods, route.max_body_size) for route in registry.router.routes] == [
        (("GET",), None),
        (("PUT",), 7),
    ]


def test_a_handler_may_have_several_routes(registry: Registry) -> None:
    registry.get("/a")(registry.get("/b")(show))
    assert [route.rule.text for route in registry.router.routes] == ["/b", "/a"]


def test_the_decorators_of_websockets_give_a_route(registry: Registry) -> None:
    @registry.websocket("/chat/{room}", origins=["null"], subprotocols=["v1"], max_message_size=9, compression=True)
    def chat(ws, message, room): ...  # type: ignore[no-untyped-def]

    assert isinstance(chat, WebSocketRoute)
    assert registry.router.websockets == [chat]
    assert (chat.origins, chat.subprotocols, chat.max_message_size, chat.compression) == (("null",), ("v1",), 9, True)


def test_every_decorator_takes_blocking(registry: Registry) -> None:
    names = ["get", "post", "put", "patch", "delete", "head", "options", "trace", "route"]
    for name in names:
        getattr(registry, name)(f"/{name}", blocking=True)(lambda request: "")
        getattr(registry, name)(f"/{name}/quick")(lambda request: "")
    registry.add_route("/add", lambda request: "", blocking=True)
    assert [route.blocking for route in registry.router.routes] == [True, False] * len(names) + [True]


def test_a_generator_cannot_be_blocking_and_is_told_what_to_write(registry: Registry) -> None:
    def ticks(request: Request) -> Iterator[str]:
        yield "a"

    def quiz(ws: WebSocket) -> Iterator[Any]:
        yield from ws.text()

    advice = r"is a generator function, .*write 'value = yield from blocking\(function, …\)'"
    with pytest.raises(SetupError, match="'ticks' " + advice):
        registry.get("/", blocking=True)(ticks)
    with pytest.raises(SetupError, match="'quiz' " + advice):
        registry.websocket("/", blocking=True)(quiz)
    with pytest.raises(SetupError, match=r"^blocking is 8; expected True or False$"):
        registry.get("/", blocking=8)(lambda request: "")  # type: ignore[arg-type]
    assert registry.router.routes == []


def test_an_error_handler_is_registered_in_every_spelling(registry: Registry) -> None:
    def answer(request: Request, error: Exception) -> str:
        return f"{type(error).__name__}"

    assert registry.error(answer) is answer
    assert registry.error(404)(answer) is answer
    assert registry.error(ValueError)(answer) is answer
    with pytest.raises(SetupError, match="two error handlers for all errors: 'answer' and 'answer'"):
        registry.error()(answer)


REGISTERED: list[tuple[Callable[[Registry], Callable[..., Any]], str]] = [
    (lambda registry: registry.get("/"), "rule '/' calls it with (request)"),
    (lambda registry: registry.websocket("/"), "WebSocket rule '/' calls it with (ws, message)"),
    (lambda registry: registry.error, "@app.error calls it with (request, error)"),
    (lambda registry: registry.error(404), "@app.error calls it with (request, error)"),
    (lambda registry: registry.on_response, "@app.on_response calls it with (request, response)"),
    (lambda registry: registry.on_start, "@app.on_start calls it with ()"),
    (lambda registry: registry.on_stop, "@app.on_stop calls it with ()"),
]


@pytest.mark.parametrize(("decorator", "call"), REGISTERED)
def test_every_decorator_refuses_what_it_could_not_call(
    registry: Registry, decorator: Callable[[Registry], Callable[..., Any]], call: str
) -> None:
    with pytest.raises(BadRule) as caught:
        decorator(registry)(lambda one, two, three: "")
    assert str(caught.value) == f"handler '<lambda>' takes (one, two, three), but {call}"


@pytest.mark.parametrize(("decorator", "call"), REGISTERED)
def test_every_decorator_refuses_async_def(
    registry: Registry, decorator: Callable[[Registry], Callable[..., Any]], call: str
) -> None:
    async def waits(*args: object) -> None: ...

    with pytest.raises(BadRule, match=r"^handler 'waits' is 'async def'; write 'def'"):
        decorator(registry)(waits)


def test_the_hooks_are_given_back() -> None:
    app = App()

    def stamp(request: Request, response: Response) -> None: ...
    def begin() -> None: ...

    assert app.on_response(stamp) is stamp
    assert app.on_start(begin) is begin
    assert app.on_stop(begin) is begin


def test_ping_answers_pong() -> None:
    app = App()
    app.ping()
    app.ping(path="/alive")
    for path in ("/ping", "/alive"):
        request = Request("GET", path)
        response = app.call(request, app.match(request))
        assert isinstance(response, Response)
        assert (response.status, response.text) == (200, "PONG")
        assert response.headers["Content-Type"] == "text/plain; charset=utf-8"


def test_a_class_is_not_taken_for_a_bare_error_handler(registry: Registry) -> None:
    @registry.error(HTTPError)
    def answer(request: Request, error: HTTPError) -> str:
        return error.message

    with pytest.raises(SetupError, match="two error handlers for HTTPError"):
        registry.error(HTTPError)(answer)
