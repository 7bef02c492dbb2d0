"""Which runner serves: by its name, or by how many workers there are to be; and what ``app.run`` says and returns."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import cast

from ..environment import complaints
from ..errors import BadSetting, BindError, MicrosockError, PortInUseError
from ..log import logger
from .protocol import Runner, Task

__all__ = ["NOT_BOUND", "run_here", "runner_for"]

NOT_BOUND = 4
"""The exit status where an address, or another place that was asked for, could not be had."""


# Imported when they are chosen: what keeps several processes is more than all that one needs to serve.


def _sequential() -> Runner:
    from .sequential import Sequential

    return Sequential()


def _preforked() -> Runner:
    from .preforked import Preforked

    return Preforked()


_OURS: dict[str, Callable[[], Runner]] = {"sequential": _sequential, "preforked": _preforked}


def runner_for(task: Task, name: str | None = None) -> Runner:
    """The runner of this name; without one sequential for one worker, and preforked for more.

    Args:
        task: what it is for; its app is not loaded.
        name: ``sequential``, ``preforked`` or ``module:Class``, which is imported and called without arguments.

    Raises ``BadSetting`` for what there is not, and for several workers where one is all there can be.
    """
    several = _are_several(task.settings().workers)
    if name is None:
        name = "preforked" if several else "sequential"
    elif name == "sequential" and several and "workers" in {**task.flags, **task.keywords}:
        raise BadSetting("the sequential runner has one worker; leave out runner or workers")
    return _OURS[name]() if name in _OURS else _theirs(name)


def run_here(runner: Runner, task: Task) -> int:
    """Have a runner serve, for ``app.run``; where it cannot listen one line in the log says so, and the status is 4."""
    for complaint in complaints(os.environ):
        logger.warning("%s", complaint)
    try:
        return runner.run(task)
    except BindError as error:
        advice = "; stop it, or use port=0 for a free port" if isinstance(error, PortInUseError) else ""
        logger.error("%s%s", error, advice)
        return NOT_BOUND


def _are_several(workers: int | str) -> bool:
    if workers == 1:
        return False
    from .preforked import count_of

    return count_of(workers) > 1


def _theirs(name: str) -> Runner:
    module, _, attribute = name.partition(":")
    if not module or not attribute:
        raise BadSetting(f"runner is {name!r}; expected 'sequential', 'preforked' or 'module:Class'")
    import importlib

    try:
        made = getattr(importlib.import_module(module), attribute)()
    except MicrosockError:
        raise
    except Exception as error:
        raise BadSetting(f"cannot make the runner {name!r}: {type(error).__name__}: {error}") from error
    if not callable(getattr(made, "run", None)):
        raise BadSetting(f"the runner {name!r} has no method run(task)")
    return cast(Runner, made)
