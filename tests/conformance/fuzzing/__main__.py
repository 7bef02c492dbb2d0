"""The command: reads its options, shows how far it is, and writes what came of it."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from .environment import Missing, home
from .report import written
from .suite import ClientFailed, NoSuchCase
from .trial import AGENT, tried

__all__ = ["main"]

# How many lines of a server's log are enough to see what its trouble is.
_SHOWN = 40


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; gives its exit code."""
    options = _parser().parse_args(arguments)
    choice = {"agent": options.agent, "url": options.url, "python": options.python}
    try:
        trial = tried(options.cases.split(","), options.report, progress=_Clock(), **choice)
    except (Missing, NoSuchCase, ClientFailed) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    if trial.results:
        _say("", *written(trial.results), "", f"report: {options.report / 'index.html'}")
    if trial.complaint:
        shown = "\n".join(trial.complaint.splitlines()[:_SHOWN])
        sys.stderr.write(f"error: the server had trouble:\n{shown}\n")
    return 0 if trial.passed else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("autobahn.py", description="Run Autobahn|Testsuite against microsock.")
    parser.add_argument("--cases", default="*", help="patterns, comma-separated: 1.*,7.9.*,10.1.1; all by default")
    parser.add_argument("--agent", default=AGENT, help="what the report calls the server (%(default)s)")
    parser.add_argument("--url", help="a WebSocket echo server that runs already, instead of one of microsock")
    parser.add_argument("--python", help="a Python 2.7; by default the one on the PATH or of pyenv")
    parser.add_argument("--report", type=Path, default=home() / "report", help="folder of the report (%(default)s)")
    return parser


class _Clock:
    # Says now and then how far it is: a full run takes a while.

    def __init__(self) -> None:
        self._group = ""
        self._start = time.monotonic()

    def __call__(self, case: str, number: int, total: int) -> None:
        group = case.rpartition(".")[0]
        if group != self._group:
            self._group = group
            _say(f"{time.monotonic() - self._start:6.0f} s  {number:3} of {total}  {case}")


def _say(*lines: str) -> None:
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
