"""An executor whose calls are made when a test says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from microsock import Overloaded
from microsock.site import Done
from microsock.testing import TestClient
from microsock.testing.inline import InlineCall

__all__ = ["ByHand"]


class ByHand:
    """Takes the place of a client's executor; at most ``limit`` calls may wait."""

    def __init__(self, client: TestClient, limit: int = 8) -> None:
        self._world = client.world
        self.limit = limit
        self.waiting: list[InlineCall] = []
        client.world.site.executor = self

    def submit(self, function: Callable[[], Any], done: Done) -> InlineCall:
        if len(self.waiting) >= self.limit:
            raise Overloaded("by hand")
        self.waiting.append(InlineCall(function, done))
        return self.waiting[-1]

    def stop(self) -> None:
        self.waiting.clear()

    def run_next(self) -> None:
        """Make the call that waits longest, and let the loop go on."""
        call = self.waiting.pop(0)
        call.run()
        self._world.settle()
