"""A signal at every moment of a start, a stop and a reload: each ends in what the documentation says.

``PYTHONPATH=tests python -m soak.signals`` runs the long form, every two milliseconds of a start in every runner, and
tells what went wrong.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

__all__ = ["RUNNERS", "SIGNALS", "Moment", "moments", "start_with"]

RUNNERS = {"one": (), "workers": ("-w", "2"), "reload": ("--reload",)}
SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGTTIN", "SIGTTOU")
)
_STOP = (signal.SIGTERM, signal.SIGINT)
_PATIENCE = 30.0
APP = """
import time
from microsock import App

app = App(access_log=False)
time.sleep(0.05)

@app.get("/")
def index(request):
    return "hello"
"""


class Moment(NamedTuple):
    """A signal so many seconds after a start, or after what is to be done first once it serves."""

    runner: str
    signum: signal.Signals
    seconds: float
    first: signal.Signals | None = None

    def __str__(self) -> str:
        behind = f" behind {self.first.name}" if self.first else ""
        return f"{self.runner}: {self.signum.name} after {self.seconds * 1000:.0f} ms{behind}"


def moments(
    step: float, last: float, runners: Sequence[str] = tuple(RUNNERS), signals: Sequence[signal.Signals] = SIGNALS
) -> Iterator[Moment]:
    """Every so many seconds of a start, each with the next of the signals; and behind TERM and HUP."""
    count = round(last / step)
    for number in range(count):
        for runner in runners:
            signum = signals[number % len(signals)]
            yield Moment(runner, signum, number * step)
            if number % 4 == 0:
                yield Moment(runner, signum, number * step / 4, signal.SIGHUP)
                # A second one that asks to stop may come at any time of the first one's end.
                yield Moment(runner, signum, number * step / 8, signal.SIGTERM)


def start_with(folder: Path, moment: Moment) -> str:
    """Start a server, signal it at that moment and stop it; gives what was wrong, or nothing."""
    if not (folder / "quick.py").exists():
        (folder / "quick.py").write_text(APP)
    command = [sys.executable, "-m", "microsock", "-p", "0", *RUNNERS[moment.runner], "quick"]
    log = folder / "log"
    with log.open("wb") as errors:
        process = subprocess.Popen(
            command, cwd=folder, stdout=errors, stderr=errors, start_new_session=True,
            env={**os.environ, "XDG_RUNTIME_DIR": str(folder)},
        )  # fmt: skip
    try:
        return _follow(process, moment, log) or _left_behind(process.pid)
    except (OSError, AssertionError, subprocess.TimeoutExpired) as error:
        return f"{type(error).__name__}: {error}; {log.read_text()}"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _follow(process: subprocess.Popen[bytes], moment: Moment, log: Path) -> str:
    if moment.first is not None:
        assert _serves(process, log), f"it ended with {process.returncode}"
        process.send_signal(moment.first)
    time.sleep(moment.seconds)
    heeds = _is_caught(process.pid, moment.signum)
    process.send_signal(moment.signum)
    asked = [signum for signum in (moment.first, moment.signum) if signum in _STOP]
    if not asked and _serves(process, log):
        process.send_signal(signal.SIGTERM)
        asked = [signal.SIGTERM]
    status = process.wait(_PATIENCE)
    if not heeds and status:
        return ""  # Python itself was about to begin, or all was over
    expected = (0, 130) if asked[1:] == [signal.SIGINT] else (0,)
    wrong = status not in expected or "Traceback" in log.read_text()
    return f"status {status}; {log.read_text()}" if wrong else ""


def _serves(process: subprocess.Popen[bytes], log: Path) -> bool:
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until and process.poll() is None:
        if found := re.search(r"Listening on (http://\S+)", log.read_text()):
            with suppress(OSError), urllib.request.urlopen(found[1], timeout=_PATIENCE) as answer:
                assert answer.read() == b"hello"
                return True
        time.sleep(0.005)
    assert process.poll() is not None, "it does not serve"
    return False


def _is_caught(pid: int, signum: signal.Signals) -> bool:
    # By a handler of ours: before, Python has one for SIGINT already, which raises KeyboardInterrupt.
    with suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        caught = next(line for line in lines if line.startswith("SigCgt:"))
        mask = int(caught.split()[1], 16)
        return all(mask >> (each - 1) & 1 for each in (signum, signal.SIGTERM))
    return False


def _left_behind(group: int) -> str:
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return ""
        time.sleep(0.005)
    return "a process is left behind"


def main() -> None:
    """The long form."""
    count, wrong = 0, 0
    with tempfile.TemporaryDirectory() as folder:
        for moment in moments(0.002, 0.6):
            count += 1
            if said := start_with(Path(folder), moment):
                wrong += 1
                sys.stdout.write(f"{moment}: {said}\n")
                sys.stdout.flush()
    sys.stdout.write(f"{count} signals, {wrong} of them wrong\n")


if __name__ == "__main__":
    main()
