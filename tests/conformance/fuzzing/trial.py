"""One trial: a server of its own, the fuzzing client, and what both have to say."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from running import running

from microsock import __version__

from .environment import prepared
from .report import Result, read
from .suite import Progress, all_cases, chosen, run

__all__ = ["AGENT", "Trial", "tried"]

AGENT = f"microsock-{__version__}"

_ECHO = "tests/conformance/fuzzing/echo.py"


@dataclasses.dataclass
class Trial:
    """What came of it.

    Attributes:
        results: one for each case that was asked for; none if the server did not start.
        complaint: what the server logged, if it did not start, failed inside or did not stop as it should.
    """

    results: list[Result] = dataclasses.field(default_factory=list)
    complaint: str = ""

    @property
    def passed(self) -> bool:
        """Whether every case is as it must be, and the server had no trouble."""
        return not self.complaint and all(result.passed for result in self.results)


def tried(
    patterns: Sequence[str],
    report: Path,
    *,
    agent: str = AGENT,
    url: str | None = None,
    python: str | None = None,
    progress: Progress | None = None,
) -> Trial:
    """Try the cases that match the patterns.

    Args:
        patterns: as ``7.*`` or ``9.1.6``.
        report: folder for the suite's report.
        agent: what the report calls the server.
        url: a server that runs already, to try instead of one of microsock.
        python: a Python 2.7; looked for if not given.
        progress: called as each case begins.

    Raises ``Missing``, ``NoSuchCase`` and ``ClientFailed``.
    """
    interpreter = prepared(python)
    cases = chosen(all_cases(interpreter), patterns)
    trial = Trial()
    with _server(url, trial) as address:
        run(interpreter, address, agent, cases, report.resolve(), progress)
        trial.results = read(report, agent, cases)
    return trial


@contextmanager
def _server(url: str | None, trial: Trial) -> Iterator[str]:
    if url is not None:
        yield url
        return
    try:
        with running(_ECHO, "--no-access-log") as server:
            yield server.websocket_url
    except AssertionError as error:
        trial.complaint = str(error)
