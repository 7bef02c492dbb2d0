"""The pytest plugin: the fixture ``microsock_client``, and the wire transcript in the report of a failing test.

Loaded by every pytest run where microsock is installed, so it imports no more than it must.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from .transcript import used, watch_use

if TYPE_CHECKING:
    from ..app import App
    from .client import TestClient

__all__ = ["microsock_client"]


@pytest.fixture
def microsock_client(app: App) -> Iterator[TestClient]:
    """A test client of the app that your fixture ``app`` gives."""
    with app.test_client() as client:
        yield client


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    watch_use()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.when == "call" and report.failed:
        report.sections += [("microsock wire, virtual time", text) for text in used() if text]
    return report
