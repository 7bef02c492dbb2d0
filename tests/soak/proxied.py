"""Two workers behind a proxy, for as long as you like: load, idle pauses and reloads, and not one failed request.

    PYTHONPATH=tests python -m tests.soak.proxied --proxy nginx --seconds 300

Each client sends requests on a connection of its own and rests in between, some for longer than a connection is kept;
meanwhile the server is told to reload again and again.
"""

from __future__ import annotations

import argparse
import http.client
import random
import re
import select
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from proxies.installation import PROXIES, proxied
from running import running

__all__ = ["Outcome", "watch"]

_PATIENCE = 30.0
_FLAGS = ("--behind-proxy", "-w", "2", "tests/proxies/shop.py")


@dataclass
class Outcome:
    """What came back: statuses and exceptions by their names, and how often the server was told to reload."""

    answers: Counter[str] = field(default_factory=Counter)
    reloads: int = 0
    pids: set[int] = field(default_factory=set)

    @property
    def failed(self) -> int:
        """Answers that were not 200."""
        return sum(count for answer, count in self.answers.items() if answer != "200")


def watch(
    proxy: str, folder: Path, *, seconds: float, every: float, clients: int = 8, longest_rest: float = 1.0
) -> Outcome:
    """Run it all.

    Args:
        proxy: ``nginx`` or ``haproxy``.
        folder: for the proxy's files.
        seconds: how long.
        every: seconds between two reloads.
        clients: how many there are at once.
        longest_rest: seconds that a client rests between two requests at most.
    """
    outcome, over = Outcome(), threading.Event()
    with running(*_FLAGS) as server, proxied(proxy, folder, server.port) as address:
        threads = [
            threading.Thread(target=_client, args=(address, outcome, over, random.Random(number), longest_rest))
            for number in range(clients)
        ]
        for thread in threads:
            thread.start()
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(every, left))
            if left > every:
                server.process.send_signal(signal.SIGHUP)
                outcome.reloads += 1
        over.set()
        for thread in threads:
            thread.join(_PATIENCE)
    return outcome


def _client(address: str, outcome: Outcome, over: threading.Event, choice: random.Random, longest_rest: float) -> None:
    connection = http.client.HTTPConnection(address, timeout=_PATIENCE)
    while not over.is_set():
        _forget_if_closed(connection)
        try:
            method = choice.choice(("GET", "GET", "POST"))
            connection.request(method, "/who", body=b"x" if method == "POST" else None)
            answer = connection.getresponse()
            text = answer.read()
            outcome.answers[str(answer.status)] += 1
            outcome.pids.update(map(int, re.findall(rb'"pid":([0-9]+)', text)))
        except (OSError, http.client.HTTPException) as error:
            outcome.answers[type(error).__name__] += 1
            connection.close()
        # Mostly a moment; now and then for long.
        over.wait(choice.random() * (longest_rest if choice.random() < 0.05 else 0.05))
    connection.close()


def _forget_if_closed(connection: http.client.HTTPConnection) -> None:
    # What any client does whose proxy has closed an idle connection: it opens another one.
    if connection.sock is not None and select.select([connection.sock], [], [], 0)[0]:
        connection.close()


def _main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--proxy", choices=PROXIES, default="nginx")
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--every", type=float, default=10.0, help="seconds between two reloads")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        # Rests of up to 100 s: longer than the proxy, and than we, keep an idle connection.
        found = watch(given.proxy, Path(folder), seconds=given.seconds, every=given.every, longest_rest=100.0)
    sys.stdout.write(
        f"{given.proxy}: {found.answers.total()} requests, {found.failed} failed, {found.reloads} reloads, "
        f"{len(found.pids)} workers answered; {dict(found.answers)}\n"
    )
    return 1 if found.failed else 0


if __name__ == "__main__":
    sys.exit(_main())
