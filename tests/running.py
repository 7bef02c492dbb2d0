"""A real `python -m microsock` process on loopback, for the tests whose subject that is."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent

# Far beyond what any of it takes; reached only when something hangs.
PATIENCE = 30.0


class Running:
    """A server that listens.

    Attributes:
        url: where, as the banner says.
        process: to signal it.
        errors: the lines it has written to standard error.
        reader: the thread that reads them, until the process ends.
    """

    def __init__(self, process: subprocess.Popen[str], url: str, errors: list[str], reader: threading.Thread) -> None:
        self.process = process
        self.url = url
        self.errors = errors
        self.reader = reader

    @property
    def websocket_url(self) -> str:
        """The same address for a WebSocket."""
        return self.url.replace("http", "ws", 1)

    @property
    def port(self) -> int:
        """The port that `--port 0` found."""
        return int(self.url.rpartition(":")[2])

    def stop(self) -> int:
        """Ask it to stop as a terminal or supervisor would, and give its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return status_of(self.process)


@contextmanager
def started(command: Sequence[str | Path], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Run a program until the block ends, in whatever way: `Popen` itself would then wait for its end, and for ever."""
    with subprocess.Popen(command, text=True, **options) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def status_of(process: subprocess.Popen[str]) -> int:
    """Its exit status, as soon as it has ended: `Popen.wait` with a time limit looks every 50 ms only."""
    if hasattr(os, "pidfd_open") and process.poll() is None:
        descriptor = os.pidfd_open(process.pid)
        try:
            select.select([descriptor], [], [], PATIENCE)
        finally:
            os.close(descriptor)
    return process.wait(PATIENCE)


@contextmanager
def running(*arguments: str, port: int = 0) -> Iterator[Running]:
    """Run `python -m microsock` with these arguments until the block ends; it must exit with 0 and log no traceback."""
    command = [sys.executable, "-m", "microsock", "--port", str(port), *arguments]
    with started(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        server = wait_for_banner(process)
        yield server
        if process.poll() is None:
            assert server.stop() == 0, "\n".join(server.errors)
        server.reader.join(PATIENCE)
        assert not any("Traceback" in line for line in server.errors), "\n".join(server.errors)


def wait_for_banner(process: subprocess.Popen[str]) -> Running:
    """Read standard error until the address line, which comes only once the socket accepts; then keep reading."""
    assert process.stderr is not None
    errors: list[str] = []
    for line in process.stderr:
        errors.append(line.rstrip())
        if found := re.search(r"Listening on (\S+)", line):
            reader = threading.Thread(target=keep_reading, args=(process.stderr, errors), daemon=True)
            reader.start()
            return Running(process, found[1], errors, reader)
    raise AssertionError("the server did not start:\n" + "\n".join(errors))


def keep_reading(stream: Iterator[str], errors: list[str]) -> None:
    # A full pipe would stop the server in the middle of a log line. Where a test fails, the pipe is closed under us.
    with suppress(ValueError):
        errors.extend(line.rstrip() for line in stream)
