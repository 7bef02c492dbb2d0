"""Run it by `python http_aiohttp.py PORT [--tls CERTIFICATE KEY]`."""

from __future__ import annotations

import ssl
import sys

from aiohttp import web


async def hello(request: web.Request) -> web.Response:
    """Plain text."""
    return web.Response(text="Hello, world!")


async def document(request: web.Request) -> web.Response:
    """A small document."""
    return web.json_response({"message": "Hello, world!"})


async def user(request: web.Request) -> web.Response:
    """A path parameter."""
    number = int(request.match_info["number"])
    return web.json_response({"id": number, "name": f"user {number}"})


async def again(request: web.Request) -> web.Response:
    """Read JSON, write JSON."""
    return web.json_response(await request.json())


async def echo(request: web.Request) -> web.Response:
    """Send back the body."""
    return web.Response(body=await request.read())


if __name__ == "__main__":
    app = web.Application(client_max_size=16 << 20)
    app.add_routes(
        [
            web.get("/", hello),
            web.get("/json", document),
            web.get(r"/users/{number:\d+}", user),
            web.post("/json", again),
            web.post("/echo", echo),
        ]
    )
    context = None
    if sys.argv[3:]:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(*sys.argv[3:])
    port = int(sys.argv[1])
    web.run_app(
        app, host="127.0.0.1", port=port, access_log=None, print=None, keepalive_timeout=75, ssl_context=context
    )
