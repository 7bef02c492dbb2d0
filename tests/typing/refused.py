# pyright: strict, reportUnnecessaryTypeIgnoreComment=true, reportUntypedFunctionDecorator=false
"""What mypy --strict and pyright must refuse.

Every wrong line says which errors it is to give; both tools complain where one does not give them.
"""

from __future__ import annotations

from typing import Any

import microsock
from microsock import App, Event, EventStream, Request, Response, Waiting, WebSocket, abort, blocking, sleep

app = App()


@app.websocket("/chat/{room}")
def chat(ws: WebSocket, message: str, room: str) -> None:
    ws.send(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ws.send(None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ws.close("bye")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ws.ping("now")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    ws.id = "mine"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


@chat.on_open  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
def misspelt(ws: WebSocket, rom: str) -> None: ...


@chat.on_open  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
def wrong_type(ws: WebSocket, room: int) -> None: ...


@chat.on_open  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
def too_few(ws: WebSocket) -> None: ...


@chat.on_open  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
def too_many(ws: WebSocket, room: str, more: str) -> None: ...


@chat.on_upgrade  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
def of_a_socket(ws: WebSocket, room: str) -> None: ...


@chat.on_upgrade  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
def upgrade_misspelt(request: Request, rom: str) -> None: ...


@chat.on_close  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
def closed_with_room(ws: WebSocket, code: int, reason: str, room: str) -> None: ...


@chat.on_error  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
def error_alone(error: Exception) -> None: ...


@app.websocket("/count")  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
def counted(ws: WebSocket, message: int) -> None: ...


@app.websocket("/answer")  # type: ignore[arg-type]  # pyright: ignore[reportCallIssue, reportArgumentType]
def numbered(ws: WebSocket, message: str) -> int:
    return len(message)


@app.websocket("/quiz/{level:int}")
def quiz(ws: WebSocket, level: int) -> Waiting[None]:
    number: int = yield from ws.text()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    text: str = yield from ws.binary()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    either: str = yield from ws.receive()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    yield "a value"  # type: ignore[misc]  # pyright: ignore[reportReturnType]
    yield from sleep("long")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    wrong: int = yield from blocking(str, 1)  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    yield from blocking(len, 1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    yield from blocking(len)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    ws.send([number, text, either, wrong])


@chat.on_upgrade  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
def says_yes(request: Request, room: str) -> bool:
    return True


@app.every(60)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
def greedy(name: str) -> None: ...


@app.get("/events")  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
def event(request: Request) -> Event:
    return Event("alone")


@quiz.on_open  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
def level_misspelt(ws: WebSocket, lvl: int) -> None: ...


@app.get("/nothing")  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
def nothing(request: Request) -> None: ...


@app.get("/number")  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
def number(request: Request) -> int:
    return 1


@app.get("/later")  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
async def later(request: Request) -> str:
    return ""


@app.get("/bare")  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
def bare() -> str:
    return ""


@app.get("/backwards")  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
def backwards(response: Response) -> str:
    return ""


@app.error(ValueError)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
def wrong_error(request: Request, error: KeyError) -> str:
    return ""


@app.on_response  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
def one_sided(response: Response) -> None: ...


@app.on_start  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]
def started(app: Any) -> None: ...


repr(microsock.Sever)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownArgumentType, reportUnknownMemberType]
app.get(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
app.publish("topic", 5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
app.publish("topic", "data", exclude="me")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
app.after("soon", bare)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
app.after(1, chat)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
app.publish("topic", "data", retain="yes")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
EventStream(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Event(b"bytes", id=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
app.errorhandler(404)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
App("shop")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
app.route("/", method="POST")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
app.get("/", methods=["POST"])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
app.get(number)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
app.every(bare)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
abort("no")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
