"""The runner for one process: one thread, one selector, many connections, handlers one at a time."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from ..app import App
from ..server.server import Server
from .console import announce, console

__all__ = ["STOPPED_AT_ONCE", "run"]

# What a shell expects of a program that Ctrl+C has ended: 128 and SIGINT's number.
STOPPED_AT_ONCE = 130


def run(
    app: App,
    host: str = "127.0.0.1",
    port: int | None = None,
    *,
    name: str = "",
    flags: Mapping[str, object] | None = None,
    **settings: Any,
) -> int:
    """Serve until SIGINT, SIGTERM or the app's own ``shutdown``; gives the process's exit status.

    Args:
        app: what answers.
        host: an address in any of the forms that ``Server`` takes.
        port: if the address has none.
        name: how the banner calls the app.
        flags: settings from the command line, stronger than the environment.
        settings: weaker than the environment, stronger than the app's own.

    Raises what ``Server`` and its ``run`` raise, but for a second SIGINT, which is status 130.
    """
    with Server(app, host, port, flags=flags, **settings) as server, console(server.settings):
        # Announced from the loop: by then the start hooks have run, and a signal is an orderly end.
        server.post(partial(announce, server, name))
        try:
            server.run()
        except KeyboardInterrupt:
            return STOPPED_AT_ONCE
    return 0
