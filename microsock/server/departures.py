"""The answers that are made in one turn of the loop, which leave together when its news is handled.

To send wakes the peer and runs half of the kernel's network code; answer after answer in between, it clears the
processor's caches of what makes the next. Where many clients have news at once, an eighth of the work goes by that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .connection import Connection
    from .loop import Loop

__all__ = ["Departures"]

# So many wait for each other at most.
_MOST = 64


class Departures:
    """Connections of one loop whose answers are ready to leave."""

    __slots__ = ("_loop", "_waiting")

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._waiting: list[Connection] = []

    def admit(self, connection: Connection) -> bool:
        """Have ``connection.depart`` called at the end of this turn's news; False where the loop lets nothing wait."""
        if not self._loop.may_defer:
            return False
        if not self._waiting:
            self._loop.at_end(self.leave)
        self._waiting.append(connection)
        if len(self._waiting) >= _MOST:
            self.leave()
        return True

    def leave(self) -> None:
        """Let all of them go now: somebody holds the loop for longer, or all have come."""
        waiting, self._waiting = self._waiting, []
        for connection in waiting:
            connection.depart()
