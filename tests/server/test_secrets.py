"""What a client has said, and what it was told, is gone from memory once its connection has closed."""

from __future__ import annotations

import gc
import secrets
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from microsock import App, Request, Response, Server, redirect

pytestmark = pytest.mark.server

PATIENCE = 10.0
TIMES = 3  # a line enters a table on its second sighting

HEADERS = [
    "Cookie: session=SECRET", "Authorization: Bearer SECRET", "Proxy-Authorization: Basic SECRET", "X-Api-Key: SECRET",
    "X-Auth-Token: SECRET", "X-Anything: SECRET", "SECRET: 1", "Referer: http://shop.example/reset/SECRET",
    "X-Forwarded-For: SECRET", "Forwarded: for=_SECRET", "X-Real-IP: SECRET", "If-None-Match: SECRET",
    "Last-Event-ID: SECRET", "Sec-WebSocket-Protocol: SECRET", "Accept-Secret: SECRET", "X-Obs: \xe9SECRET",
]  # fmt: skip
TARGETS = ["/reset/SECRET", "/?token=SECRET", "/missing/SECRET", "/counted/SECRET", "/raise/SECRET", "/to/SECRET"]


def request(target: str, *lines: str, method: str = "GET", body: str = "") -> str:
    length = [f"Content-Length: {len(body)}"] if body else []
    return "\r\n".join([f"{method} {target} HTTP/1.1", "Host: localhost", *lines, *length, "", body])


REQUESTS = [
    *(request("/", line) for line in HEADERS),
    *(request("/films", line, method="POST", body="SECRET") for line in HEADERS),
    *(request(target) for target in TARGETS),
    *(request(target, "X: \xe9") for target in TARGETS),  # by h11
    request("/SECRET", method="SECRET"),
    request("/", "Bad line: SECRET"),
    request("/live/SECRET", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Cookie: SECRET"),
]  # fmt: skip


@pytest.fixture
def server() -> Iterator[Server]:
    app = App(trusted_proxies=["127.0.0.1"], rate_limit="100000/minute", allowed_hosts="*")

    @app.get("/")
    def index(request: Request) -> Response:
        cookie = request.headers.get("cookie", "")
        return Response("films", headers={"X-Auth-Token": cookie, "Set-Cookie": cookie, "ETag": cookie, "Vary": "A"})

    @app.post("/films")
    def add(request: Request) -> bytes:
        return request.body

    @app.get("/reset/{token}")
    def reset(request: Request, token: str) -> dict[str, str]:
        return {"token": token}

    @app.get("/to/{token}")
    def to(request: Request, token: str) -> Response:
        return redirect(f"/reset/{token}")

    @app.get("/counted/{key}")
    @app.limit("1000/hour", key=lambda request: str(request.params["key"]))
    def counted(request: Request, key: str) -> str:
        return key

    @app.get("/raise/{token}")
    def fails(request: Request, token: str) -> str:
        raise ValueError(token)

    @app.websocket("/live/{token}")
    def live(ws: Any, message: str, token: str) -> str:
        return message

    with Server(app, port=0, access_log=False) as server:
        thread = threading.Thread(target=server.run)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def ask(server: Server, text: str, secret: str) -> bool:
    """Ask several times on one connection; whether the answer came."""
    data = text.replace("SECRET", secret).encode("latin-1")
    with socket.create_connection(server.address, PATIENCE) as client:
        for _ in range(TIMES):
            try:
                client.sendall(data)
                if not client.recv(65536).startswith(b"HTTP/1.1 "):
                    break
            except ConnectionError:
                break
    return True


def remembered(secret: str) -> list[str]:
    """Texts in any container of this process that have it in them."""
    found: list[str] = []
    needle = secret.encode()
    for thing in gc.get_objects():
        if type(thing) in (dict, list, tuple, set, frozenset) or hasattr(type(thing), "__slots__"):
            for each in gc.get_referents(thing):
                if type(each) is str and each is not secret and secret in each:
                    found.append(each)
                elif type(each) in (bytes, bytearray) and each is not needle and needle in each:
                    found.append(repr(each))
    return found


def test_nothing_of_what_clients_said_is_left(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("CRITICAL", "microsock")
    secret = secrets.token_hex(8)
    for text in REQUESTS:
        assert ask(server, text, secret)
    # The last connection is closed by the time that another has been answered.
    for _ in range(2):
        ask(server, request("/"), secret)
    gc.collect()
    assert remembered(secret) == []
    # It would be found.
    kept = {"a": [f"an {secret}"]}
    assert set(remembered(secret)) == set(kept["a"])
