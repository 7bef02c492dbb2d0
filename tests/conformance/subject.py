"""The app that the cases are sent to: an echo, and handlers that try to break the framing of their own answers."""

from __future__ import annotations

from collections.abc import Iterator

from microsock import App, HTTPError, Request, Response, WebSocket, abort

__all__ = ["BODY_LIMIT", "REQUESTS_LIMIT", "make_app"]

BODY_LIMIT = 65_536
REQUESTS_LIMIT = 20


def make_app() -> App:
    """A fresh app, with limits low enough to be met by a case."""
    app = App(max_body_size=BODY_LIMIT, max_keep_alive_requests=REQUESTS_LIMIT)
    _add_readers(app)
    _add_answers(app)
    _add_framing(app)
    _add_streams(app)
    _add_sockets(app)
    return app


def _add_readers(app: App) -> None:
    @app.get("/")
    def index(request: Request) -> Response:
        return Response("OK", content_type="text/plain")

    @app.post("/")
    def back(request: Request) -> Response:
        return Response(request.body, content_type="text/plain")

    @app.get("/next")
    def follow_up(request: Request) -> str:
        return "next"

    @app.route("/echo", methods=["GET", "POST", "PUT", "PATCH", "DELETE", "REPORT"])
    def echo(request: Request) -> dict[str, object]:
        return {
            "method": request.method, "path": request.path, "query": request.query_string, "url": request.url,
            "version": request.http_version, "body": request.body.decode("latin-1"), "fields": request.headers.items(),
        }  # fmt: skip

    @app.get("/cookie")
    def cookies(request: Request) -> dict[str, str]:
        return dict(request.cookies)

    @app.get("/files/{path:path}")
    def files(request: Request, path: str) -> str:
        return path

    @app.get("/folder/")
    def folder(request: Request) -> str:
        return "folder"

    @app.post("/small", max_body_size=16)
    def small(request: Request) -> bytes:
        return request.body


def _add_answers(app: App) -> None:
    @app.get("/no-content")
    def no_content(request: Request) -> tuple[str, int]:
        return "not to be sent", 204

    @app.get("/not-modified")
    def not_modified(request: Request) -> Response:
        return Response("not to be sent", 304, {"ETag": '"1"'})

    @app.get("/reset-content")
    def reset_content(request: Request) -> tuple[str, int]:
        return "", 205

    @app.get("/empty")
    def nothing(request: Request) -> str:
        return ""

    @app.get("/teapot")
    def teapot(request: Request) -> str:
        abort(418)

    @app.get("/unregistered")
    def unregistered(request: Request) -> tuple[str, int]:
        return "odd", 299

    @app.get("/fails")
    def fails(request: Request) -> str:
        raise RuntimeError("on purpose")

    @app.get("/none")  # type: ignore[type-var]
    def none(request: Request) -> None:
        return None

    @app.get("/old")
    def old(request: Request) -> Response:
        return Response("", 301, {"Location": "/"})

    @app.get("/unauthorized")
    def unauthorized(request: Request) -> str:
        raise HTTPError(401, headers=[("WWW-Authenticate", 'Basic realm="a"')])


def _add_framing(app: App) -> None:
    def with_line(name: str, value: str) -> Response:
        return Response("hello", headers={name: value}, content_type="text/plain")

    @app.get("/splits")
    def splits(request: Request) -> Response:
        return with_line("X-A", "1\r\nX-Evil: 1")

    @app.get("/splits-name")
    def splits_name(request: Request) -> Response:
        return with_line("X-A: 1\r\nX-Evil", "1")

    @app.get("/short-length")
    def short_length(request: Request) -> Response:
        return with_line("Content-Length", "3")

    @app.get("/long-length")
    def long_length(request: Request) -> Response:
        return with_line("Content-Length", "30")

    @app.get("/own-coding")
    def own_coding(request: Request) -> Response:
        return with_line("Transfer-Encoding", "chunked")

    @app.get("/own-date")
    def own_date(request: Request) -> Response:
        return with_line("Date", "Sun, 06 Nov 1994 08:49:37 GMT")

    @app.get("/closes")
    def closes(request: Request) -> Response:
        return with_line("Connection", "close")


def _add_streams(app: App) -> None:
    @app.get("/stream")
    def stream(request: Request) -> Iterator[str]:
        yield "one"
        yield ""
        yield "two"

    @app.get("/stream-nothing")
    def stream_nothing(request: Request) -> Iterator[str]:
        yield from ()

    @app.get("/stream-fails-first")
    def stream_fails_first(request: Request) -> Iterator[str]:
        if request.method:
            raise RuntimeError("on purpose")
        yield "never"

    @app.get("/stream-fails-later")
    def stream_fails_later(request: Request) -> Iterator[str]:
        yield "one"
        raise RuntimeError("on purpose")


def _add_sockets(app: App) -> None:
    @app.websocket("/ws", subprotocols=["chat", "v2.chat"])
    def echo(ws: WebSocket, message: str | bytes) -> str | bytes:
        return message

    @app.websocket("/ws/listed", origins=["https://friend.example"])
    def listed(ws: WebSocket, message: str) -> str:
        return message

    @app.websocket("/ws/small", max_message_size=1000)
    def small(ws: WebSocket, message: str | bytes) -> str:
        return str(len(message))

    @app.websocket("/ws/guarded")
    def guarded(ws: WebSocket, message: str) -> str:
        return message

    @guarded.on_upgrade
    def check(request: Request) -> None:
        abort(401)
