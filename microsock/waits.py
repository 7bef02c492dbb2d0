"""What a generator handler waits for, and the type of everything that waits.

A verb (``ws.text()``, ``sleep(1)``) yields one ``Wait`` to whoever drives the handler and returns what it is sent.
Knows no clock and no connection: the driver does the waiting.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from functools import partial
from types import GeneratorType
from typing import Any, ParamSpec, TypeAlias, TypeVar

__all__ = ["Blocking", "Flushed", "Receive", "Sleep", "Wait", "Waiting", "blocking", "expect_wait", "sleep"]

P = ParamSpec("P")
T = TypeVar("T")


class Wait:
    """Something to wait for; only verbs make one. Two of a kind that say the same are equal."""

    __slots__: tuple[str, ...] = ()

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and all(getattr(other, name) == getattr(self, name) for name in self.__slots__)

    def __hash__(self) -> int:
        return hash((type(self), *(getattr(self, name) for name in self.__slots__)))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in self.__slots__)})"


class Receive(Wait):
    """The next message; the driver sends a str or bytes, or throws ``TimeoutError`` or ``WebSocketClosed``.

    ``timeout`` is in seconds; None waits as long as the connection lasts.
    """

    __slots__ = ("timeout",)

    def __init__(self, timeout: float | None = None) -> None:
        self.timeout = timeout


class Sleep(Wait):
    """So many seconds."""

    __slots__ = ("seconds",)

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


class Flushed(Wait):
    """That what was sent has left the queue of this connection."""

    __slots__ = ()


class Blocking(Wait):
    """What a call gives that another thread makes; the driver sends that, or throws what the call raised.

    Thrown too: ``Overloaded``, where too many calls wait for a thread already.
    """

    __slots__ = ("call",)

    def __init__(self, call: Callable[[], Any]) -> None:
        self.call = call


# What a handler or a helper generator that waits and then returns a T is annotated with.
Waiting: TypeAlias = Generator[Wait, Any, T]


def sleep(seconds: float) -> Waiting[None]:
    """Pause a generator handler; to be called behind ``yield from``. Raises ``ValueError`` for a negative number."""
    yield Sleep(checked_seconds("sleep", seconds))


def blocking(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Waiting[T]:
    """Call a slow function in the thread pool and wait for what it returns; to be called behind ``yield from``.

    Others are served meanwhile. Raises what the function raises, and ``Overloaded`` where too many calls wait for a
    thread (the settings ``threads`` and ``max_queued_calls``).
    """
    if not callable(function):
        raise TypeError(f"blocking takes a function and its arguments, not {function!r:.60}: blocking(load, name)")
    result: T = yield Blocking(partial(function, *args, **kwargs))
    return result


def checked_seconds(verb: str, seconds: float) -> float:
    """A duration as a float, or ``ValueError`` naming the verb it was given to."""
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds < math.inf:
        raise ValueError(f"{verb} takes a number of seconds from 0 up, not {seconds!r}")
    return float(seconds)


def expect_wait(yielded: object, handler: str) -> Wait:
    """What a generator handler yielded, if it is a ``Wait``; else ``TypeError`` saying what to write instead."""
    if isinstance(yielded, Wait):
        return yielded
    if isinstance(yielded, GeneratorType):
        raise TypeError(f"handler {handler!r} yielded {yielded.__name__}(…); write 'yield from' in front of it")
    if yielded is None:
        raise TypeError(f"handler {handler!r} has a bare 'yield'; write 'message = yield from ws.receive()'")
    raise TypeError(
        f"handler {handler!r} yielded {yielded!r:.60}; write 'ws.send(…)' to send and 'yield from ws.receive()' to wait"
    )
