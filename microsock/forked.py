"""Children that the app forks while it is served: where their code comes back to the server, they end.

A child that went on from there would be a second server with the descriptors of the first. How a process ends is known
to the server's floor, which sets ``end_child`` in every such child.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

__all__ = ["came_back", "end_child"]

end_child: Callable[[BaseException | None], NoReturn] | None = None
"""None in every process that serves, and in every one that has nothing to do with serving."""


def came_back(error: BaseException | None = None) -> None:
    """Does not return in a child that the app has forked. To be called when the app's code has returned or raised."""
    if end_child is not None:
        end_child(error)
