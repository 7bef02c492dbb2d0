"""Who is measured: a script that serves, the environment it serves in, and the packages that the report names."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from .environment import has_extra, interpreter

__all__ = ["Peer"]

_SERVERS = Path(__file__).with_name("servers")
_ASK_VERSIONS = "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]))"


class Peer(NamedTuple):
    """One server. Its script takes the port, then ``arguments``, and serves on 127.0.0.1 until it is terminated."""

    key: str
    """Its name on the command line."""
    name: str
    """Its name in the report."""
    script: str
    """A file in ``servers/``."""
    arguments: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    extras: str | None = None
    """For microsock, which has an environment to itself: its extras in brackets, or nothing. None for the others."""
    program: str = ""
    """What must be installed on the system, and tells its version by ``-v``."""
    cannot: tuple[str, ...] = ()
    """The cases that are beyond it."""

    @property
    def offered(self) -> bool:
        """Whether it can be had here: an extra may be still to come, a program not installed."""
        if self.extras is not None:
            return not self.extras or has_extra(self.extras.strip("[]"))
        return all(map(_installed, self.packages)) and (not self.program or shutil.which(self.program) is not None)

    @property
    def python(self) -> str:
        """The interpreter that it runs on."""
        return sys.executable if self.extras is None else str(interpreter(self.extras))

    @property
    def versions(self) -> list[str]:
        """The packages with their versions."""
        if self.program:
            told = subprocess.run([self.program, "-v"], check=True, capture_output=True, text=True)
            return [(told.stdout + told.stderr).split()[-1].replace("/", " ")]
        command = [self.python, "-c", _ASK_VERSIONS, *self.packages]
        versions = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        return [" ".join(pair) for pair in zip(self.packages, versions, strict=True)]

    def command(self, port: int) -> list[str]:
        """How to start it."""
        return [self.python, str(_SERVERS / self.script), str(port), *self.arguments]


def _installed(package: str) -> bool:
    try:
        return bool(version(package))
    except PackageNotFoundError:
        return False
