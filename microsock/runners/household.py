"""What the parent of preforked workers tells the rest of the parent, and what its workers tell it when they begin.

Knows no process: only numbers of workers, and what has happened to them.
"""

from __future__ import annotations

from typing import Protocol

from ..adapters.untrusted import printable, printable_lines, read_object, seconds_in, text_in
from ..startup import NamedTuple

__all__ = ["Closable", "Failure", "Household", "Ready", "read_failure", "read_ready"]

_LONGEST_WORD = 4 << 20
_LONGEST_GRACE = 1e9
_MOST_WARNINGS = 100
_LONGEST_DETAILS = 64 << 10


class Household:
    """What else there is to do in the parent when something happens to a worker, named by its number. Here: nothing."""

    def begins(self, number: int) -> None:
        """It is about to be forked."""

    def started(self, ready: Ready) -> None:
        """The first of all serves."""

    def received(self, number: int, message: bytes) -> None:
        """It sent a message for the bus."""

    def dismissed(self, number: int) -> None:
        """It was told to leave."""

    def ended(self, number: int, restarts: bool) -> None:
        """Its process is gone; whether another takes its place."""

    def reloading(self) -> None:
        """All workers are about to be replaced."""

    def reloaded(self, new: bool) -> None:
        """They are; or, if not ``new``, the ones from before stay, since none of the new ones came up."""

    def stopping(self) -> None:
        """The server is about to end."""

    def reopen(self) -> None:
        """Reopen the parent's own log files."""

    def release(self) -> None:
        """In a new worker: close what belongs to the parent."""


class Closable(Protocol):
    """A listening socket, for the parent."""

    def close(self) -> object:
        """Listen no more."""


class Ready(NamedTuple):
    """What a worker tells once it serves: what its app has, the time it may take to drain, settings it cannot have."""

    summary: str
    grace: float
    warnings: list[str]


class Failure(NamedTuple):
    """Why a worker could not begin, and the lines that show where."""

    message: str
    details: str


def read_ready(word: bytes) -> Ready:
    """What a worker says once it serves. Raises ``ValueError`` for what says no such thing."""
    said = read_object(word, _LONGEST_WORD)
    warnings = said.get("warnings")
    if not isinstance(warnings, list) or not all(isinstance(each, str) for each in warnings):
        raise ValueError(f"'warnings' are no texts: {warnings!r:.60}")
    grace = seconds_in(said, "grace", _LONGEST_GRACE)
    return Ready(printable(text_in(said, "summary")), grace, [printable(each) for each in warnings[:_MOST_WARNINGS]])


def read_failure(word: bytes) -> Failure:
    """Why a worker says that it could not begin. Raises ``ValueError`` for what says no such thing."""
    said = read_object(word, _LONGEST_WORD)
    message, details = text_in(said, "message"), text_in(said, "details")
    return Failure(printable_lines(message, _LONGEST_DETAILS), printable_lines(details, _LONGEST_DETAILS))
