"""What a generator handler waits for, and the type of everything that waits.

A verb (``ws.text()``, ``sleep(1)``) gives a ``Waitable``; behind ``yield from`` that yields one ``Wait`` to whoever
drives the handler and returns what it is sent.

Knows no clock and no connection: the driver does the waiting.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Generator
from functools import partial
from sys import _getframe
from types import CodeType, GeneratorType
from typing import Any, Generic, ParamSpec, TypeAlias, TypeVar

from .failures import complain_to_test

__all__ = [
    "Blocking",
    "Flushed",
    "Receive",
    "Sleep",
    "Wait",
    "Waitable",
    "Waiting",
    "blocking",
    "called",
    "expect_wait",
    "sleep",
    "waiting_for",
]

# CO_COROUTINE and CO_ASYNC_GENERATOR of `inspect`, which is not loaded for it.
_ASYNCHRONOUS = 0x80 | 0x200
# So that each place in a program is told of once, as Python's own warnings are.
_warned: dict[Any, Any] = {}

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


class Waitable(Generic[T]):
    """What a verb gives: something to wait for by ``yield from``, which gives a T.

    One that is dropped and was never waited for gives a ``RuntimeWarning``, as Python does for a coroutine that was
    never awaited. To be made by a function that the handler calls.

    Args:
        verb: what the handler has called, for the message.
        waiting: the generator that does it.
    """

    __slots__ = ("_code", "_position", "_waiting", "verb")

    def __init__(self, verb: str, waiting: Waiting[T]) -> None:
        # Not the frame itself, which would be kept alive; the line is looked up when it is needed.
        frame = _getframe(2)
        self._code: CodeType | None = frame.f_code
        self._position = frame.f_lasti
        self._waiting = waiting
        self.verb = verb

    def __iter__(self) -> Waiting[T]:
        """Begin to wait, once: a second time raises ``RuntimeError``, where a generator would say that it is over."""
        if self._code is None:
            raise RuntimeError(f"{self.verb}(…) was waited for already; call it again")
        self._code = None
        return self._waiting

    def told(self) -> None:
        """An error has said already that it is not waited for."""
        self._code = None

    def __del__(self) -> None:
        """See above."""
        if self._code is not None:
            _warn_unused(self.verb, self._code, self._position)

    def __repr__(self) -> str:
        return f"{self.verb}(…) without 'yield from'"


def waiting_for(wait: Wait) -> Waiting[Any]:
    """Wait for one thing; gives what the driver sends."""
    return (yield wait)


def _warn_unused(verb: str, code: CodeType, position: int) -> None:
    line = next((line for start, end, line in code.co_lines() if start <= position < end), None) or 0
    text = f"{code.co_name!r} never waited for {verb}(…) in line {line}; write 'yield from' in front of it"
    in_test = complain_to_test(RuntimeWarning(f"{code.co_filename}:{line}: {text}"))
    try:
        warnings.warn_explicit(text, RuntimeWarning, code.co_filename, line, registry=_warned)
    except RuntimeWarning:
        if not in_test:
            raise


def sleep(seconds: float) -> Waitable[None]:
    """Pause a generator handler; to be called behind ``yield from``. Raises ``ValueError`` for a negative number."""
    return Waitable("sleep", waiting_for(Sleep(checked_seconds("sleep", seconds))))


def blocking(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Waitable[T]:
    """Call a slow function in the thread pool and wait for what it returns; to be called behind ``yield from``.

    Others are served meanwhile. Raises what the function raises, and ``Overloaded`` where too many calls wait for a
    thread (the settings ``threads`` and ``max_queued_calls``).
    """
    if not callable(function):
        raise TypeError(f"blocking takes a function and its arguments, not {function!r:.60}: blocking(load, name)")
    if getattr(getattr(function, "__code__", None), "co_flags", 0) & _ASYNCHRONOUS:
        raise TypeError(f"blocking takes a plain function, and {function!r:.60} is 'async def'; write 'def'")
    return Waitable("blocking", waiting_for(Blocking(partial(function, *args, **kwargs))))


def checked_seconds(verb: str, seconds: float) -> float:
    """A duration as a float, or ``ValueError`` naming the verb it was given to."""
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 <= seconds < math.inf:
        raise ValueError(f"{verb} takes a number of seconds from 0 up, not {seconds!r}")
    return float(seconds)


def called(forgotten: GeneratorType[Any, Any, Any] | Waitable[Any]) -> str:
    """The name of what is not waited for, for an error that says so."""
    if isinstance(forgotten, Waitable):
        forgotten.told()
        return forgotten.verb
    return forgotten.__name__


def expect_wait(yielded: object, handler: str) -> Wait:
    """What a generator handler yielded, if it is a ``Wait``; else ``TypeError`` saying what to write instead."""
    if isinstance(yielded, Wait):
        return yielded
    if isinstance(yielded, (GeneratorType, Waitable)):
        raise TypeError(f"handler {handler!r} yielded {called(yielded)}(…); write 'yield from' in front of it")
    if yielded is None:
        raise TypeError(f"handler {handler!r} has a bare 'yield'; write 'message = yield from ws.receive()'")
    raise TypeError(
        f"handler {handler!r} yielded {yielded!r:.60}; write 'ws.send(…)' to send and 'yield from ws.receive()' to wait"
    )
