"""What a service is given beside its app, settings and sockets: who it is among the workers, and what they share.

Made by whoever starts the service. What lies in shared memory is made before the workers are forked and inherited.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..startup import NamedTuple

if TYPE_CHECKING:
    from ..board import Board
    from ..bus import Bus
    from ..clients import ClientTable
    from ..limits import Store
    from ..settings import Settings
    from ..site import Site
    from .loop import Loop

__all__ = ["Parts"]


class Parts(NamedTuple):
    """The defaults are those of a process that serves alone.

    Fields:
        worker: this worker's number, from 1; 0 for a process that serves alone.
        workers: how many there are in all.
        bus: makes what carries ``publish`` to the other workers; None where there are none.
        limits: gives where requests are counted for rate limits; None: in this process.
        clients: where ``app.clients`` keeps who is connected; None: in this process.
        board: where this worker's figures stand for ``status``; None: in this process.
        slot: where on the board: what ``board.claim`` gave.
        at_end: what ``close`` calls.
    """

    worker: int = 0
    workers: int = 1
    bus: Callable[[Site, Loop], Bus] | None = None
    limits: Callable[[Loop], Store] | None = None
    clients: ClientTable | None = None
    board: Board | None = None
    slot: int = -1
    at_end: Sequence[Callable[[], object]] = ()

    @classmethod
    def for_workers(cls, settings: Settings, capacity: int) -> Parts:
        """What workers share: made by the parent before it forks the first.

        Args:
            settings: the parent's.
            capacity: how many processes there may be at once, those that are leaving included.
        """
        # A process that serves alone shares nothing.
        from ..adapters.board import shared_board
        from ..adapters.shared_limits import SharedClients, SharedStore

        store, clients = SharedStore(), SharedClients()
        at_end = (clients.close, store.close)
        return cls(board=shared_board(capacity), limits=lambda loop: store, clients=clients, at_end=at_end)

    def close(self) -> None:
        """Give up what was made by ``for_workers``; in the parent, once the last worker has ended."""
        for call in self.at_end:
            call()
