"""What holds for the tests of every folder."""

from __future__ import annotations

import compileall

from running import ROOT


def pytest_sessionstart() -> None:
    """Compile the package once, and not in each of the hundreds of processes that the tests start.

    Python does so by itself, except where PYTHONDONTWRITEBYTECODE is set, as it is in many containers.
    """
    compileall.compile_dir(ROOT / "microsock", quiet=2)
