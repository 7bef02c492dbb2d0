"""The figures of a server as one report: what its boards say, added up over workers, and who follows which topic.

The report is what JSON takes; ``status_page`` shows it, ``prometheus`` writes it down for scrapers. Knows no request.
"""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .board import Board, Figures
from .startup import NamedTuple
from .tally import BOUNDS, Cell

__all__ = ["Report", "Standing", "latency", "report"]

Report = dict[str, Any]
_STATUSES = range(100, 600)
_MOST_TOPICS = 100
_QUANTILES = {"p50_seconds": 0.5, "p90_seconds": 0.9, "p99_seconds": 0.99}


class Standing(NamedTuple):
    """What stands behind a report: a board, and how many follow each topic in all of its workers."""

    board: Board
    topics: Mapping[str, int]


def report(standings: Iterable[Standing]) -> Report:
    """All that is known now. Times in seconds.

    Args:
        standings: of each server in this process; those with one board are counted once.
    """
    boards: dict[int, Board] = {}
    topics: Counter[str] = Counter()
    for standing in standings:
        if id(standing.board) not in boards:
            boards[id(standing.board)] = standing.board
            topics.update(standing.topics)
    return _added_up([(board.figures(), board.now()) for board in boards.values()], topics)


def _added_up(read: list[tuple[Figures, float]], topics: Counter[str]) -> Report:
    figures = [each for each, _ in read]
    buckets = [_sum(figures, Cell.LATENCY + bucket) for bucket in range(len(BOUNDS) + 1)]
    workers = [_worker(cells, now) for each, now in read for cells in each.workers]
    return {
        "version": str(importlib.import_module(__name__.partition(".")[0]).__version__),
        "uptime_seconds": round(max((now - each.born for each, now in read), default=0.0), 3),
        "workers": sorted(workers, key=lambda worker: worker["worker"]),
        "restarts": sum(each.restarts for each in figures),
        "connections": {
            **_pair(figures, Cell.CONNECTIONS, Cell.CONNECTIONS_TOTAL),
            "refused": _sum(figures, Cell.CONNECTIONS_REFUSED),
            "buffered_bytes": _sum(figures, Cell.BUFFERED),
        },
        "websockets": {
            **_pair(figures, Cell.WEBSOCKETS, Cell.WEBSOCKETS_TOTAL),
            "messages_received": _sum(figures, Cell.MESSAGES_RECEIVED),
            "messages_sent": _sum(figures, Cell.MESSAGES_SENT),
        },
        "event_streams": _pair(figures, Cell.EVENT_STREAMS, Cell.EVENT_STREAMS_TOTAL),
        "requests": _requests(figures),
        "latency": latency(buckets, _sum(figures, Cell.LATENCY_SUM)),
        "rate_limited": _sum(figures, Cell.RATE_LIMITED),
        "dropped_messages": _sum(figures, Cell.DROPPED),
        "dropped_clients": _sum(figures, Cell.CLIENTS_DROPPED),
        "blocking_calls_waiting": _sum(figures, Cell.QUEUED_CALLS),
        "loop": _loop(figures),
        "topics": _topics(topics),
    }  # fmt: skip


def _sum(figures: list[Figures], cell: int) -> int:
    return sum(each.total(cell) for each in figures)


def _pair(figures: list[Figures], gauge: int, total: int) -> dict[str, int]:
    return {"open": _sum(figures, gauge), "total": _sum(figures, total)}


def _worker(cells: list[int], now: float) -> dict[str, Any]:
    return {
        "worker": cells[Cell.WORKER],
        "pid": cells[Cell.PID],
        "uptime_seconds": round(now - cells[Cell.STARTED] / 1e6, 3),
        "connections": cells[Cell.CONNECTIONS],
        "websockets": cells[Cell.WEBSOCKETS],
        "event_streams": cells[Cell.EVENT_STREAMS],
        "requests": sum(cells[Cell.STATUS :]),
        "loop_lag_seconds": cells[Cell.LOOP_LAG] / 1e6,
        "loop_busy_seconds": cells[Cell.LOOP_BUSY] / 1e6,
    }


def _requests(figures: list[Figures]) -> dict[str, Any]:
    by_status = {str(status): _sum(figures, Cell.STATUS + status - 100) for status in _STATUSES}
    by_class: Counter[str] = Counter()
    for status, count in by_status.items():
        by_class[f"{status[0]}xx"] += count
    return {
        "total": sum(by_status.values()),
        "by_class": {name: count for name, count in by_class.items() if count},
        "by_status": {status: count for status, count in by_status.items() if count},
        "given_up": _sum(figures, Cell.GIVEN_UP),
        "bodies_refused": _sum(figures, Cell.BODIES_REFUSED),
    }


def latency(buckets: Sequence[int], sum_microseconds: int) -> dict[str, Any]:
    """A histogram of answers by how long they took, and what can be said from it.

    Args:
        buckets: how many took no longer than each of ``BOUNDS``, longer than the one before; and the rest.
        sum_microseconds: of all.
    """
    count = sum(buckets)
    pairs = zip((*BOUNDS, None), buckets, strict=True)
    return {
        "count": count,
        "sum_seconds": sum_microseconds / 1e6,
        **{name: _quantile(buckets, share) for name, share in _QUANTILES.items()},
        "buckets": [{"to_seconds": bound, "count": found} for bound, found in pairs],
    }


def _quantile(buckets: Sequence[int], share: float) -> float | None:
    # Within a bucket answers are taken to be spread evenly. Past the last bound no more is known than that.
    wanted, seen, lower = sum(buckets) * share, 0, 0.0
    for bound, count in zip(BOUNDS, buckets, strict=False):
        if count and seen + count >= wanted:
            return round(lower + (bound - lower) * (wanted - seen) / count, 6)
        seen, lower = seen + count, bound
    return BOUNDS[-1] if sum(buckets) else None


def _loop(figures: list[Figures]) -> dict[str, float]:
    lags = [worker[Cell.LOOP_LAG] for each in figures for worker in each.workers]
    return {"lag_seconds": max(lags, default=0) / 1e6, "busy_seconds": _sum(figures, Cell.LOOP_BUSY) / 1e6}


def _topics(topics: Counter[str]) -> dict[str, Any]:
    # Those that most follow; there may be one for each user.
    return {
        "count": len(topics),
        "followers": sum(topics.values()),
        "most_followed": [{"topic": name, "followers": count} for name, count in topics.most_common(_MOST_TOPICS)],
    }
