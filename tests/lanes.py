"""Which tests one process gets where pytest's `-n` shares them out: those of a file, of all timed files, of pages."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from xdist.remote import Producer
    from xdist.scheduler import LoadScopeScheduling

__all__ = ["pytest_xdist_make_scheduler"]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling | None:
    """Give each lane to one process, unless another `--dist` was asked for.

    That of xdist itself, `loadgroup`, writes the group into a test's name, which pytest 9.2 does not let it.
    """
    if config.getoption("dist") != "load":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class Lanes(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return lane(config.rootpath / nodeid.partition("::")[0])

    return Lanes(config, log)


@cache
def lane(file: Path) -> str:
    """The tests of one lane run one after the other, as none of them bears another of its kind beside it."""
    if "pytest.mark.timed" in file.read_text():
        return "timed"
    return "pages" if file.name.endswith("browser.py") else str(file)
