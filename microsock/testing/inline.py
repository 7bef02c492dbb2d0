"""Blocking calls without a thread: made in a turn of their own, so that a test sees the same each time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..failures import raised_elsewhere, reraise_if_fatal
from ..site import Done

__all__ = ["InlineExecutor"]


class InlineExecutor:
    """Makes each call in a later turn of the loop; ``call_soon`` asks for one."""

    def __init__(self, call_soon: Callable[[Callable[[], None]], None]) -> None:
        self._call_soon = call_soon
        self._stopped = False

    def submit(self, function: Callable[[], Any], done: Done) -> InlineCall:
        """Have a function called, and ``done`` with what it gave."""
        call = InlineCall(function, done)
        if not self._stopped:
            self._call_soon(call.run)
        return call

    def stop(self) -> None:
        """Make no more calls."""
        self._stopped = True


class InlineCall:
    """One call that is due."""

    def __init__(self, function: Callable[[], Any], done: Done) -> None:
        self._function = function
        self._done: Done | None = done

    def cancel(self) -> None:
        """Do not make it."""
        self._done = None

    def run(self) -> None:
        """Make it, unless nobody waits for it any more."""
        done, self._done = self._done, None
        if done is None:
            return
        try:
            value = self._function()
        except BaseException as error:
            reraise_if_fatal(error)
            done(None, raised_elsewhere(error))
        else:
            done(value, None)
