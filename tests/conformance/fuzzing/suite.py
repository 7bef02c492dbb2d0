"""Runs the fuzzing client: which cases there are, and one run of some of them against a server."""

from __future__ import annotations

import json
import re
import subprocess
from collections import deque
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from .environment import clean_environ

__all__ = ["ClientFailed", "NoSuchCase", "Progress", "all_cases", "chosen", "run"]

# Called when a case begins: its number, how many have begun, and how many there are to be.
Progress = Callable[[str, int, int], None]

# For Python 2.7.
_LIST = """
from autobahntestsuite import case, caseset
import json
suite = caseset.CaseSet("Case", "Case", case.Cases, {}, {})
print(json.dumps(suite.parseSpecCases({"cases": ["*"]})))
"""
# What is shown of the output of a client that failed.
_TAIL = 15
_BEGINS = re.compile(r"Running test case ID ([0-9.]+)")


class NoSuchCase(Exception):
    """A pattern that no case of the suite matches."""


class ClientFailed(Exception):
    """The fuzzing client did not come to its end; the message has the last it said."""


def all_cases(python: str) -> list[str]:
    """The numbers of all cases of the suite, in its order: ``1.1.1`` to ``13.7.18``."""
    done = subprocess.run([python, "-c", _LIST], env=clean_environ(), stdout=subprocess.PIPE, check=True)
    return [str(case) for case in json.loads(done.stdout)]


def chosen(cases: Sequence[str], patterns: Sequence[str]) -> list[str]:
    """The cases that match any pattern, as ``7.*`` or ``9.1.6``. Raises ``NoSuchCase`` for a pattern without any."""
    for pattern in patterns:
        if not any(fnmatchcase(case, pattern) for case in cases):
            raise NoSuchCase(f"no case of the suite matches {pattern!r}")
    return [case for case in cases if any(fnmatchcase(case, pattern) for pattern in patterns)]


def run(python: str, url: str, agent: str, cases: Sequence[str], folder: Path, progress: Progress | None) -> None:
    """Let the fuzzing client try these cases against a server; its report goes to ``folder``.

    Args:
        python: the interpreter that has the suite.
        url: the server's, with ``ws://``.
        agent: what the report calls the server.
        cases: at least one; without any, the client would wait for ever.
        folder: is made; an older report there is overwritten.
        progress: called as each case begins.

    Raises ``ClientFailed``. A server that went away shows as cases without a result.
    """
    spec = _specified(url, agent, cases, folder)
    command = [python, "-u", "-m", "autobahntestsuite.wstest", "--mode", "fuzzingclient", "--spec", str(spec)]
    said: deque[str] = deque(maxlen=_TAIL)
    with subprocess.Popen(
        command, cwd=folder, env=clean_environ(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as client:
        begun = 0
        try:
            for line in client.stdout or ():
                said.append(line)
                if progress is not None and (begins := _BEGINS.search(line)):
                    begun += 1
                    progress(begins[1], begun, len(cases))
        except BaseException:
            client.kill()
            raise
    if client.returncode or not (folder / "index.json").exists():
        raise ClientFailed("the fuzzing client failed:\n" + "".join(said))


def _specified(url: str, agent: str, cases: Sequence[str], folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "index.json").unlink(missing_ok=True)
    spec = folder / "fuzzingclient.json"
    servers = [{"agent": agent, "url": url}]
    spec.write_text(json.dumps({"outdir": str(folder), "servers": servers, "cases": list(cases)}))
    return spec
