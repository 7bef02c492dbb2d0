"""An app that forks, uses pools, streams, bursts and is reloaded, under load and in every runner.

``PYTHONPATH=tests python -m soak.children --minutes 30`` shares the time among the runners, and tells what was
answered, what was lost or left behind, and whether descriptors and memory stay as they are.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from runners.workers import wait_until
from running import status_of
from wire import ask, handshake

from microsock.testing import build_frame, read_frames

from .clients import descriptors, resident_bytes

__all__ = ["RUNNERS", "Outcome", "soak"]

RUNNERS = {"one": (), "workers": ("-w", "2"), "reload": ("--reload",)}
_PATIENCE = 60.0
_SAMPLE_SECONDS = 1.0
_BURST = 300
# Of the longest stream, and of the pieces it is made of.
STREAM_BYTES, LARGEST_PIECE = 12 << 20, 3 << 20
APP = f"""
import atexit, concurrent.futures, multiprocessing, os, subprocess, sys, threading, time
from microsock import App, sleep

app = App(access_log=False, max_queued_bytes=4 << 20)
pools = {{}}

@app.get("/")
def index(request):
    return "hello"

@app.get("/fork/{{end}}")
def fork(request, end):
    return forked(end)

@app.get("/blocking/fork/{{end}}", blocking=True)
def fork_in_a_thread(request, end):
    return forked(end)

def forked(end):
    pid = os.fork()
    if pid == 0:
        return ENDS[end]()
    return str(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

ENDS = {{
    "return": lambda: "the child's",
    "exit": lambda: sys.exit(3),
    "now": lambda: os._exit(4),
    "killed": lambda: (os.kill(os.getpid(), 15), time.sleep(60)),
}}

@app.get("/process")
def process(request):
    child = multiprocessing.Process(target=time.sleep, args=(60,), daemon=True)
    child.start()
    child.terminate()
    child.join()
    return str(child.exitcode)

@app.get("/pool", blocking=True)
def pool(request):
    # Not by a fork: it would hold for ever what some other thread of this process has open for a moment.
    own = multiprocessing.get_context("forkserver")
    made = pools.setdefault("processes", concurrent.futures.ProcessPoolExecutor(1, mp_context=own))
    return str(list(made.map(abs, [-1, -2])))

@app.get("/threads")
def threads(request):
    made = pools.setdefault("threads", concurrent.futures.ThreadPoolExecutor(2))
    made.submit(time.sleep, 0.05)
    return "accepted"

@app.get("/program", blocking=True)
def program(request):
    return subprocess.run(["echo", "said"], capture_output=True, text=True).stdout.strip()

@app.get("/stream/{{size:int}}/{{count:int}}")
def stream(request, size, count):
    for number in range(count):
        yield bytes([97 + number % 26]) * size
        if number % 7 == 6:
            yield from sleep(0.001)

@app.websocket("/burst")
def burst(ws, message):
    for number in range({_BURST}):
        ws.send(f"{{number}} " + "x" * 1000)
"""
_EXPECTED = {
    "/": b"hello",
    "/fork/return": b"0",
    "/fork/exit": b"3",
    "/fork/now": b"4",
    "/fork/killed": b"-15",
    "/blocking/fork/return": b"0",
    "/blocking/fork/exit": b"3",
    "/blocking/fork/now": b"4",
    "/blocking/fork/killed": b"-15",
    "/process": b"-15",
    "/pool": b"[1, 2]",
    "/threads": b"accepted",
    "/program": b"said",
}


class Outcome:
    """What came of one runner.

    Attributes:
        answered: whole and right, by kind.
        wrong: what was not, in a few words.
        samples: of the processes that serve in the course of it: descriptors in all, and bytes in all.
        reloads: how many.
    """

    def __init__(self, runner: str) -> None:
        self.runner = runner
        self.answered: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.samples: list[tuple[int, int]] = []
        self.reloads = 0
        self.lock = threading.Lock()

    def growth(self) -> tuple[float, float]:
        """By what descriptors and memory have grown from the second quarter of the samples to the last, as a factor."""
        quarter = max(1, len(self.samples) // 4)
        early, late = self.samples[quarter : 2 * quarter] or self.samples, self.samples[-quarter:]
        found = [_median(s[place] for s in late) / max(1, _median(s[place] for s in early)) for place in (0, 1)]
        return found[0], found[1]

    def __str__(self) -> str:
        files, memory = self.growth()
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.answered.items()))
        last = self.samples[-1]
        grown = f"{last[0]} descriptors (x {files:.2f}), {last[1] >> 20} MiB (x {memory:.2f})"
        return f"{self.runner}: {kinds}; {self.reloads} reloads; {grown}; {len(self.wrong)} wrong: {self.wrong[:10]}"


def soak(runner: str, folder: Path, seconds: float, largest_piece: int = LARGEST_PIECE, clients: int = 4) -> Outcome:
    """Run one for so many seconds, and stop it under load."""
    outcome = Outcome(runner)
    (folder / "busy.py").write_text(APP)
    with _server(runner, folder) as (process, port):
        over = threading.Event()
        asking: list[Callable[[Outcome, int, random.Random], None]] = [_ask_any, _burst]
        if largest_piece:
            asking.append(_stream_of(largest_piece))
        places = [(asking[number % len(asking)], number) for number in range(max(clients, len(asking)))]
        threads = [threading.Thread(target=_keep, args=(ask, outcome, port, number, over)) for ask, number in places]
        for thread in threads:
            thread.start()
        _reload_and_look(process, outcome, seconds)
        over.set()
        for thread in threads:
            thread.join(_PATIENCE)
        _end(process, port, outcome)
        outcome.wrong += _complaints((folder / "log").read_text().splitlines())
    return outcome


def _complaints(log: Sequence[str]) -> list[str]:
    # Each traceback with the error that it ends in, which stands farther to the left than its frames.
    found = [line for line in log if "unexpected" in line]
    for number, line in enumerate(log):
        if "Traceback" in line:
            margin = line[: line.index("Traceback")]
            after = (each for each in log[number + 1 :] if not each.startswith(f"{margin} "))
            found.append(f"{log[number - 1]}: {next(after, '')}")
    return found


@contextmanager
def _server(runner: str, folder: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    command = [sys.executable, "-W", "ignore", "-m", "microsock", "-p", str(port), *RUNNERS[runner], "busy"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=log, text=True, start_new_session=True,
            env={**os.environ, "XDG_RUNTIME_DIR": str(folder)},
        )  # fmt: skip
    try:
        wait_until(lambda: _is_listening(port))
        _ask(port, "/")  # served
        yield process, port
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _reload_and_look(process: subprocess.Popen[str], outcome: Outcome, seconds: float) -> None:
    began = time.monotonic()
    next_reload = began + min(10.0, seconds / 3)
    while (now := time.monotonic()) < began + seconds:
        time.sleep(min(_SAMPLE_SECONDS, seconds / 10))
        if process.poll() is not None:
            outcome.wrong.append(f"the server has ended with {process.returncode}")
            return
        outcome.samples.append(_held_by(process.pid))
        if now >= next_reload:
            next_reload = now + min(20.0, seconds / 2)
            outcome.reloads += 1
            process.send_signal(signal.SIGHUP)


def _end(process: subprocess.Popen[str], port: int, outcome: Outcome) -> None:
    process.send_signal(signal.SIGTERM)
    status = status_of(process)
    if status:
        outcome.wrong.append(f"status {status}")
    if _is_listening(port):
        outcome.wrong.append("the port is in use")
    until = time.monotonic() + 5
    while (left := _group(process.pid)) and time.monotonic() < until:
        time.sleep(0.05)
    if left:
        outcome.wrong.append(f"processes left behind: {left}")


# Clients. Each opens its connections anew, as what is asked differs, and never while the server stops.


def _keep(
    ask: Callable[[Outcome, int, random.Random], None], outcome: Outcome, port: int, seed: int, over: threading.Event
) -> None:
    dice = random.Random(seed)
    while not over.is_set():
        try:
            ask(outcome, port, dice)
        except (OSError, ValueError, AssertionError) as error:
            with outcome.lock:
                outcome.wrong.append(f"{ask.__name__}: {type(error).__name__}: {str(error)[:200]}")
            time.sleep(0.1)


def _ask_any(outcome: Outcome, port: int, dice: random.Random) -> None:
    path = dice.choice(list(_EXPECTED))
    body = _ask(port, path)
    if body != _EXPECTED[path]:
        raise ValueError(f"{path}: {body[:100]!r}")
    _count(outcome, path.split("/")[1] or "plain")


def _stream_of(largest: int) -> Callable[[Outcome, int, random.Random], None]:
    sizes = [size for size in (1, 1000, 65_535, 65_536, 65_537, 1 << 20, 3 << 20) if size <= largest]

    def stream(outcome: Outcome, port: int, dice: random.Random) -> None:
        size = dice.choice(sizes)
        count = dice.randint(1, max(1, min(200, STREAM_BYTES // size)))
        body = _ask(port, f"/stream/{size}/{count}", slowly=dice.random() < 0.2)
        expected = (bytes([97 + number % 26]) * size for number in range(count))
        if body != b"".join(expected):
            raise ValueError(f"{count} pieces of {size}: {len(body)} bytes")
        _count(outcome, "streams")

    return stream


def _burst(outcome: Outcome, port: int, dice: random.Random) -> None:
    with socket.create_connection(("127.0.0.1", port), _PATIENCE) as client:
        client.sendall(handshake("/burst"))
        data = bytearray()
        while b"\r\n\r\n" not in data:
            data += _more(client, "in the handshake")
        del data[: data.index(b"\r\n\r\n") + 4]
        for _ in range(dice.randint(1, 5)):
            client.sendall(build_frame(1, b"go"))
            texts, closed = _messages(client, data)
            # A reload sends it away, before its burst or behind it.
            if closed and not texts:
                return
            if [int(text.split()[0]) for text in texts] != list(range(_BURST)):
                raise ValueError(f"a burst of {len(texts)} messages")
            _count(outcome, "bursts")
            if closed:
                return


def _messages(client: socket.socket, data: bytearray) -> tuple[list[bytes], bool]:
    # Of one burst, and whether the server has closed.
    texts: list[bytes] = []
    while True:
        for frame in read_frames(data):
            if frame.opcode == 8:
                if int.from_bytes(frame.payload[:2], "big") not in (1001, 1012):
                    raise ValueError(f"closed with {frame.payload!r}")
                return texts, True
            texts.append(frame.payload)
        if len(texts) >= _BURST:
            return texts, False
        data += _more(client, f"behind {len(texts)} messages of {_BURST}")


def _more(client: socket.socket, where: str) -> bytes:
    data = client.recv(1 << 16)
    if not data:
        raise ValueError(f"ended {where}")
    return data


def _ask(port: int, path: str, slowly: bool = False) -> bytes:
    with socket.create_connection(("127.0.0.1", port), _PATIENCE) as client:
        client.sendall(ask(path, "Connection: close"))
        data = bytearray()
        for number in itertools.count():
            part = client.recv(1 << 18)
            if not part:
                break
            data += part
            if slowly and number % 8 == 0:
                time.sleep(0.02)
    head, _, body = bytes(data).partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200 "):
        raise ValueError(f"{path}: {len(data)} bytes: {head[:100]!r}")
    return _dechunked(path, body) if b"chunked" in head.lower() else body


def _dechunked(path: str, body: bytes) -> bytes:
    pieces, at = list[bytes](), 0
    while True:
        end = body.index(b"\r\n", at)
        size = int(body[at:end], 16)
        if not size:
            return b"".join(pieces)
        pieces.append(body[end + 2 : end + 2 + size])
        if len(pieces[-1]) < size:
            raise ValueError(f"{path}: cut")
        at = end + 2 + size + 2


def _count(outcome: Outcome, kind: str) -> None:
    with outcome.lock:
        outcome.answered[kind] += 1


# Processes.


def _held_by(pid: int) -> tuple[int, int]:
    # Of the parent and of those who serve: what the app starts comes and goes.
    pids = [pid, *_children(pid)]
    files = memory = 0
    for each in pids:
        with suppress(OSError, StopIteration):
            files, memory = files + descriptors(each), memory + resident_bytes(each)
    return files, memory


def _children(pid: int) -> list[int]:
    with suppress(OSError):
        found = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        return [child for child in found if b"microsock" in Path(f"/proc/{child}/cmdline").read_bytes()]
    return []


def _group(leader: int) -> set[int]:
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            if int(fields[2]) == leader and fields[0] != "Z":
                found.add(int(path.parent.name))
    return found


def _is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _median(values: Iterator[int]) -> float:
    found = sorted(values)
    return found[len(found) // 2]


def main(arguments: Sequence[str] | None = None) -> int:
    """The long form; the status is 1 if anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="in all")
    parser.add_argument("--largest-piece", type=int, default=LARGEST_PIECE, help="bytes of a stream's pieces; 0: none")
    parser.add_argument("--runner", choices=list(RUNNERS), action="append")
    given = parser.parse_args(arguments)
    chosen = given.runner or list(RUNNERS)
    wrong = False
    for runner in chosen:
        with tempfile.TemporaryDirectory() as folder:
            outcome = soak(runner, Path(folder), given.minutes * 60 / len(chosen), given.largest_piece)
        files, memory = outcome.growth()
        wrong |= bool(outcome.wrong) or files > 1.2 or memory > 1.2
        sys.stdout.write(f"{outcome}\n")
        sys.stdout.flush()
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
