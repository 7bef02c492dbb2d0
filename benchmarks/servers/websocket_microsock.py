"""Run it by `python websocket_microsock.py PORT`."""

from __future__ import annotations

import sys

from microsock import App, WebSocket

app = App()


@app.websocket("/echo")
def echo(ws: WebSocket, message: str | bytes) -> str | bytes:
    """Send back what comes."""
    return message


@app.websocket("/follow")
def follow(ws: WebSocket, message: str | bytes) -> None:
    """Followers only listen."""


@follow.on_open
def joined(ws: WebSocket) -> None:
    """Follow the news."""
    ws.subscribe("news")


@app.websocket("/publish")
def publish(ws: WebSocket, message: str | bytes) -> None:
    """Give it to all followers."""
    app.publish("news", message)


if __name__ == "__main__":
    sys.exit(app.run(port=int(sys.argv[1]), access_log=False))
