"""``python -m microsock`` is the command ``microsock``."""

from __future__ import annotations

import sys
from typing import NoReturn

from .server.signals import catch_signals_early

__all__ = ["command"]


def command() -> NoReturn:
    """Be the command."""
    # First of all: to load what follows is most of a start, and a signal may come at any moment of it.
    with catch_signals_early():
        from .cli import is_subcommand, main, serve

        if not is_subcommand(sys.argv[1:]):
            serve()
    sys.exit(main())


if __name__ == "__main__":
    command()
