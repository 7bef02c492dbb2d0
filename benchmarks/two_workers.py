"""Two workers against one with a handler that is nothing but CPU: ``python -m benchmarks.two_workers``.

Each pair is measured one after the other, in changing order, so that what else the machine does hits both alike; the
figure is the median of the pairs' ratios. Needs two idle processors.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["ratios", "requests_a_second"]

_APP = """
from microsock import App

app = App(access_log=False)

@app.get("/")
def burn(request):
    total = 0
    for number in range(100_000):
        total += number * number
    return str(total)
"""
_CLIENTS = 8


@contextmanager
def _serving(folder: Path, workers: int) -> Iterator[str]:
    command = [sys.executable, "-m", "microsock", "-p", "0", "-w", str(workers), "--no-access-log", "burning"]
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            lines = iter(process.stderr)
            found = next(match for line in lines if (match := re.search(r"Listening on (http://\S+)", line)))
            time.sleep(1.0)  # the other workers
            yield found[1]
        finally:
            process.terminate()
            process.wait(30)


def requests_a_second(folder: Path, workers: int, seconds: float) -> float:
    """How many answers so many workers give, to eight clients with a connection for each request."""
    with _serving(folder, workers) as url:
        end = time.monotonic() + seconds
        counts = [0] * _CLIENTS

        def ask(client: int) -> None:
            while time.monotonic() < end:
                with urllib.request.urlopen(url, timeout=30) as answer:
                    answer.read()
                counts[client] += 1

        threads = [threading.Thread(target=ask, args=(client,)) for client in range(_CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(counts) / seconds


def ratios(pairs: int = 5, seconds: float = 4.0) -> list[float]:
    """Two workers' requests a second over one worker's, of each pair."""
    found = []
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "burning.py").write_text(_APP)
        for number in range(pairs):
            order = (1, 2) if number % 2 else (2, 1)
            rate = {workers: requests_a_second(Path(name), workers, seconds) for workers in order}
            found.append(rate[2] / rate[1])
    return found


def main() -> None:
    """Measure, and print."""
    found = ratios()
    each = ", ".join(f"{ratio:.2f}" for ratio in found)
    sys.stdout.write(f"two workers over one: median {statistics.median(found):.2f} of {each}")
    sys.stdout.write(f" ({os.cpu_count()} processors, load {os.getloadavg()[0]:.1f} at the end)\n")


if __name__ == "__main__":
    main()
