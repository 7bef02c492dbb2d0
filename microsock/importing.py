"""Whether the command imports an app right now: nothing can be served from the middle of that.

A module that ends in ``app.run()`` without a guard would start a server of its own inside the import.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from .errors import SetupError

__all__ = ["importing_app", "refuse_to_run_app", "refuse_to_run_server", "serves_app"]


class _State:
    """Of this process: the thread that imports the app, what was refused meanwhile, and the app once it is there."""

    thread: int | None = None
    refused: SetupError | None = None
    app: object = None


@contextlib.contextmanager
def importing_app(thread: int) -> Iterator[None]:
    """Import the app that the command names in a ``with`` block, on the thread with this identifier.

    Raises what was refused meanwhile, though the app may have caught it, or asked in another thread.
    """
    _State.thread, _State.refused = thread, None
    try:
        yield
        if _State.refused is not None:
            raise _State.refused
    finally:
        _State.thread = None


def serves_app(app: object) -> None:
    """The command has imported this app, and is going to serve it."""
    _State.app = app


def refuse_to_run_app(app: object, main_thread: bool) -> None:
    """Raise ``SetupError`` where the command imports an app, or serves this one and another thread runs it too."""
    if _State.thread is not None or (app is _State.app and not main_thread):
        _refuse("app.run()")


def refuse_to_run_server(thread: int) -> None:
    """Raise ``SetupError`` on the thread on which the command imports an app; another may run a server beside it."""
    if _State.thread == thread:
        _refuse("server.run()")


def _refuse(call: str) -> None:
    error = SetupError(
        f"{call} is called by a module that the command imports, and the command serves the app itself; so that it is "
        f'called only where the module is run as a program, write it below: if __name__ == "__main__":'
    )
    if _State.thread is not None:
        _State.refused = error
    raise error
