"""Run it by `python websocket_websockets.py PORT [--uvloop]`."""

from __future__ import annotations

import asyncio
import sys

from websockets.asyncio.server import ServerConnection, broadcast, serve

followers: set[ServerConnection] = set()


async def echo(ws: ServerConnection) -> None:
    """Send back what comes."""
    async for message in ws:
        await ws.send(message)


async def follow(ws: ServerConnection) -> None:
    """Follow the news; followers only listen."""
    followers.add(ws)
    try:
        await ws.wait_closed()
    finally:
        followers.discard(ws)


async def publish(ws: ServerConnection) -> None:
    """Give what comes to all followers."""
    async for message in ws:
        broadcast(followers, message)


HANDLERS = {"/echo": echo, "/follow": follow, "/publish": publish}


async def handle(ws: ServerConnection) -> None:
    """Serve a connection as its path says."""
    assert ws.request is not None
    await HANDLERS[ws.request.path](ws)


async def main() -> None:
    """Serve until terminated."""
    async with serve(handle, "127.0.0.1", int(sys.argv[1]), compression=None) as server:
        await server.serve_forever()


if __name__ == "__main__":
    if "--uvloop" in sys.argv:
        import uvloop

        uvloop.run(main())
    else:
        asyncio.run(main())
