"""microsock: one small synchronous Python process that serves HTTP and WebSockets from plain def handlers."""

from __future__ import annotations

from .import_path import hide_current_folder

hide_current_folder()  # before any other import, which would look there first

from typing import TYPE_CHECKING

from .startup import uncollected

with uncollected():
    from .app import App
    from .clients import Client, Clients
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
    from .websocket import WEBSOCKET_GUID, WebSocket

__version__ = "0.1.0"

__all__ = [
    "Address",
    "App",
    "AppNotFound",
    "BadRule",
    "BadSetting",
    "BindError",
    "Client",
    "Clients",
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
    "WEBSOCKET_GUID",
    "Waiting",
    "WebSocket",
    "WebSocketClosed",
    "WebSocketRoute",
    "abort",
    "blocking",
    "free_port_if_stuck",
    "is_port_free",
    "publish",
    "redirect",
    "sleep",
]

if TYPE_CHECKING:
    from .adapters.control_client import publish
    from .adapters.freeing import free_port_if_stuck, is_port_free
    from .server.server import Server
    from .websocket_route import WebSocketRoute
else:
    # Imported when they are asked for, not by every module that makes an app.
    _LATER = {
        "Server": ".server.server",
        "WebSocketRoute": ".websocket_route",
        "free_port_if_stuck": ".adapters.freeing",
        "is_port_free": ".adapters.freeing",
        "publish": ".adapters.control_client",
    }

    def __getattr__(name: str) -> object:
        # Hidden from type checkers, which would take every misspelt name for one that it gives.
        if name not in _LATER:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        with uncollected():
            return getattr(import_module(_LATER[name], __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
