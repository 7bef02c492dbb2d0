"""The results as a page of Markdown: goals, a table for each case, and on what they were taken."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from .peers import Peer
from .results import Results
from .suite import Case, Metric, Suite

__all__ = ["Circumstances", "markdown"]


class Circumstances(NamedTuple):
    """When, where and how the samples were taken."""

    date: str
    machine: str
    python: str
    pairs: int
    seconds: float
    cores: tuple[int, int]
    """The servers' and the load's."""
    others: float
    """What other work took of the machine meanwhile, in percent."""
    peers: Sequence[Peer]
    cases: Sequence[Case]
    missing: Sequence[Peer] = ()
    """Peers that could not be had."""

    @property
    def versions(self) -> list[str]:
        """All packages, each once."""
        return sorted({package for peer in self.peers for package in peer.versions})


def markdown(suite: Suite, results: Results, taken: Circumstances, plot: str = "") -> str:
    """The page. ``plot`` is the file name of a picture beside it."""
    lines = [f"# {suite.title}: microsock beside its peers", "", *_circumstances(suite, taken)]
    if plot:
        lines += ["", f"![The figure that counts of each case, by server]({plot})"]
    if goals := list(_goals(suite, results)):
        lines += ["", "## Goals", "", "| goal | measured | reached |", "|---|---|---|", *goals]
    for case in taken.cases:
        lines += ["", f"## {case.title}", "", case.about, "", *_table(case, results, taken.peers)]
    return "\n".join([*lines, ""])


def _circumstances(suite: Suite, taken: Circumstances) -> Iterator[str]:
    server, load = taken.cores
    where = f"the servers on core {server}, the load on core {load}" if server != load else "all on one core"
    yield f"Measured on {taken.date} by `python benchmarks/run.py {suite.key}`."
    yield f"{taken.machine}; {taken.python}; {where}; other work took {taken.others:.0f} % of the machine meanwhile."
    yield f"Versions: {', '.join(taken.versions)}."
    yield ""
    yield (
        f"Each figure is the median of {taken.pairs} pairs, with the least and the most of them in parentheses; "
        f"nothing is dropped. In each pair every server has its turn, under load for {taken.seconds:g} s, in an order "
        f"that rotates. `×` is the figure as a multiple of {taken.peers[0].name}'s in the same pair: the machine's "
        "noise mostly cancels out there. CPU is the server's own processor time, user and system. Access logs are off "
        f"for all, and every answer is checked. {suite.note}"
    )
    if taken.missing:
        yield ""
        yield f"Not to be had on this machine, and so left out: {', '.join(peer.name for peer in taken.missing)}."


def _goals(suite: Suite, results: Results) -> Iterator[str]:
    for goal in suite.goals:
        if (reached := results.reached(goal, suite.peers[0].key)) is not None:
            found, met = reached
            yield f"| {goal.text} | {found.text(2)} | {'yes' if met else '**no**'} |"


def _table(case: Case, results: Results, peers: Sequence[Peer]) -> Iterator[str]:
    titles = [title for metric in case.metrics for title in _titles(metric)]
    yield _row(["server", *titles])
    yield _row(["---", *(["---:"] * len(titles))])
    for peer in peers:
        if not results.has(case.key, peer.key):
            continue
        cells = (cell for metric in case.metrics for cell in _cells(case, metric, results, peer, peers[0]))
        yield _row([peer.name, *cells])
    if unable := [peer.name for peer in peers if case.key in peer.cannot]:
        yield ""
        yield f"Not measured, for they have no such thing or did not get through: {', '.join(unable)}."


def _titles(metric: Metric) -> list[str]:
    return [metric.title, "×"] if metric.compared else [metric.title]


def _cells(case: Case, metric: Metric, results: Results, peer: Peer, first: Peer) -> Iterator[str]:
    yield results.spread(case.key, peer.key, metric.key).text(metric.digits)
    if metric.compared:
        same = peer.key == first.key
        yield "1" if same else results.ratio(case.key, peer.key, first.key, metric.key).text(2)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
