"""The app that the test client is tested with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from microsock import App, Request, Response, WebSocket, sleep


def make_app(**settings: Any) -> App:
    app = App(**settings)

    @app.route("/echo", methods=["GET", "POST"])
    def echo(request: Request) -> Response:
        return Response(request.body, headers={"X-Client": f"{request.client.host}:{request.client.port}"})

    @app.get("/about")
    def about(request: Request) -> dict[str, object]:
        return {"secure": request.is_secure, "url": request.url, "cookies": dict(request.cookies)}

    @app.get("/cookie")
    def cookie(request: Request) -> Response:
        response = Response("set")
        response.set_cookie("seen", "yes")
        return response

    @app.get("/big")
    def big(request: Request) -> bytes:
        return bytes(int(request.args.get("size", "0")))

    @app.get("/count")
    def count(request: Request) -> Iterator[str]:
        for number in range(5):
            yield f"{number}\n"

    @app.get("/later")
    def later(request: Request) -> Any:
        yield from sleep(float(request.args.get("seconds", "2")))
        yield "at last"

    @app.get("/half")
    def half(request: Request) -> Any:
        yield "half"
        yield from sleep(2)
        yield ", whole"

    @app.get("/breaks")
    def breaks(request: Request) -> Iterator[str]:
        yield "first"
        raise ValueError("on purpose")

    @app.websocket("/ws", subprotocols=["chat"])
    def ws_echo(ws: WebSocket, message: str | bytes) -> str | bytes:
        return message

    return app
