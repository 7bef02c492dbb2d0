"""The package's logger, behind which the standard library's ``logging`` is loaded when there is something to say.

That is a tenth of what a start takes, and a server that serves in peace says nothing. Knows nothing of what is logged.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

__all__ = ["load", "logger", "prepared"]

_preparations: list[Callable[[], object]] = []


def load() -> None:
    """Load ``logging``, and set it up as ``prepared`` was told to. May be called again, and then does nothing."""
    import logging  # noqa: F401 - in time, see `server.spare`

    while _preparations:
        _preparations.pop()()


@contextlib.contextmanager
def prepared(prepare: Callable[[], object]) -> Iterator[None]:
    """In a ``with`` block: have logging set up by a call, before the first line of ours and not before it is loaded.

    A program that has loaded it already is not made to wait: then the call is made at once.
    """
    _preparations.append(prepare)
    try:
        if "logging" in sys.modules:
            load()
        yield
    finally:
        if prepare in _preparations:
            _preparations.remove(prepare)


if TYPE_CHECKING:
    from logging import getLogger

    logger = getLogger("microsock")
else:

    class _Logger:
        """Stands for the logger of a name, whatever is asked of it."""

        __slots__ = ("_name",)

        def __init__(self, name: str) -> None:
            self._name = name

        def __getattr__(self, attribute: str) -> Any:
            load()
            return getattr(sys.modules["logging"].getLogger(self._name), attribute)

    logger = _Logger("microsock")
