"""An app for several workers: rooms, and a clock that tells which worker it runs in."""

from __future__ import annotations

import os

from microsock import App, Request, WebSocket

app = App(access_log=False)


@app.websocket("/rooms/{room}")
def rooms(ws: WebSocket, message: str, room: str) -> None:
    """What one says, all hear."""
    app.publish(room, message, retain=room == "state")


@rooms.on_open
def joined(ws: WebSocket, room: str) -> None:
    ws.send(str(os.getpid()))
    ws.subscribe(room)


@rooms.on_close
def left(ws: WebSocket, code: int, reason: str) -> None:
    app.publish("left", f"{os.getpid()} {code}")


@app.on_stop
def stopped() -> None:
    app.publish("left", f"{os.getpid()} stopped")


@app.get("/count/{topic}")
def count(request: Request, topic: str) -> dict[str, int]:
    return {"worker": os.getpid(), "count": app.topic(topic).count()}


@app.post("/publish/{topic}")
def publish(request: Request, topic: str) -> str:
    app.publish(topic, request.body)
    return str(os.getpid())


@app.get("/close/{topic}")
def close(request: Request, topic: str) -> str:
    app.topic(topic).close(4000, "over")
    return "closed"


@app.every(0.1)
def tick() -> None:
    app.publish("ticks", str(os.getpid()))
