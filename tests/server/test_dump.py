"""What SIGUSR1 writes into the log."""

from __future__ import annotations

import socket
import threading

import pytest

from microsock import App, Request, Server, WebSocket

pytestmark = pytest.mark.server

UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)


def test_a_dump_names_connections_topics_and_stacks() -> None:
    app = App()
    dumps: list[str] = []

    @app.websocket("/ws")
    def echo(ws: WebSocket, message: str) -> str:
        return message

    @echo.on_open
    def joined(ws: WebSocket) -> None:
        ws.subscribe("room\n1")

    @app.get("/dump")
    def ask(request: Request) -> str:
        dumps.append(server.dump())
        return ""

    with Server(app, port=0) as server:
        socks = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(3)]
        for sock, said in zip(
            socks, (UPGRADE, b"GET /half", b"GET /dump HTTP/1.1\r\nHost: localhost\r\n\r\n"), strict=True
        ):
            sock.sendall(said)
            for _ in range(5):
                server.step(0.05)
        for sock in socks:
            sock.close()
    lines = dumps[0].splitlines()
    assert lines[0].startswith("dump of the only process: 3 connections, ")
    assert any("WS /ws message in" in line for line in lines)
    assert any("- head in 9B" in line for line in lines)
    assert any("GET /dump answer" in line for line in lines)
    assert "topics: 1" in lines
    assert any(line.strip() == "'room\\n1' 1" for line in lines)
    assert f"thread {threading.current_thread().name}:" in lines
    assert any("in ask" in line for line in lines)


def test_a_dump_of_many_is_bounded() -> None:
    app = App()
    with Server(app, port=0) as server:
        socks = []
        for _ in range(230):
            socks.append(socket.create_connection(("127.0.0.1", server.port)))
            server.step(0.01)
        for _ in range(20):
            server.step(0.01)
        text = server.dump()
        for sock in socks:
            sock.close()
    assert "230 connections" in text
    assert "  and 30 more" in text
    assert len(text.splitlines()) < 400
