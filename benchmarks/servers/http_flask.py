"""Run it by `python http_flask.py PORT [--tls CERTIFICATE KEY]`: Flask on gunicorn, one worker of four threads."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from flask import Flask, Response, request

app = Flask(__name__)


@app.get("/")
def hello() -> Response:
    """Plain text."""
    return Response("Hello, world!", content_type="text/plain")


@app.get("/json")
def document() -> dict[str, str]:
    """A small document."""
    return {"message": "Hello, world!"}


@app.get("/users/<int:number>")
def user(number: int) -> dict[str, Any]:
    """A path parameter."""
    return {"id": number, "name": f"user {number}"}


@app.post("/json")
def again() -> Any:
    """Read JSON, write JSON."""
    return request.get_json()


@app.post("/echo")
def echo() -> Response:
    """Send back the body."""
    return Response(request.get_data(), content_type="application/octet-stream")


if __name__ == "__main__":
    # By default it keeps a thousand connections, and each of them for two seconds.
    work = ["--threads", "4", "--worker-connections", "8000", "--keep-alive", "75", "--log-level", "error"]
    tls = ["--certfile", sys.argv[3], "--keyfile", sys.argv[4]] if sys.argv[3:] else []
    command = [sys.executable, "-m", "gunicorn", "-b", f"127.0.0.1:{sys.argv[1]}", *work, *tls]
    os.chdir(Path(__file__).parent)
    os.execv(sys.executable, [*command, f"{Path(__file__).stem}:app"])
