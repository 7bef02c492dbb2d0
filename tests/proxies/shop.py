"""The app that stands behind the proxies."""

from __future__ import annotations

import os

from microsock import App, EventStream, Request, WebSocket

app = App(access_log=False)


@app.route("/who", methods=["GET", "POST"])
def who(request: Request) -> dict[str, object]:
    return {
        "client": request.client.host,
        "scheme": request.scheme,
        "url": request.url,
        "pid": os.getpid(),
        "body": len(request.body),
    }


@app.get("/large")
def large(request: Request) -> bytes:
    return bytes(4 << 20)


@app.get("/news")
def news(request: Request) -> EventStream:
    return EventStream("news")


@app.post("/publish")
def publish(request: Request) -> str:
    app.publish("news", request.text)
    return "published"


@app.websocket("/echo")
def echo(ws: WebSocket, message: str) -> dict[str, object]:
    return {"said": message, "client": ws.request.client.host, "url": ws.request.url, "pid": os.getpid()}
