"""Programs that some tests need, and that a machine may lack."""

from __future__ import annotations

import os
import shutil

import pytest


def needed(program: str, called: str = "") -> str:
    """The path of a program. Without it the test is skipped by what it is called; where CI is true, it fails."""
    path = shutil.which(program)
    if path is None:
        say = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        say(f"{called or program} is not installed")
    return path
