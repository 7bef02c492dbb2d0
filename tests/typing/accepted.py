# pyright: strict
"""What mypy --strict and pyright must accept: an annotated app that uses every decorator and verb."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from functools import partial
from typing import Any, TypedDict, assert_type
from uuid import UUID

from microsock import (
    App,
    Event,
    EventStream,
    HTTPError,
    Pending,
    Request,
    Response,
    Waiting,
    WebSocket,
    WebSocketClosed,
    WebSocketRoute,
    abort,
    blocking,
    redirect,
    sleep,
)

app = App(max_body_size=1 << 20, debug=True)


class Note(TypedDict):
    text: str


# What a handler may return.


@app.get("/")
def index(request: Request) -> str:
    return request.args.get("name", "nobody")


@app.get("/users/{id:int}", max_body_size=1024)
def user(request: Request, id: int) -> dict[str, int]:
    return {"id": id}


@app.post("/notes")
def create(request: Request) -> tuple[Note, int]:
    return {"text": request.text}, 201


@app.put("/notes/{id:uuid}")
def replace(request: Request, id: UUID) -> tuple[str, int, dict[str, str]]:
    return "", 200, {"ETag": str(id)}


@app.patch("/notes/{id:uuid}")
def change(request: Request, id: UUID) -> Response:
    return Response({"id": str(id)}, headers=[("ETag", "1")])


@app.delete("/notes/{id:uuid}")
def remove(request: Request, id: UUID) -> Response:
    abort(404, f"no note {id}")


@app.head("/notes")
def notes_head(request: Request) -> bytes:
    return b""


@app.options("/notes")
def notes_options(request: Request) -> tuple[str, int]:
    return "", 204


@app.trace("/notes")
def notes_trace(request: Request) -> Iterator[bytes]:
    return iter([b"a", b"b"])


@app.route("/notes", methods=["GET", "PROPFIND"])
def notes(request: Request) -> list[Note]:
    return [{"text": "a"}]


@app.route("/both", methods="GET|POST")
def both(request: Request) -> Response | str:
    return redirect("/notes", 303) if request.method == "POST" else "get"


@app.get(re.compile(r"/v(?P<version>\d+)/.*"))
def versioned(request: Request, version: str) -> str:
    return version


@app.get(None)
def anything(request: Request, **params: Any) -> Generator[str, None, None]:
    yield request.path


@app.get("/slow")
def slow(request: Request) -> Waiting[str]:
    yield from sleep(1)
    return ""


@app.get("/ticks")
def ticks(request: Request) -> Iterator[str]:
    yield "a"


@app.get("/ticks/paused")
def paused(request: Request) -> Generator[Any, Any, None]:
    yield "a"
    yield from sleep(0.5)
    yield "b"


@app.get("/later")
def later(request: Request) -> Pending:
    return Pending(finite=True)


@app.get("/report", blocking=True)
def report(request: Request) -> str:
    return "slow"


@app.route("/reports", methods="GET|POST", blocking=True)
def reports(request: Request) -> tuple[EventStream, int]:
    return EventStream("reports"), 200


@app.get("/events")
def events(request: Request) -> Iterator[Event]:
    yield Event({"a": 1}, event="tick", id="1", retry=500)


@app.get("/news")
def news(request: Request) -> EventStream:
    return EventStream("news", "sport", history=10, keep_alive=5)


@app.get("/held")
def held(request: Request) -> Response:
    return Response(EventStream("news"), headers={"X-A": "1"})


def add(first: int, *, second: int) -> str:
    return str(first + second)


@app.get("/mixed")
def mixed(request: Request) -> Generator[Any, Any, None]:
    text = yield from blocking(add, 1, second=2)
    assert_type(text, str)
    yield text
    yield Event(text)
    yield from sleep(1)


class Pages:
    def page(self, request: Request, name: str) -> str:
        return name


app.add_route("/pages/{name}", Pages().page, ["GET"])
app.add_route("/home", partial(Pages().page, name="home"))
app.ping()

assert_type(user(Request("GET", "/"), id=1), dict[str, int])


# Hooks.


@app.error(404)
def missing(request: Request, error: HTTPError) -> tuple[dict[str, str], int]:
    return {"error": error.message, "path": request.path}, 404


@app.error(ZeroDivisionError)
def divided(request: Request, error: ZeroDivisionError) -> tuple[str, int]:
    return "no", 400


@app.error
def failed(request: Request, error: HTTPError) -> str:
    return error.type


@app.error()
def failed_too(request: Request, error: HTTPError) -> str:
    return error.type


@app.on_response
def stamp(request: Request, response: Response) -> None:
    response.headers["X-Served-By"] = "microsock"


@app.on_response
def exchange(request: Request, response: Response) -> Response | None:
    return Response("other") if response.status == 418 else None


@app.on_start
def start() -> None:
    pass


@app.on_stop
def stop() -> None:
    pass


@app.every(60)
def tick() -> None:
    app.after(1.5, tock)
    app.publish("news", "tick", retain=True)


@app.every(0.5, each_worker=True)
def tock() -> str:
    return "tock"


assert_type(tick(), None)


# WebSockets.


@app.websocket("/slow/{room}", blocking=True)
def slow_chat(ws: WebSocket, message: str, room: str) -> dict[str, str]:
    return {room: message}


@slow_chat.on_upgrade
def with_lines(request: Request, room: str) -> dict[str, str] | None:
    return {"Set-Cookie": "a=1"} if room else None


@app.websocket("/thinks")
def thinks(ws: WebSocket) -> Waiting[None]:
    message = yield from ws.text()
    assert_type((yield from blocking(len, message)), int)
    assert_type((yield from blocking(add, 1, second=2)), str)


@app.websocket("/chat/{room}", origins=["https://example.org"], subprotocols=("chat",), max_message_size=1 << 16)
def chat(ws: WebSocket, message: str, room: str) -> None:
    app.publish(room, {"from": ws.id, "text": message}, exclude=ws)


@chat.on_upgrade
def admitted(request: Request, room: str) -> None:
    if room == "secret":
        abort(403)


@chat.on_open
def joined(ws: WebSocket, room: str) -> None:
    ws.subscribe(room)
    ws.state.joined = True
    ws.user = "ann"


@chat.on_close
def left(ws: WebSocket, code: int, reason: str) -> None:
    app.publish(ws.params["room"], f"{code} {reason}")


@chat.on_error
def broken(ws: WebSocket, error: Exception) -> bool:
    return isinstance(error, KeyError)


@app.websocket("/binary")
def binary(ws: WebSocket, message: bytes) -> bytes:
    return message


@app.websocket("/any")
def either(ws: WebSocket, message: str | bytes) -> str | bytes | None:
    return message or None


@app.websocket("/json")
def objects(ws: WebSocket, message: dict[str, Any]) -> dict[str, Any]:
    return message


@app.websocket("/arrays/{size:int}")
def arrays(ws: WebSocket, message: list[Any], size: int) -> list[Any]:
    return message[:size]


def ask(ws: WebSocket, question: str) -> Waiting[str]:
    ws.send(question)
    return (yield from ws.text(timeout=30))


@app.websocket("/quiz/{level:int}")
def quiz(ws: WebSocket, level: int) -> Waiting[None]:
    name = yield from ask(ws, "your name?")
    assert_type(name, str)
    assert_type((yield from ws.receive()), str | bytes)
    assert_type((yield from ws.receive(timeout=1.5)), str | bytes)
    assert_type((yield from ws.binary()), bytes)
    anything: dict[str, int] = yield from ws.json()
    yield from sleep(1)
    yield from ws.flushed()
    try:
        yield from ws.text()
    except WebSocketClosed as closed:
        assert_type((closed.code, closed.reason, closed.by_peer), tuple[int, str, bool])
    ws.send([name, anything, level])
    ws.ping(b"")
    ws.close(1000, "bye")


@quiz.on_open
def begun(ws: WebSocket, level: int) -> None:
    assert_type(ws.id, str)
    assert_type(ws.queued_bytes, int)
    assert_type(ws.close_code, int | None)
    assert_type(ws.subprotocol, str | None)


@quiz.on_upgrade
def checked(request: Request, level: int) -> None:
    assert_type(request.is_secure, bool)


@app.websocket("/plain")
def plain(ws: WebSocket) -> Iterator[Any]:
    yield from sleep(0)


def take(route: WebSocketRoute[...]) -> str:
    return route.name


take(chat)
take(quiz)
assert_type(app.topic("a").count(), int)
app.topic("a").close(1001, "over")
assert_type(app.websockets, list[WebSocket])
