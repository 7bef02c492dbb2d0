"""Run it by `python http_sanic.py PORT [--tls CERTIFICATE KEY]`."""

from __future__ import annotations

import sys

from sanic import HTTPResponse, Request, Sanic
from sanic.response import json, raw, text

app = Sanic("benchmark")
app.config.KEEP_ALIVE_TIMEOUT = 75
app.config.ACCESS_LOG = False


@app.get("/")
async def hello(request: Request) -> HTTPResponse:
    """Plain text."""
    return text("Hello, world!")


@app.get("/json")
async def document(request: Request) -> HTTPResponse:
    """A small document."""
    return json({"message": "Hello, world!"})


@app.get("/users/<number:int>")
async def user(request: Request, number: int) -> HTTPResponse:
    """A path parameter."""
    return json({"id": number, "name": f"user {number}"})


@app.post("/json")
async def again(request: Request) -> HTTPResponse:
    """Read JSON, write JSON."""
    return json(request.json)


@app.post("/echo")
async def echo(request: Request) -> HTTPResponse:
    """Send back the body."""
    return raw(request.body)


if __name__ == "__main__":
    tls = {"cert": sys.argv[3], "key": sys.argv[4]} if sys.argv[3:] else None
    app.run("127.0.0.1", int(sys.argv[1]), ssl=tls, access_log=False, motd=False, single_process=True)
