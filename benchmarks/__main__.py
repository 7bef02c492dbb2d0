"""`python -m benchmarks SUITE [OPTIONS]`: measure with the interpreter at hand, which must have the peers."""

from __future__ import annotations

import argparse
import gc
import json
import platform
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import NamedTuple, TypeVar

from .bench import Bench, measure
from .features.suite import SUITE as FEATURES
from .http.suite import SUITE as HTTP
from .machine import Cores, Others, description, pinned, raise_file_limit
from .peers import Peer
from .report import Circumstances, markdown
from .results import Results
from .suite import Case, Sample, Suite
from .websocket.suite import SUITE as WEBSOCKET

SUITES = {suite.key: suite for suite in (HTTP, WEBSOCKET, FEATURES)}
RESULTS = Path(__file__).with_name("results")

T = TypeVar("T", Peer, Case)


class Options(NamedTuple):
    """What the command line asks for."""

    suite: Suite
    peers: list[Peer]
    missing: list[Peer]
    """Peers that cannot be had here."""
    cases: list[Case]
    pairs: int
    seconds: float
    output: Path
    plot: bool


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and write the page, the plot and all samples."""
    options = parse(arguments)
    raise_file_limit()
    # A pause of the load must not look like one of the server.
    gc.disable()
    cores, others = Cores.available(), Others()
    with pinned(cores.load), Bench(cores, options.seconds) as bench:
        results = measure(options.cases, options.peers, options.pairs, bench, _tell)
    write(options, results, cores, others.percent())
    return 0


def write(options: Options, results: Results, cores: Cores, others: float) -> None:
    """Write for instance `http.md`, `http.json` and, if it is wanted, `http.png` into the output folder."""
    suite, folder = options.suite, options.output
    taken = Circumstances(
        date.today().isoformat(),
        description(),
        f"{platform.python_implementation()} {platform.python_version()}",
        options.pairs,
        options.seconds,
        cores,
        others,
        options.peers,
        options.cases,
        options.missing,
    )
    folder.mkdir(parents=True, exist_ok=True)
    picture = f"{suite.key}.png" if options.plot else ""
    if picture:
        from .plot import draw

        draw(folder / picture, f"{suite.title}, {taken.date}: shorter is better", results, options.peers, options.cases)
    (folder / f"{suite.key}.md").write_text(markdown(suite, results, taken, picture))
    record = {"date": taken.date, "machine": taken.machine, "versions": taken.versions, "samples": results.samples}
    (folder / f"{suite.key}.json").write_text(json.dumps(record, indent=1) + "\n")


def parse(arguments: Sequence[str] | None) -> Options:
    """Read the command line; exits with a message where it is wrong."""
    parser = argparse.ArgumentParser(prog="benchmarks/run.py", description="Measure microsock beside its peers.")
    parser.add_argument("suite", choices=SUITES)
    parser.add_argument("--pairs", type=int, default=5, metavar="N", help="turns of each server in each case (5)")
    parser.add_argument("--seconds", type=float, default=2.0, metavar="S", help="length of a turn under load (2)")
    parser.add_argument("--only", metavar="CASE,...", help="these cases only")
    parser.add_argument("--peers", metavar="PEER,...", help="these servers only; ratios are to the first")
    parser.add_argument(
        "--output", type=Path, default=RESULTS, metavar="DIR", help="where to write (benchmarks/results)"
    )
    parser.add_argument("--here", action="store_true", help="make no environments: microsock as it is installed here")
    parser.add_argument("--no-plot", dest="plot", action="store_false", help="draw no picture")
    given = parser.parse_args(arguments)
    suite = SUITES[given.suite]
    offered = [peer._replace(extras=None) if given.here else peer for peer in suite.peers if peer.offered]
    peers = _chosen(parser, given.peers, offered)
    cases = _chosen(parser, given.only, suite.cases)
    missing = [] if given.peers else [peer for peer in suite.peers if not peer.offered]
    return Options(suite, peers, missing, cases, given.pairs, given.seconds, given.output, given.plot)


def _chosen(parser: argparse.ArgumentParser, names: str | None, offered: Sequence[T]) -> list[T]:
    if names is None:
        return list(offered)
    by_key = {item.key: item for item in offered}
    if unknown := set(names.split(",")) - by_key.keys():
        parser.error(f"there is no {', '.join(sorted(unknown))}; choose from {', '.join(by_key)}")
    return [by_key[name] for name in names.split(",")]


def _tell(case: Case, number: int, peer: Peer, sample: Sample) -> None:
    figures = "  ".join(f"{metric.title}: {sample[metric.key]:,.{metric.digits}f}" for metric in case.metrics)
    sys.stderr.write(f"{case.key} {number}  {peer.name}  {figures}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
