"""Programs that some tests need and that a machine may lack; and that nothing is skipped where CI is true."""

from __future__ import annotations

import os
import shutil
from collections.abc import Generator

import pytest

__all__ = ["NOT_FOR_CI", "needed", "pytest_make_collect_report", "pytest_runtest_makereport"]

# The one reason to skip that counts where CI is true as well: there is no package that .ci/run could install.
NOT_FOR_CI = "Python 2.7 is not installed"


def needed(program: str) -> str:
    """The path of a program. Without it the test is skipped; where CI is true, it fails."""
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not installed")
    return path


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that is skipped, for whatever reason, fails where CI is true."""
    report = yield
    if not hasattr(report, "wasxfail"):
        _refuse_to_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """So does a whole file."""
    report = yield
    _refuse_to_skip(report)
    return report


def _refuse_to_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if os.environ.get("CI") != "true" or not report.skipped:
        return
    # A skip is told as path, line and "Skipped: reason".
    reason = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
    reason = reason.removeprefix("Skipped: ")
    if not reason.startswith(NOT_FOR_CI):
        report.outcome = "failed"
        report.longrepr = f"{reason}; where CI is true nothing is skipped"
