"""A real `python -m microsock` with workers, and what its tests ask of it."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from running import status_of

__all__ = ["PATIENCE", "STOPPING", "Workers", "failing", "state", "wait_until", "workers"]

# Far beyond what any of it takes; reached only when something hangs.
PATIENCE = 30.0

STOPPING = "Stopping (press Ctrl+C again to stop at once)"


class Workers:
    """A parent that listens, and its workers.

    Attributes:
        process: the parent.
        errors: the lines it and they have written to standard error, so far.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.errors: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        wait_until(lambda: self._url() or process.poll() is not None)
        assert self._url(), "\n".join(self.errors)
        self.port = int(self._url().rpartition(":")[2])

    def _read(self) -> None:
        assert self.process.stderr is not None
        with suppress(ValueError):  # closed under us, where a test fails
            self.errors.extend(line.rstrip("\n") for line in self.process.stderr)

    def _url(self) -> str:
        found = re.search(r"Listening on (http://\S+)", "\n".join(self.errors))
        return found[1] if found else ""

    def __contains__(self, text: str) -> bool:
        """Whether a line of standard error has it by now."""
        return any(text in line for line in self.errors)

    def pids(self) -> list[int]:
        """The living children, from /proc; zombies are none."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [pid for pid in map(int, path.read_text().split()) if state(pid) not in ("Z", "")]

    def get(self, path: str = "/") -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=PATIENCE) as answer:
            return str(answer.read().decode())

    def connect(self, data: bytes = b"", receive_buffer: int | None = None) -> socket.socket:
        client = socket.socket()
        if receive_buffer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client.settimeout(PATIENCE)
        client.connect(("127.0.0.1", self.port))
        client.sendall(data)
        return client

    def signal(self, signum: signal.Signals) -> None:
        self.process.send_signal(signum)

    def wait(self) -> int:
        """For its end; gives the exit status."""
        status = status_of(self.process)
        self._reader.join(PATIENCE)
        return status

    def stop(self) -> int:
        self.signal(signal.SIGTERM)
        return self.wait()


@contextmanager
def workers(folder: Path, *arguments: str, count: int | None = 2, app: str = "shop") -> Iterator[Workers]:
    """Run it in a folder, in a process group of its own; whatever is left at the end is killed."""
    command = [sys.executable, "-m", "microsock", "-p", "0", *(["-w", str(count)] if count else []), *arguments, app]
    with subprocess.Popen(
        command, cwd=folder, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    ) as process:
        try:
            yield Workers(process)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def failing(folder: Path, *arguments: str) -> tuple[int, str]:
    """Exit status and standard error of one that never listens."""
    command = [sys.executable, "-m", "microsock", "-p", "0", *arguments]
    ended = subprocess.run(command, cwd=folder, text=True, capture_output=True, timeout=PATIENCE)
    return ended.returncode, ended.stderr


def state(pid: int) -> str:
    """The kernel's letter for what a process does; empty once it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def wait_until(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Until it holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to that in time"
        time.sleep(0.01)
