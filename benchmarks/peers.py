"""Who is measured: a script that serves, the environment it serves in, and the packages that the report names."""

from __future__ import annotations

import subprocess
import sys
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

    @property
    def offered(self) -> bool:
        """Whether there is such a thing: an extra may be still to come."""
        return not self.extras or has_extra(self.extras.strip("[]"))

    @property
    def python(self) -> str:
        """The interpreter that it runs on."""
        return sys.executable if self.extras is None else str(interpreter(self.extras))

    @property
    def versions(self) -> list[str]:
        """The packages with their versions."""
        command = [self.python, "-c", _ASK_VERSIONS, *self.packages]
        versions = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
        return [" ".join(pair) for pair in zip(self.packages, versions, strict=True)]

    def command(self, port: int) -> list[str]:
        """How to start it."""
        return [self.python, str(_SERVERS / self.script), str(port), *self.arguments]
