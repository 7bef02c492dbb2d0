"""What the log says of workers that have ended, and why none could begin. Decides nothing."""

from __future__ import annotations

from ..log import logger
from .household import Failure
from .roster import Fate

__all__ = ["Obituary"]


class Obituary:
    """Of all workers of one parent.

    Attributes:
        failure: why a worker could not begin: the first to fail, of those that have since the last one that could.
    """

    def __init__(self) -> None:
        self.failure: Failure | None = None

    def cannot_begin(self, failure: Failure) -> None:
        """A worker says why; the others will say the same."""
        self.failure = self.failure or failure

    def ended(self, name: str, how: str, fate: Fate, *, was_ready: bool, ever_ready: bool) -> None:
        """One that nobody wanted to end has, or one that was asked to.

        Args:
            name: of the worker.
            how: it ended, in words.
            fate: what that means.
            was_ready: it had been ready.
            ever_ready: one of all had been.
        """
        if not was_ready:
            self.cannot_begin(Failure(f"{name} {how} before it was ready", ""))
        if fate is Fate.LEFT:
            logger.info("%s has left", name)
        elif fate is Fate.ABANDONED:
            logger.error("reload: the new app does not come up; the workers from before stay\n%s", self._why())
        elif fate is Fate.LOST and ever_ready:
            logger.error("%s %s; another takes its place%s", name, how, "" if was_ready else f"\n{self._why()}")
        if ever_ready:
            self.failure = None

    def _why(self) -> str:
        return "" if self.failure is None else "\n".join(filter(None, self.failure))
