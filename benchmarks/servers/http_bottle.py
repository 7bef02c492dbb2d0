"""Run it by `python http_bottle.py PORT`: bottle on waitress, which knows no TLS."""

from __future__ import annotations

import logging
import sys
from typing import Any

import waitress
from bottle import Bottle, request, response

app = Bottle()


@app.get("/")
def hello() -> str:
    """Plain text."""
    response.content_type = "text/plain"
    return "Hello, world!"


@app.get("/json")
def document() -> dict[str, str]:
    """A small document."""
    return {"message": "Hello, world!"}


@app.get("/users/<number:int>")
def user(number: int) -> dict[str, Any]:
    """A path parameter."""
    return {"id": number, "name": f"user {number}"}


@app.post("/json")
def again() -> Any:
    """Read JSON, write JSON."""
    return request.json


@app.post("/echo")
def echo() -> bytes:
    """Send back the body."""
    response.content_type = "application/octet-stream"
    content: bytes = request.body.read()
    return content


if __name__ == "__main__":
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    # By default it takes a hundred connections, and select() no more than a thousand.
    limits: dict[str, Any] = {"connection_limit": 8000, "asyncore_use_poll": True, "channel_timeout": 75}
    waitress.serve(app, host="127.0.0.1", port=int(sys.argv[1]), _quiet=True, **limits)
