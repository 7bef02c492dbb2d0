"""What a benchmark consists of: peers, cases with their metrics, and the goals that the figures are held against."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from .peers import Peer

if TYPE_CHECKING:
    from .bench import Bench

__all__ = ["Case", "Goal", "Metric", "Sample", "Suite"]

Sample = dict[str, float]
"""What one turn of one server gave, by the metrics' keys."""


class Metric(NamedTuple):
    """One figure of a case, and how it is written."""

    key: str
    title: str
    """With the unit."""
    digits: int
    compared: bool = False
    """Whether the report also gives it as a multiple of microsock's, pair by pair."""


class Case(NamedTuple):
    """One kind of work. The first metric is the one that counts; the plot shows it."""

    key: str
    title: str
    about: str
    """What exactly is done and measured, for the report."""
    metrics: tuple[Metric, ...]
    sample: Callable[[Bench, Peer], Sample]
    """Gives one peer its turn."""
    rounds: int = 1
    """How many rounds a pair stands for; more than one where a turn is short and its figure noisy."""


class Goal(NamedTuple):
    """What microsock wants to reach: a bound on a metric of its own or, with ``peer``, on a ratio within each pair."""

    text: str
    case: str
    metric: str
    bound: float
    peer: str = ""
    at_least: bool = False
    """The peer must need at least ``bound`` times as much; otherwise microsock at most ``bound`` times the peer's."""


class Suite(NamedTuple):
    """A benchmark that has its own page of results."""

    key: str
    title: str
    peers: tuple[Peer, ...]
    """microsock itself is the first."""
    cases: tuple[Case, ...]
    goals: tuple[Goal, ...]
    note: str
    """What the page must say of the load, in a sentence."""
