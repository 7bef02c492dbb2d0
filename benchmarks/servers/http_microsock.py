"""Run it by `python http_microsock.py PORT [--tls CERTIFICATE KEY]`."""

from __future__ import annotations

import sys
from typing import Any

from microsock import App, Request, Response

app = App()


@app.get("/")
def hello(request: Request) -> Response:
    """Plain text."""
    return Response("Hello, world!", content_type="text/plain")


@app.get("/json")
def document(request: Request) -> dict[str, str]:
    """A small document."""
    return {"message": "Hello, world!"}


@app.get("/users/{number:int}")
def user(request: Request, number: int) -> dict[str, Any]:
    """A path parameter."""
    return {"id": number, "name": f"user {number}"}


@app.post("/json")
def again(request: Request) -> Any:
    """Read JSON, write JSON."""
    return request.json()


@app.post("/echo")
def echo(request: Request) -> bytes:
    """Send back the body."""
    return request.body


if __name__ == "__main__":
    certificate, key = sys.argv[3:] or (None, None)
    port = int(sys.argv[1])
    sys.exit(app.run(port=port, access_log=False, keep_alive_timeout=75, ssl_certfile=certificate, ssl_keyfile=key))
