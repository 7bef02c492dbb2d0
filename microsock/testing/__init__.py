"""Testing an app: the client behind ``app.test_client()``, what it gives and what it raises.

Needs httpx; what needs it is imported when it is first asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ..errors import MissingExtra
from .errors import EventStreamEnded, EventStreamRefused, NeverWaitedFor, RestlessApp, StillWaiting, WebSocketRefused
from .frames import Frame, build_frame, read_frames

if TYPE_CHECKING:
    from .client import TestClient
    from .eventstream import EventReader, ReceivedEvent
    from .pending import PendingAnswer
    from .raw import RawConnection
    from .websocket import WebSocketClient

__all__ = [
    "EventReader",
    "EventStreamEnded",
    "EventStreamRefused",
    "Frame",
    "NeverWaitedFor",
    "PendingAnswer",
    "RawConnection",
    "ReceivedEvent",
    "RestlessApp",
    "StillWaiting",
    "TestClient",
    "WebSocketClient",
    "WebSocketRefused",
    "build_frame",
    "read_frames",
]

_HOMES = {
    "EventReader": "eventstream",
    "PendingAnswer": "pending",
    "RawConnection": "raw",
    "ReceivedEvent": "eventstream",
    "TestClient": "client",
    "WebSocketClient": "websocket",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    except ModuleNotFoundError as error:
        if error.name != "httpx":
            raise
        raise MissingExtra("the test client needs httpx; install it with: pip install httpx") from error
