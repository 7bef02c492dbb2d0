"""Run it by `python http_microdot.py PORT [--tls CERTIFICATE KEY]`. It closes each connection after its answer."""

from __future__ import annotations

import ssl
import sys
from typing import Any

from microdot import Microdot, Request

app = Microdot()
Request.max_content_length = 16 << 20
Request.max_body_length = 16 << 20


@app.get("/")
async def hello(request: Request) -> str:
    """Plain text."""
    return "Hello, world!"


@app.get("/json")
async def document(request: Request) -> dict[str, str]:
    """A small document."""
    return {"message": "Hello, world!"}


@app.get("/users/<int:number>")
async def user(request: Request, number: int) -> dict[str, Any]:
    """A path parameter."""
    return {"id": number, "name": f"user {number}"}


@app.post("/json")
async def again(request: Request) -> Any:
    """Read JSON, write JSON."""
    return request.json


@app.post("/echo")
async def echo(request: Request) -> tuple[bytes, int, dict[str, str]]:
    """Send back the body."""
    return request.body, 200, {"Content-Type": "application/octet-stream"}


if __name__ == "__main__":
    context = None
    if sys.argv[3:]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*sys.argv[3:])
    app.run("127.0.0.1", int(sys.argv[1]), ssl=context)
