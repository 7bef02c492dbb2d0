"""Turn by turn: every case gives every peer its turn, pair after pair, and keeps all that came out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from types import TracebackType
from typing import Self

from .machine import Cores
from .peers import Peer
from .processes import Server, serving
from .results import Results
from .suite import Case, Sample

__all__ = ["Bench", "measure"]


class Bench:
    """Where a case takes its samples. The servers it started end with the block.

    Attributes:
        cores: where the servers and the load run.
        seconds: how long a turn under load is to take.
    """

    def __init__(self, cores: Cores, seconds: float) -> None:
        self.cores = cores
        self.seconds = seconds
        self._servers: dict[str, Server] = {}
        self._stack = ExitStack()

    def server(self, peer: Peer) -> Server:
        """The server that serves all turns of this peer; all peers' run side by side, and the others are idle."""
        if peer.key not in self._servers:
            self._servers[peer.key] = self._stack.enter_context(self.fresh_server(peer))
        return self._servers[peer.key]

    def fresh_server(self, peer: Peer) -> AbstractContextManager[Server]:
        """A server for one turn only, in which nothing has happened yet."""
        return serving(peer, self.cores.server)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, traceback)


def measure(
    cases: Sequence[Case],
    peers: Sequence[Peer],
    pairs: int,
    bench: Bench,
    tell: Callable[[Case, int, Peer, Sample], None],
) -> Results:
    """Measure all cases and give every sample. ``tell`` hears of each as it comes: case, number, peer, sample.

    In each pair every peer has its turn, so what disturbs the machine for a while disturbs all of them. The order
    rotates, so that none is always first.
    """
    results = Results()
    for case in cases:
        for pair in range(pairs * case.rounds):
            for peer in _rotated(peers, pair):
                if case.key in peer.cannot:
                    continue
                sample = case.sample(bench, peer)
                results.add(case.key, peer.key, sample)
                tell(case, pair + 1, peer, sample)
    return results


def _rotated(peers: Sequence[Peer], by: int) -> list[Peer]:
    start = by % len(peers)
    return [*peers[start:], *peers[:start]]
