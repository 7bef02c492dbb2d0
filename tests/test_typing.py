"""The types that mypy and pyright see, held against the files in `typing/`.

A line there that must be refused carries the errors it is to give, and a mark without its error is an error itself;
so each file passes exactly if what is right is accepted and what is wrong is refused.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from running import ROOT
from tools import needed

CASES = [ROOT / "tests" / "typing" / f"{name}.py" for name in ("accepted", "refused", "untyped")]

Check = Callable[..., tuple[int, str]]


def mypy(*files: Path) -> tuple[int, str]:
    return run("mypy", *map(str, files))


def pyright(*files: Path) -> tuple[int, str]:
    needed("node")
    return run("pyright", "--pythonpath", sys.executable, *map(str, files))


def run(tool: str, *arguments: str) -> tuple[int, str]:
    # No look at the network for a newer version.
    environment = os.environ | {"PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}
    # They run nothing of the package, so that there is nothing in them whose coverage could be measured.
    environment.pop("COVERAGE_PROCESS_CONFIG", None)
    command = [sys.executable, "-m", tool, *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


TOOLS = [pytest.param(mypy, id="mypy"), pytest.param(pyright, id="pyright", marks=pytest.mark.node)]


@pytest.mark.parametrize("check", TOOLS)
def test_what_is_right_is_accepted_and_what_is_marked_is_refused(check: Check) -> None:
    code, output = check(*CASES)
    assert code == 0, output


@pytest.mark.parametrize("check", TOOLS)
def test_a_mark_on_a_line_that_is_right_is_found_out(check: Check, tmp_path: Path) -> None:
    comment = "  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]"
    wrong = tmp_path / "marked.py"
    wrong.write_text(f"# pyright: strict, reportUnnecessaryTypeIgnoreComment=true\nnumber: int = 1{comment}\n")
    code, output = check(wrong)
    assert code == 1
    assert "nused" in output or "nnecessary" in output, output
