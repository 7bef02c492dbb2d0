"""What the benchmarks run on: its cores and file descriptors, and what the kernel says of a process (Linux only)."""

from __future__ import annotations

import os
import platform
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

__all__ = ["Cores", "Others", "cpu_seconds", "description", "family", "pinned", "raise_file_limit", "resident_bytes"]

_PROC = Path("/proc")
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Cores(NamedTuple):
    """Where the servers run, and where the load does."""

    server: int
    load: int

    @classmethod
    def available(cls) -> Cores:
        """The first two cores that this process may use; one and the same if there is but one."""
        usable = sorted(os.sched_getaffinity(0))
        return cls(usable[0], usable[min(1, len(usable) - 1)])


class Others:
    """How much of the machine other work takes from now on, which makes figures noisy."""

    def __init__(self) -> None:
        self._busy, self._idle, self._ours = *_busy_and_idle(), _our_seconds()

    def percent(self) -> float:
        """Their share of all cores' time so far. Right once all processes that we have started have ended."""
        busy, idle = _busy_and_idle()
        theirs = busy - self._busy - (_our_seconds() - self._ours)
        return max(0.0, theirs / (busy - self._busy + idle - self._idle)) * 100


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """Run on one core; a process started in the block stays there."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def raise_file_limit() -> None:
    """Allow as many file descriptors as the system lets us, for thousands of sockets at either end."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def cpu_seconds(pids: list[int]) -> float:
    """The processor time that processes have spent so far, in user code and in the kernel; to 10 ms."""
    return sum(_ticks(pid) for pid in pids) / _TICKS_A_SECOND


def resident_bytes(pids: list[int]) -> int:
    """The memory of processes that is in RAM."""
    return sum(int((_PROC / str(pid) / "statm").read_text().split()[1]) * _PAGE for pid in pids)


def family(pid: int) -> list[int]:
    """A process and all that descend from it: a server's workers count as the server."""
    found = [pid]
    for children in (_PROC / str(pid) / "task").glob("*/children"):
        for child in children.read_text().split():
            found += family(int(child))
    return found


def description() -> str:
    """The processor, its number of cores, and the system, in one line."""
    lines = (_PROC / "cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    model = models[0] if models else platform.machine()
    return f"{model}, {os.cpu_count()} cores, {platform.system()} {'.'.join(platform.release().split('.')[:2])}"


def _ticks(pid: int) -> int:
    # The name in parentheses may hold blanks; utime and stime are the 14th and 15th fields (proc(5)).
    fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _busy_and_idle() -> tuple[float, float]:
    # Seconds of all cores: user, nice, system, idle, iowait, irq, softirq, steal (proc(5)).
    ticks = [int(field) for field in (_PROC / "stat").read_text().split("\n", 1)[0].split()[1:9]]
    idle = ticks[3] + ticks[4]
    return (sum(ticks) - idle) / _TICKS_A_SECOND, idle / _TICKS_A_SECOND


def _our_seconds() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)
