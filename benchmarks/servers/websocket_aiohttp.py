"""Run it by `python websocket_aiohttp.py PORT`."""

from __future__ import annotations

import sys

from aiohttp import WSMessage, WSMsgType, web

followers: set[web.WebSocketResponse] = set()


async def opened(request: web.Request) -> web.WebSocketResponse:
    """Shake hands, without compression."""
    ws = web.WebSocketResponse(compress=False)
    await ws.prepare(request)
    return ws


async def send(ws: web.WebSocketResponse, message: WSMessage) -> None:
    """Send what came somewhere as it came."""
    if message.type is WSMsgType.TEXT:
        await ws.send_str(message.data)
    else:
        await ws.send_bytes(message.data)


async def echo(request: web.Request) -> web.WebSocketResponse:
    """Send back what comes."""
    ws = await opened(request)
    async for message in ws:
        await send(ws, message)
    return ws


async def follow(request: web.Request) -> web.WebSocketResponse:
    """Follow the news; followers only listen."""
    ws = await opened(request)
    followers.add(ws)
    try:
        async for _ in ws:
            pass
    finally:
        followers.discard(ws)
    return ws


async def publish(request: web.Request) -> web.WebSocketResponse:
    """Give what comes to all followers."""
    ws = await opened(request)
    async for message in ws:
        for follower in list(followers):
            await send(follower, message)
    return ws


if __name__ == "__main__":
    app = web.Application()
    app.add_routes([web.get("/echo", echo), web.get("/follow", follow), web.get("/publish", publish)])
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=None, print=None)
