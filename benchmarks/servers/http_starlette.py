"""Run it by `python http_starlette.py PORT uvicorn|granian [--tls CERTIFICATE KEY]`."""

from __future__ import annotations

import sys
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route


async def hello(request: Request) -> Response:
    """Plain text."""
    return PlainTextResponse("Hello, world!")


async def document(request: Request) -> Response:
    """A small document."""
    return JSONResponse({"message": "Hello, world!"})


async def user(request: Request) -> Response:
    """A path parameter."""
    number = request.path_params["number"]
    return JSONResponse({"id": number, "name": f"user {number}"})


async def again(request: Request) -> Response:
    """Read JSON, write JSON."""
    return JSONResponse(await request.json())


async def echo(request: Request) -> Response:
    """Send back the body."""
    return Response(await request.body(), media_type="application/octet-stream")


app = Starlette(
    routes=[
        Route("/", hello),
        Route("/json", document),
        Route("/users/{number:int}", user),
        Route("/json", again, methods=["POST"]),
        Route("/echo", echo, methods=["POST"]),
    ]
)


def with_uvicorn(port: int, certificate: str | None, key: str | None) -> None:
    """Serve by uvicorn with its C parts, httptools and uvloop, which it takes by itself."""
    import uvicorn

    uvicorn.run(
        app,
        host="127.0.0.1",
        port=port,
        access_log=False,
        log_level="warning",
        timeout_keep_alive=75,
        ssl_certfile=certificate,
        ssl_keyfile=key,
    )


def with_granian(port: int, certificate: str | None, key: str | None) -> None:
    """Serve by granian in one worker."""
    from granian import Granian
    from granian.constants import HTTPModes, Interfaces

    Granian(
        f"{Path(__file__).stem}:app",
        address="127.0.0.1",
        port=port,
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        log_enabled=False,
        working_dir=Path(__file__).parent,
        ssl_cert=Path(certificate) if certificate else None,
        ssl_key=Path(key) if key else None,
    ).serve()


if __name__ == "__main__":
    serve = {"uvicorn": with_uvicorn, "granian": with_granian}[sys.argv[2]]
    serve(int(sys.argv[1]), *(sys.argv[4:] or (None, None)))
