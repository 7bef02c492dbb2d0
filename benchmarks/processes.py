"""A peer's server as a process of its own, on a core of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

from .environment import cache
from .machine import cpu_seconds, family, pinned, resident_bytes
from .peers import Peer

__all__ = ["HOST", "Server", "serving"]

HOST = "127.0.0.1"
# Far beyond what any of it takes; reached only when something hangs.
_PATIENCE = 30.0
_LOOK_EVERY = 0.001


class Server:
    """A server process that has just been started, on one core."""

    def __init__(self, peer: Peer, core: int) -> None:
        self.peer = peer
        self.port = _free_port()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by stop()
        with pinned(core):
            self._process = subprocess.Popen(
                peer.command(self.port),
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
                stdin=subprocess.DEVNULL,
                env=_environment(),
            )

    def wait_until_it_listens(self) -> None:
        """Come back as soon as the server accepts connections."""
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                socket.create_connection((HOST, self.port), _PATIENCE).close()
                return
            except ConnectionRefusedError:
                self.look_after(time.monotonic() < until)
                time.sleep(_LOOK_EVERY)

    def look_after(self, in_time: bool = True) -> None:
        """See that the server still runs. Raises ``RuntimeError`` if it does not, or is too late."""
        if self._process.poll() is not None or not in_time:
            status = self._process.poll()
            raise RuntimeError(f"{self.peer.name} does not listen" if status is None else f"it ended with {status}")

    def errors(self) -> str:
        """What it has written to standard error."""
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace")

    def cpu_seconds(self) -> float:
        """The processor time it has spent so far, its workers' included."""
        return cpu_seconds(family(self._process.pid))

    def resident_bytes(self) -> int:
        """Its memory that is in RAM, its workers' included."""
        return resident_bytes(family(self._process.pid))

    def stop(self) -> None:
        """End it, gently if it can be."""
        self._process.terminate()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._errors.close()


@contextmanager
def serving(peer: Peer, core: int) -> Iterator[Server]:
    """A server that listens, for as long as the block takes. An exception takes along what the server had to say."""
    server = Server(peer, core)
    try:
        server.wait_until_it_listens()
        yield server
    except Exception as error:
        error.add_note(f"{peer.name} wrote:\n{server.errors()}")
        raise
    finally:
        server.stop()


def _environment() -> dict[str, str]:
    # Whatever is set here, a second start finds all modules compiled, microsock's as well as those that pip installed.
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": str(cache() / "bytecode")}


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        port: int = sock.getsockname()[1]
        return port
