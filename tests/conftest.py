"""What holds for the tests of every folder."""

from __future__ import annotations

import compileall
from collections.abc import Generator, Iterator

import pytest
from browsing import browser
from coverage import Coverage
from lanes import pytest_xdist_make_scheduler
from leftovers import no_process_left, pytest_configure, pytest_sessionfinish, pytest_unconfigure
from running import ROOT
from tools import pytest_make_collect_report, pytest_runtest_makereport

__all__ = [
    "browser",
    "no_process_left",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_make_collect_report",
    "pytest_report_to_serializable",
    "pytest_runtest_makereport",
    "pytest_sessionfinish",
    "pytest_sessionstart",
    "pytest_unconfigure",
    "pytest_xdist_make_scheduler",
    "unmeasured",
    "untraced",
]


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


@pytest.fixture(scope="module")
def untraced() -> Iterator[None]:
    """No coverage of what a file's tests run: very many inputs, for what other tests show, at thrice the time each."""
    measured = Coverage.current()
    if measured is not None:
        measured.stop()
    yield
    if measured is not None:
        measured.start()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let those that need a browser come last; they share one."""
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, object, object]:
    """A report goes to another process as UTF-8, and what a test logs or compares may have lone surrogates."""
    return encodable((yield))


def encodable(value: object) -> object:
    """The same, with what UTF-8 cannot say written as escapes."""
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, dict):
        return {key: encodable(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(encodable, value))
    return value
