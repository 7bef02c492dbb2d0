"""Functions that an app calls by the clock: ``@app.every`` and ``app.after``, checked when they are given."""

from __future__ import annotations

from collections.abc import Callable

from .errors import SetupError
from .signatures import check_call, handler_name, is_generator
from .startup import NamedTuple
from .waits import checked_seconds

__all__ = ["Job", "checked_job"]


class Job(NamedTuple):
    """A function without arguments, called every so many ``seconds``, or once after them.

    ``each_worker``: in each worker, not in one of all.
    """

    function: Callable[[], object]
    seconds: float
    each_worker: bool = False

    @property
    def name(self) -> str:
        """What to call it in the log."""
        return handler_name(self.function)


def checked_job(verb: str, function: Callable[[], object], seconds: float, each_worker: bool = False) -> Job:
    """A job. Raises ``SetupError`` for a function that cannot be called so, ``ValueError`` for what is no duration."""
    check_call(function, (), (), f"app.{verb}")
    if is_generator(function):
        raise SetupError(
            f"app.{verb} takes a plain function, and {handler_name(function)!r} is a generator function; put what "
            "comes after a wait into a function of its own and give that to app.after"
        )
    return Job(function, checked_seconds(f"app.{verb}", seconds), each_worker)
