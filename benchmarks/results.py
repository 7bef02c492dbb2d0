"""All samples of a run, and what they come to: medians with their spread, and ratios within pairs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from .suite import Goal, Sample

__all__ = ["Results", "Spread", "percentile"]


class Spread(NamedTuple):
    """The median of some figures, with the least and the most of them. Nothing is dropped."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, figures: Sequence[float]) -> Spread:
        """The spread of at least one figure."""
        return cls(median(figures), min(figures), max(figures))

    def text(self, digits: int) -> str:
        """As `median (least–most)`."""
        return f"{self.median:,.{digits}f} ({self.least:,.{digits}f}–{self.most:,.{digits}f})"


class Results:
    """Samples by case and peer, in the order of the pairs."""

    def __init__(self) -> None:
        self.samples: defaultdict[str, dict[str, list[Sample]]] = defaultdict(dict)

    def add(self, case: str, peer: str, sample: Sample) -> None:
        """Keep a sample; it belongs to the pair after the last one of this case and peer."""
        self.samples[case].setdefault(peer, []).append(sample)

    def has(self, case: str, peer: str) -> bool:
        """Whether this peer was measured in this case."""
        return peer in self.samples.get(case, {})

    def spread(self, case: str, peer: str, metric: str) -> Spread:
        """A metric over all pairs."""
        return Spread.of(self._figures(case, peer, metric))

    def ratio(self, case: str, peer: str, other: str, metric: str) -> Spread:
        """How many times the other's figure a peer's is, taken pair by pair."""
        figures = self._figures(case, peer, metric)
        others = self._figures(case, other, metric)
        return Spread.of([figure / other for figure, other in zip(figures, others, strict=True)])

    def reached(self, goal: Goal, ours: str) -> tuple[Spread, bool] | None:
        """What a goal's figure came to and whether its median reaches it; None if it was not measured."""
        if not self.has(goal.case, ours) or (goal.peer and not self.has(goal.case, goal.peer)):
            return None
        if not goal.peer:
            found = self.spread(goal.case, ours, goal.metric)
        elif goal.at_least:
            found = self.ratio(goal.case, goal.peer, ours, goal.metric)
        else:
            found = self.ratio(goal.case, ours, goal.peer, goal.metric)
        return found, found.median >= goal.bound if goal.at_least else found.median <= goal.bound

    def _figures(self, case: str, peer: str, metric: str) -> list[float]:
        return [sample[metric] for sample in self.samples[case][peer]]


def percentile(figures: Sequence[float], percent: float) -> float:
    """The figure that so many percent of them do not exceed."""
    ordered = sorted(figures)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]
