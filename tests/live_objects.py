"""What is still in memory of the package's own objects, counted without the cyclic collector."""

from __future__ import annotations

import gc
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import GeneratorType

__all__ = ["counted", "left_behind", "without_collector"]

# Entries of the timers' heap stay until they come up, and a cancelled one holds nothing; heads are remembered.
_ALLOWED = {"Timer", "AnswerHead", "Line"}
_FOREIGN = ("h11.", "wsproto.", "ssl", "zlib")


@contextmanager
def without_collector() -> Iterator[None]:
    """Only reference counts free anything within the block."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def counted() -> Counter[str]:
    """How many objects there are of each class of the package and of the libraries that it drives, by name."""
    kinds = Counter(map(type, gc.get_objects()))
    return Counter({kind.__qualname__: count for kind, count in kinds.items() if _is_ours(kind)})


def left_behind(life: Callable[[], object]) -> Counter[str]:
    """What is there after ``life`` that was not before; it runs twice, first to fill what is remembered."""
    with without_collector():
        life()
        before = counted()
        life()
        return counted() - before


def _is_ours(kind: type) -> bool:
    module = kind.__module__
    if kind.__qualname__ in _ALLOWED or not isinstance(module, str):
        return False
    return module.startswith(("microsock.", *_FOREIGN)) or issubclass(kind, socket.socket) or kind is GeneratorType
