"""Run it by `python websocket_picows.py PORT`; it serves on uvloop."""

from __future__ import annotations

import sys

import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

followers: set[WSTransport] = set()


class Listener(WSListener):
    """Closes when the peer does, and leaves messages to its kinds."""

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Take one frame."""
        if frame.msg_type is WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()
        else:
            self.on_message(transport, frame)

    def on_message(self, transport: WSTransport, frame: WSFrame) -> None:
        """Take a message."""


class Echo(Listener):
    """Send back what comes."""

    def on_message(self, transport: WSTransport, frame: WSFrame) -> None:
        """Take a message."""
        transport.send(frame.msg_type, frame.get_payload_as_memoryview())


class Follow(Listener):
    """Follow the news; followers only listen."""

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Begin."""
        followers.add(transport)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """End."""
        followers.discard(transport)


class Publish(Listener):
    """Give what comes to all followers."""

    def on_message(self, transport: WSTransport, frame: WSFrame) -> None:
        """Take a message."""
        payload = frame.get_payload_as_bytes()
        for follower in followers:
            follower.send(frame.msg_type, payload)


LISTENERS = {b"/echo": Echo, b"/follow": Follow, b"/publish": Publish}


def listener(request: WSUpgradeRequest) -> WSListener:
    """Serve a connection as its path says."""
    return LISTENERS[request.path]()


async def main() -> None:
    """Serve until terminated."""
    server = await ws_create_server(listener, "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
