"""microsock: one small synchronous Python process that serves HTTP and WebSockets from plain def handlers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .app import App
from .errors import (
    AppNotFound,
    BadRule,
    BadSetting,
    BindError,
    DuplicateRoute,
    HTTPError,
    LocalProtocolError,
    MicrosockError,
    MissingExtra,
    Overloaded,
    PortInUseError,
    ProtocolError,
    RemoteProtocolError,
    SetupError,
    WebSocketClosed,
)
from .eventstream import Event, EventStream
from .request import Address, Request
from .response import Pending, Response, abort, redirect
from .waits import Waiting, blocking, sleep
from .websocket import WebSocket
from .websocket_route import WebSocketRoute

__version__ = "0.1.0"

__all__ = [
    "Address",
    "App",
    "AppNotFound",
    "BadRule",
    "BadSetting",
    "BindError",
    "DuplicateRoute",
    "Event",
    "EventStream",
    "HTTPError",
    "LocalProtocolError",
    "MicrosockError",
    "MissingExtra",
    "Overloaded",
    "Pending",
    "PortInUseError",
    "ProtocolError",
    "RemoteProtocolError",
    "Request",
    "Response",
    "Server",
    "SetupError",
    "Waiting",
    "WebSocket",
    "WebSocketClosed",
    "WebSocketRoute",
    "abort",
    "blocking",
    "redirect",
    "sleep",
]

if TYPE_CHECKING:
    from .server.server import Server
else:

    def __getattr__(name: str) -> type[Server]:
        # Sockets and selectors are imported when a server is asked for, not by every module that makes an app.
        # Hidden from type checkers, which would take every misspelt name for one that it gives.
        if name != "Server":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from .server.server import Server

        return Server


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
