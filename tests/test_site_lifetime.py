"""A site begins and ends with its app, and an app may have several."""

from __future__ import annotations

from typing import Any

import pytest
from wire import opened, received

from microsock import App, WebSocket
from microsock.testing import TestClient


def listening(**settings: Any) -> App:
    """An app whose WebSockets publish what they say and follow it."""
    app = App(**settings)

    @app.websocket("/ws")
    def speak(ws: WebSocket, message: str) -> None:
        app.publish("all", message + "!")
        app.publish("all", message + "?", exclude=ws)
        ws.send("after")

    @speak.on_open
    def follow(ws: WebSocket) -> None:
        ws.subscribe("all")

    return app


def test_start_hooks_run_with_the_site_attached_and_stop_hooks_before_it_goes() -> None:
    app, log = App(), list[Any]()

    @app.on_start
    def start() -> None:
        log.append(len(app._sites))

    @app.on_stop
    def stop() -> None:
        log.append(len(app._sites))

    with TestClient(app):
        assert log == [1]
    assert log == [1, 1]
    assert app._sites == []


def test_what_a_start_hook_raises_passes_through() -> None:
    app = App()

    @app.on_start
    def start() -> None:
        raise ValueError("on purpose")

    with pytest.raises(ValueError, match="on purpose"):
        TestClient(app)


def test_what_is_published_goes_out_behind_what_the_handler_itself_sends() -> None:
    app = listening()
    client, ws = opened(app)
    other = client.websocket("/ws")
    ws.send("hello")
    assert received(ws) == ["after", "hello!"]
    assert received(other) == ["hello!", "hello?"]


def test_an_app_may_be_served_twice_and_publishes_to_all() -> None:
    app = listening()
    _, here = opened(app)
    client, there = opened(app)
    assert app.topic("all").count() == 2
    assert len(app.websockets) == 2
    app.publish("all", "to both")
    client.world.settle()
    assert (received(here), received(there)) == (["to both"], ["to both"])
    client.close()
    assert app.topic("all").count() == 1


def test_websockets_are_listed_oldest_first_while_they_are_open() -> None:
    app = listening()
    client, first = opened(app)
    second = client.websocket("/ws")
    assert [ws.id for ws in app.websockets] == sorted(ws.id for ws in app.websockets)
    first.close()
    assert len(app.websockets) == 1
    second.drop()
    assert app.websockets == []
