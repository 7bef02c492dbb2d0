"""What turns need in every suite: the server's usage meanwhile, and the error that ends a run worth nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from .processes import Server

__all__ = ["PATIENCE", "REST", "WARM_UP", "Usage", "WrongAnswer", "used"]

# Seconds far beyond what any answer takes; reached only when something hangs.
PATIENCE = 30.0
# What part of a turn's time goes before it, unmeasured.
WARM_UP = 0.25
# Seconds that an idle server gets to come to rest before its memory is read.
REST = 0.5


class WrongAnswer(AssertionError):
    """A server did not answer as it must; the figures would be worth nothing."""


class Usage:
    """How long a stretch took, and how much processor time the server spent in it."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.cpu = 0.0


@contextmanager
def used(server: Server) -> Iterator[Usage]:
    """Fills in the usage at the end of the block."""
    usage = Usage()
    cpu, started = server.cpu_seconds(), time.perf_counter()
    yield usage
    usage.seconds = time.perf_counter() - started
    usage.cpu = server.cpu_seconds() - cpu
