"""What holds for the tests of every folder."""

from __future__ import annotations

import compileall
from collections.abc import Iterator

import pytest
from browsing import browser
from running import ROOT

__all__ = ["browser", "pytest_collection_modifyitems", "pytest_sessionstart", "unmeasured"]


def pytest_sessionstart() -> None:
    """Compile the package once, and not in each of the hundreds of processes that the tests start.

    Python does so by itself, except where PYTHONDONTWRITEBYTECODE is set, as it is in many containers.
    """
    compileall.compile_dir(ROOT / "microsock", quiet=2)


@pytest.fixture(scope="module")
def unmeasured() -> Iterator[None]:
    """No coverage of the processes that tests start: how quick they are is their subject, or a page is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)
        yield


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let those that need a browser come last; they share one."""
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)
