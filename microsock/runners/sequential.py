"""The runner for one process: one thread, one selector, many connections, handlers one at a time."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from ..adapters.ending import INTERRUPTED, allow
from ..app import App
from ..log import logger
from ..server.server import Server
from ..server.signals import catch_signals_early, caught_signals
from ..server.systemd import Notifier
from .console import announce, console, reopen_logs, say_stopping
from .protocol import Task

__all__ = ["STOPPED_AT_ONCE", "Sequential", "run"]

STOPPED_AT_ONCE = INTERRUPTED


class Sequential:
    """``--runner sequential``."""

    def run(self, task: Task) -> int:
        """See ``Runner``. Raises what ``Server`` raises."""
        with catch_signals_early():
            if os.getpid() == 1:
                from ..adapters.init import leave_init_behind  # only in a container

                leave_init_behind()
            app = task.load()
            return run(app, task.binds, task.port, name=task.name, flags=task.flags, **task.keywords)


def run(
    app: App,
    host: str | Sequence[str] = "127.0.0.1",
    port: int | None = None,
    *,
    name: str = "",
    flags: Mapping[str, object] | None = None,
    **settings: Any,
) -> int:
    """Serve until SIGINT, SIGTERM or the app's own ``shutdown``; gives the process's exit status.

    Args:
        app: what answers.
        host: an address, or several, in any of the forms that ``Server`` takes.
        port: if the address has none.
        name: how the banner calls the app.
        flags: settings from the command line, stronger than the environment.
        settings: weaker than the environment, stronger than the app's own.

    Raises what ``Server`` and its ``run`` raise, but for a second SIGINT, which is status 130.
    """
    with (
        catch_signals_early(),
        Server(app, host, port, flags=flags, **settings) as server,
        console(server.settings),
        _pid_file(server.settings.pid_file),
    ):
        # Announced from the loop: by then the start hooks have run, and a signal is an orderly end.
        server.post(partial(announce, server, name))
        notifier = Notifier()
        server.listen_for_commands(partial(_reload_on_command, server, notifier))
        server.post(partial(server.tell, notifier))
        server.on_stop_signal(partial(_say_stopping, notifier))
        if server.settings.workers not in (1, "auto"):
            logger.warning(
                "the app asks for %s workers; give --workers, or runner='preforked'", server.settings.workers
            )
        try:
            with caught_signals(_signals(server, notifier)):
                server.run()
        except KeyboardInterrupt:
            allow(0.0)
            return STOPPED_AT_ONCE
        allow(server.time_left())
    return 0


def _pid_file(path: str | None) -> contextlib.AbstractContextManager[None]:
    if path is None:
        return contextlib.nullcontext()
    from ..adapters.pidfile import pid_file

    return pid_file(path)


def _signals(server: Server, notifier: Notifier) -> dict[signal.Signals, Callable[[int], object]]:
    # What they ask for is done on the loop, in a later turn.
    does: dict[signal.Signals, Callable[[Server], object]]
    does = {
        signal.SIGHUP: partial(_reload, notifier),
        signal.SIGUSR1: _dump,
        signal.SIGUSR2: _reopen,
        signal.SIGTTIN: _stay_alone,
        signal.SIGTTOU: _stay_alone,
    }
    return {signum: partial(_later, server, call) for signum, call in does.items()}


def _say_stopping(notifier: Notifier) -> None:
    # Both write to descriptors and wait for nobody: this is a signal handler.
    say_stopping()
    notifier.stopping()


def _later(server: Server, call: Callable[[Server], object], signum: int) -> None:
    server.post(partial(call, server))


def _reload(notifier: Notifier, server: Server) -> None:
    notifier.reloading()
    server.reload_certificates()
    reopen_logs()
    notifier.ready()
    logger.info("reload: certificates are read anew and logs reopened; one process cannot reload its code")


def _reload_on_command(server: Server, notifier: Notifier) -> str:
    _reload(notifier, server)
    return "certificates and logs; one process cannot reload its code"


def _dump(server: Server) -> None:
    logger.warning("%s", server.dump())


def _stay_alone(server: Server) -> None:
    logger.info("one process has no workers to add or to take away")


def _reopen(server: Server) -> None:
    reopen_logs()
