"""The results as a picture: for each case the figure that counts, by server, with its spread."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .peers import Peer
from .results import Results
from .suite import Case

__all__ = ["draw"]

_OURS, _THEIRS, _INK = "#1f6feb", "#b6bec9", "#24292f"
_COLUMNS = 2
_SIZE = (5.6, 2.5)


def draw(path: Path, title: str, results: Results, peers: Sequence[Peer], cases: Sequence[Case]) -> None:
    """Write a PNG. Bars are medians, shorter is better; the thin lines reach from the least to the most."""
    with mpl.rc_context({"font.size": 9, "axes.edgecolor": _INK}):
        rows = -(-len(cases) // _COLUMNS)
        figure = Figure(figsize=(_SIZE[0] * _COLUMNS, _SIZE[1] * rows + 0.6), layout="constrained")
        figure.suptitle(title, fontsize=12, fontweight="bold")
        panels = figure.subplots(rows, _COLUMNS, squeeze=False).flat
        for case, panel in zip(cases, panels, strict=False):
            _panel(panel, case, results, peers)
        for panel in panels:
            panel.axis("off")
        figure.savefig(path, dpi=110)


def _panel(panel: Axes, case: Case, results: Results, peers: Sequence[Peer]) -> None:
    metric = case.metrics[0]
    peers = [peer for peer in peers if results.has(case.key, peer.key)]
    spreads = [results.spread(case.key, peer.key, metric.key) for peer in peers]
    medians = [spread.median for spread in spreads]
    reach = [[spread.median - spread.least for spread in spreads], [spread.most - spread.median for spread in spreads]]
    colours = [_OURS if peer.name.startswith("microsock") else _THEIRS for peer in peers]
    bars = panel.barh([peer.name for peer in peers], medians, color=colours, xerr=reach, ecolor=_INK, capsize=2)
    panel.bar_label(bars, [f"{figure:,.{metric.digits}f}" for figure in medians], padding=4, color=_INK)
    panel.invert_yaxis()
    panel.margins(x=0.18)
    panel.set_title(f"{case.title}: {metric.title}", loc="left", fontsize=10)
    panel.spines[["top", "right"]].set_visible(False)
