"""What a runner is: ``run(task)`` serves an app until it is told to stop, and gives the process's exit status.

``--runner sequential``, ``preforked`` or ``module:Class`` of anybody's; docs/runners.md says what one may rely on.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol

from ..app import App
from ..server.server import Server
from ..settings import Settings, from_environment, resolve
from ..startup import NamedTuple

__all__ = ["Runner", "Task"]


def _traceback(error: BaseException) -> str:
    import traceback  # where an app cannot be loaded

    return "".join(traceback.format_exception(error)).rstrip()


class Task(NamedTuple):
    """What is to be served, and where.

    Fields:
        load: imports the app; raises ``SetupError`` where that fails. To be called in the process that serves.
        name: how the banner calls it, as ``shop:app``.
        binds: addresses to listen on, in any of the forms that ``Server`` takes.
        port: for an address that has none.
        flags: settings from the command line, stronger than the environment.
        keywords: settings weaker than the environment, stronger than the app's own.
        app: the app, where whoever started us has it already; else None.
        explain: the lines that show where the app's own code raised.
    """

    load: Callable[[], App]
    name: str = ""
    binds: Sequence[str] = ("127.0.0.1",)
    port: int | None = None
    flags: Mapping[str, object] = MappingProxyType({})
    keywords: Mapping[str, Any] = MappingProxyType({})
    app: App | None = None
    explain: Callable[[BaseException], str] = _traceback

    def settings(self, app: App | None = None) -> Settings:
        """Flags, environment and keywords, and behind them what the app was made with. Raises ``BadSetting``."""
        app = app or self.app
        given = {} if app is None else app.settings_given
        return resolve(self.flags, from_environment(os.environ), self.keywords, given)

    def server(self) -> Server:
        """The app on its addresses, for a runner that serves in this process. Raises what ``Server`` raises."""
        return Server(self.load(), self.binds, self.port, flags=self.flags, **self.keywords)


class Runner(Protocol):
    """Runs servers. ``module:Class`` is called without arguments to make one."""

    def run(self, task: Task) -> int:
        """Serve until told to stop, and give the exit status."""
        ...
