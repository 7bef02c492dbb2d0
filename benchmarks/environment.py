"""The benchmarks' own virtual environments: one has the peers at their pinned versions, each other has microsock alone.

Alone, because microsock may take up what it finds installed, and is to be measured as it comes. They lie in the user's
cache and are made once; other requirements make another one. Standard library only.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tomllib
import venv
from pathlib import Path
from typing import Any

__all__ = ["cache", "has_extra", "interpreter"]

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
COMPILED = Path(__file__).with_name("requirements-compiled.txt")


def interpreter(extras: str | None = None) -> Path:
    """The Python of an environment, which is made if it is not there yet.

    Args:
        extras: what stands behind microsock's name for pip: nothing, or extras in brackets. None for the peers'.
    """
    arguments = ["-r", str(REQUIREMENTS)] if extras is None else ["-e", f"{ROOT}{extras}"]
    folder = cache() / _name(extras)
    python = folder / "bin" / "python"
    ready = folder / "ready"
    if not ready.exists():
        sys.stderr.write(f"making the environment {folder}; this is done once\n")
        venv.create(folder, with_pip=True, clear=True)
        install = [str(python), "-m", "pip", "install", "--quiet"]
        subprocess.run([*install, *arguments], check=True)
        if extras is None and subprocess.run([*install, "-r", str(COMPILED)], check=False).returncode:
            sys.stderr.write(f"going on without what could not be compiled: {COMPILED.name}\n")
        ready.touch()
    return python


def has_extra(name: str) -> bool:
    """Whether microsock offers an extra of this name."""
    return name in _project().get("optional-dependencies", {})


def _name(extras: str | None) -> str:
    # A name for all that decides what is in it. The tree itself does not count: it is installed in place.
    if extras is None:
        wanted = REQUIREMENTS.read_text() + COMPILED.read_text()
    else:
        project = _project()
        extra = project.get("optional-dependencies", {}).get(extras.strip("[]"))
        wanted = f"{ROOT}{extras} {project['dependencies']} {extra}"
    digest = hashlib.sha256(f"{sys.version} {wanted}".encode()).hexdigest()
    return f"py{sys.version_info.major}{sys.version_info.minor}-{digest[:12]}"


def _project() -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return project


def cache() -> Path:
    """The folder of all that is made once, in the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "microsock-benchmarks"
