"""The app of the soak tests: a topic that all follow, a peer that is sent much, a generator that sleeps."""

from __future__ import annotations

from microsock import App, Waiting, WebSocket, sleep

app = App(max_queued_bytes=1 << 20, ping_interval=20, write_timeout=1.5, access_log=False)


@app.websocket("/all")
def everybody(ws: WebSocket, message: str) -> None:
    app.publish("all", message)


@everybody.on_open
def follow(ws: WebSocket) -> None:
    ws.subscribe("all")


@app.websocket("/flood")
def flood(ws: WebSocket, message: str) -> None:
    for _ in range(16):
        app.publish("flooded", b"x" * (128 << 10))


@app.websocket("/flooded")
def flooded(ws: WebSocket, message: str) -> None: ...


@flooded.on_open
def be_flooded(ws: WebSocket) -> None:
    ws.subscribe("flooded")


@app.websocket("/megabyte")
def megabyte(ws: WebSocket, message: str) -> bytes:
    return b"x" * (1 << 20)


@app.websocket("/asleep")
def asleep(ws: WebSocket) -> Waiting[None]:
    yield from sleep(2.5)
    first = yield from ws.binary()
    ws.send(f"awake after {len(first)} bytes")
    yield from sleep(60)
