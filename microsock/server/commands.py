"""What the control socket may have a server do that is one process. The parent of workers has commands of its own."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .server import Server

__all__ = ["ServerCommands"]


class ServerCommands:
    """The ``Commands`` of a ``Server``.

    Args:
        server: what obeys.
        reload: what a reload does, and says in a few words.
    """

    def __init__(self, server: Server, reload: Callable[[], str] | None = None) -> None:
        self._server = server
        self._reload = reload

    def publish(self, topic: str, data: str | bytes, retain: bool) -> None:
        """Send to all who follow a topic."""
        self._server.app.publish(topic, data, retain=retain)

    def status(self) -> dict[str, object]:
        """As ``app.status``."""
        return {"pid": os.getpid(), **self._server.app.report()}

    def stop(self, kill: bool) -> None:
        """Drain and end; with ``kill`` at once."""
        self._server.shutdown(kill=kill, timeout=0.0)

    def reload(self) -> str:
        """One process keeps its code."""
        return self._reload_certificates() if self._reload is None else self._reload()

    def _reload_certificates(self) -> str:
        self._server.reload_certificates()
        return "certificates; one process cannot reload its code"
