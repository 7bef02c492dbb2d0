"""Reloading and killing workers under load.

``PYTHONPATH=tests python -m soak.workers`` runs the long forms and tells what came of them: ten reloads under at least
20,000 keep-alive requests; a worker killed every second for 20 seconds.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

from runners.workers import Workers, wait_until, workers

from .load import Load, loading

__all__ = ["kill_under_load", "reload_under_load"]

APP = """
from microsock import App

app = App(access_log=False, max_keep_alive_requests=1_000_000)

@app.get("/")
def index(request):
    return "hello"
"""


def reload_under_load(folder: Path, reloads: int, answers: int, connections: int = 4) -> Load:
    """HUP so many times, spread over at least so many answers."""
    (folder / "shop.py").write_text(APP)
    with workers(folder, "--no-access-log") as server, loading(server.port, connections) as load:
        for number in range(1, reloads + 1):
            load.wait_for(answers * number // (reloads + 1), 120)
            server.signal(signal.SIGHUP)
            wait_until(lambda number=number: _count(server, "reload: all workers are new") == number)  # type: ignore[misc]
        load.wait_for(answers, 120)
        load.stop()
        assert server.stop() == 0
    return load


def kill_under_load(folder: Path, kills: int, connections: int, pause: float = 1.0) -> Load:
    """kill -9 a random worker every ``pause`` seconds."""
    (folder / "shop.py").write_text(APP)
    with workers(folder, "--no-access-log") as server, loading(server.port, connections) as load:
        for _ in range(kills):
            time.sleep(pause)
            victim = random.choice(server.pids())
            os.kill(victim, signal.SIGKILL)
            wait_until(lambda victim=victim: len(server.pids()) == 2 and victim not in server.pids())  # type: ignore[misc]
        time.sleep(pause)
        load.stop()
        assert server.stop() == 0
    return load


def _count(server: Workers, text: str) -> int:
    return sum(text in line for line in server.errors)


def main() -> None:
    """The long forms."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        load = reload_under_load(Path(folder), reloads=10, answers=20_000)
        seconds = time.monotonic() - began
        sys.stdout.write(f"10 reloads: {load.answered} answered, {len(load.failed)} failed, {seconds:.1f} s\n")
        load = kill_under_load(Path(folder), kills=20, connections=4)
        sys.stdout.write(f"20 kills: {load.answered} answered, {len(load.failed)} failed: {load.failed}\n")


if __name__ == "__main__":
    main()
