"""Mistakes that people make while they put an app together: each is a SetupError that says what to write."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from microsock import App, BadSetting, HTTPError, SetupError, WebSocketRoute, abort
from microsock.mistakes import MissingAttribute

app: Any = App()


def show(request: Any) -> str:
    return ""


def often() -> None: ...


def talk(ws: Any, message: str, room: str) -> None: ...


chat = app.websocket("/chat/{room}")(talk)


async def later(request: Any) -> None: ...


ERROR = "@app.error(404), @app.error(ValueError) or @app.error, called with (request, error)"
BEFORE = "a decorator of your own under the route's, or a call at the handler's beginning"
AFTER = "@app.on_response, called with (request, response)"
ADD = "app.add_route('/path', handler, methods=['GET'])"
BARE = "has no parentheses and stands above"
LIST = "expected a list or tuple of str"
METHODS = "expected a list like ['GET', 'POST'], 'GET|POST' or '*' for any"
ERRORS = "@app.error takes a status from 400 to 599, an Exception class or nothing, not "
ONE = "is for one method; write @app.route(rule, methods="
TAKES = "it takes methods=, max_body_size=, blocking="
PORT = "app.run(port=…), Server(app, address, port) or the flag --port"
HOST = "app.run(host=…), Server(app, address) or the flag --host"
PLACE = "that is no setting of an app; write"
ASYNC = "handler 'later' is 'async def'; write 'def', and 'yield from sleep(…)' where it waits: "
ASYNC += "microsock calls plain functions and runs no event loop"

MISTAKES: list[tuple[Callable[[], object], str]] = [
    # Without parentheses.
    *[
        (functools.partial(getattr(app, verb), show), f"@app.{verb} {BARE} 'show'; write @app.{verb}('/show')")
        for verb in ("get", "post", "put", "patch", "delete", "head", "options", "trace", "route", "websocket")
    ],
    (lambda: app.every(often), "@app.every has no parentheses and stands above 'often'; write @app.every(60)"),
    (lambda: app.limit(show), "@app.limit has no parentheses and stands above 'show'; write @app.limit('5/minute')"),
    (lambda: app.add_route(show, "/"), "app.add_route takes the rule first; write app.add_route('/show', show)"),
    # With parentheses that should not be there.
    *[
        (getattr(app, hook), f"@app.{hook} takes no parentheses; write @app.{hook} above the function")
        for hook in ("on_start", "on_stop", "on_response")
    ],
    *[
        (getattr(chat, hook), f"@talk.{hook} takes no parentheses; write @talk.{hook} above the function")
        for hook in ("on_upgrade", "on_open", "on_close", "on_error")
    ],
    # Keywords.
    (lambda: app.route("/", method="POST"), "app.route takes no method=; write methods=['POST']"),
    (lambda: app.add_route("/", show, method="POST"), "app.add_route takes no method=; write methods=['POST']"),
    (lambda: app.get("/", methods=["POST"]), f"app.get takes no methods=; @app.get {ONE}['POST'])"),
    (lambda: app.post("/", method="PUT"), f"app.post takes no method=; @app.post {ONE}['PUT'])"),
    (lambda: app.route("/", endpoint="x"), f"app.route takes no endpoint=; {TAKES}"),
    (lambda: app.get("/", max_bodysize=1), "app.get takes no max_bodysize=; did you mean max_body_size=?"),
    (lambda: app.websocket("/", origin="https://a"), "app.websocket takes no origin=; write origins=['https://a']"),
    (lambda: app.websocket("/", subprotocol="a"), "app.websocket takes no subprotocol=; write subprotocols=['a']"),
    # The app itself.
    (lambda: App("shop"), "App('shop'): an app has no name, and its settings are keywords; write App()"),  # type: ignore[arg-type]
    (lambda: App(port=80), f"App(port=80): {PLACE} {PORT}"),
    (lambda: App(host="::"), f"App(host='::'): {PLACE} {HOST}"),
    (lambda: App(reload=True), f"App(reload=True): {PLACE} the flag --reload"),
    (lambda: App(grase=1), "unknown setting 'grase'; did you mean 'grace'?"),
    # What other frameworks have.
    (lambda: app.errorhandler(404), f"an App has no 'errorhandler'; write {ERROR}"),
    (lambda: app.before_request, f"an App has no 'before_request'; write {BEFORE}"),
    (lambda: app.after_request, f"an App has no 'after_request'; write {AFTER}"),
    (lambda: app.add_url_rule("/", "x", show), f"an App has no 'add_url_rule'; write {ADD}"),
    # An answer.
    (lambda: abort("no"), "abort('no'): a status comes first, then the message; write abort(400, 'no')"),  # type: ignore[arg-type]
    (lambda: HTTPError(None), "abort(None): a status comes first, then the message; write abort(400, None)"),  # type: ignore[arg-type]
    (lambda: abort(True), "abort(True): a status comes first, then the message; write abort(400, True)"),
    # Arguments of the wrong type.
    (lambda: app.get(["/a", "/b"])(show), "a rule is a str, a compiled re.Pattern or None, not ['/a', '/b']"),
    (lambda: app.get("/")(None), "rule '/' needs a function, not None"),
    (lambda: app.get("/")([show]), f"rule '/' needs a function, not {[show]!r}"),
    (lambda: app.route("/", methods=None)(show), f"methods is None; {METHODS}"),
    (lambda: app.route("/", methods=7)(show), f"methods is 7; {METHODS}"),
    (lambda: app.route("/", methods=b"GET")(show), f"methods is b'GET'; {METHODS}"),
    (lambda: app.route("/", "GET,POST")(show), f"'GET,POST' is no method; {METHODS}"),
    (lambda: app.websocket("/", origins=7)(lambda ws, message: None), f"origins is 7; {LIST}, such as [7]"),
    (lambda: app.error("404")(lambda request, error: ""), f"{ERRORS}'404'"),
    (lambda: app.error([404, 405])(lambda request, error: ""), f"{ERRORS}[404, 405]"),
    # Async.
    *[
        (register, ASYNC)
        for register in (
            lambda: app.get("/")(later),
            lambda: app.websocket("/")(later),
            lambda: app.error(404)(later),
            lambda: app.on_response(later),
            lambda: app.on_start(later),
            lambda: app.on_stop(later),
            lambda: app.every(5)(later),
            lambda: app.after(5, later),
            lambda: app.connect(later),
            lambda: app.limit("5/minute", key=later),
            lambda: app.status(guard=later),
            lambda: chat.on_open(later),
        )
    ],
]  # fmt: skip


@pytest.mark.parametrize(("make", "message"), MISTAKES, ids=[message.partition(" at 0x")[0] for _, message in MISTAKES])
def test_a_mistake_says_what_to_write(make: Callable[[], object], message: str) -> None:
    with pytest.raises(SetupError) as caught:
        made = make()
        if callable(made):
            made(show)
    assert str(caught.value) == message


def test_what_is_no_setting_of_an_app_is_a_bad_setting() -> None:
    with pytest.raises(BadSetting):
        App(port=80)


def test_an_app_has_no_more_attributes_than_before() -> None:
    assert not hasattr(app, "errorhandler")
    assert not hasattr(app, "whatever")
    assert getattr(app, "config", None) is None
    with pytest.raises(MissingAttribute) as missing:
        app.config["DEBUG"] = True
    assert isinstance(missing.value, AttributeError)
    with pytest.raises(AttributeError) as unknown:
        _ = app.on_resposne
    assert str(unknown.value) == "'App' object has no attribute 'on_resposne'"
    assert (unknown.value.name, unknown.value.obj) == ("on_resposne", app)
    assert not isinstance(unknown.value, SetupError)


# The two shapes of a WebSocket's handler.

SHAPES = """Write one of these two:

    @app.websocket('/echo')
    def echo(ws, message):
        # called for each message; what is returned is sent back
        return message

    @app.websocket('/echo')
    def echo(ws):
        # run once for each connection; it waits by 'yield from'
        while True:
            message = yield from ws.receive()
            ws.send(message)
"""


def test_a_handler_with_a_loop_of_its_own_is_shown_both_shapes() -> None:
    with pytest.raises(SetupError) as caught:

        def echo(ws: Any) -> None:
            while True:
                data = ws.receive()
                ws.send(data)

        app.websocket("/echo")(echo)

    why = "handler 'echo' takes (ws), but WebSocket rule '/echo' calls it with (ws, message): "
    why += "it has no 'yield', so it is called once for each message. "
    assert str(caught.value) == why + SHAPES


def test_and_so_is_a_generator_that_wants_a_message() -> None:
    with pytest.raises(SetupError) as caught:

        def echo(ws: Any, message: str) -> Any:
            yield from ws.text()

        app.websocket("/echo")(echo)

    why = "handler 'echo' takes (ws, message), but WebSocket rule '/echo' calls it with (ws): "
    why += "it has a 'yield', so it runs once for each connection. "
    assert str(caught.value) == why + SHAPES


def test_path_parameters_are_shown_in_both() -> None:
    with pytest.raises(SetupError) as caught:

        def talk(ws: Any, room: str, id: int) -> None: ...

        app.websocket("/chat/{room}/{id:int}")(talk)

    assert "def talk(ws, message, room, id):" in str(caught.value)
    assert "def talk(ws, room, id):" in str(caught.value)


def test_what_has_neither_shape_is_told_what_it_is_called_with() -> None:
    with pytest.raises(SetupError) as caught:
        app.websocket("/chat/{room}")(lambda: None)
    expected = "handler '<lambda>' takes (), but WebSocket rule '/chat/{room}' calls it with (ws, message, room)"
    assert str(caught.value) == expected


@pytest.mark.parametrize("wrap", [functools.wraps, None])
def test_what_wraps_a_handler_is_judged_by_its_own_parameters(wrap: Any) -> None:
    def talk(ws: Any) -> Any:
        yield from ws.text()

    def wrapper(*arguments: Any, **params: Any) -> Any:
        return talk(*arguments, **params)

    handler = wrapper if wrap is None else wrap(talk)(wrapper)
    route = App().websocket("/ws")(handler)
    assert isinstance(route, WebSocketRoute)
    assert route.is_generator is (wrap is not None)
