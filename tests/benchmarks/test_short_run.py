"""The benchmarks in their short form: microsock alone, for a fraction of a second, up to the finished page."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# median (least–most)
_SPREAD = r"([\d,.]+) \(([\d,.]+)–([\d,.]+)\)"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *arguments, "--here"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def rows(page: str, title: str) -> list[list[str]]:
    """The cells of the one table under this heading, without its two head lines."""
    section = page.split(f"## {title}\n")[1].split("\n## ")[0]
    table = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]


def spread(cell: str) -> list[float]:
    found = re.fullmatch(_SPREAD, cell)
    assert found, cell
    return [float(figure.replace(",", "")) for figure in found.groups()]


@pytest.mark.server
@pytest.mark.timed
def test_a_short_run_of_the_echo_fills_the_page_with_figures_that_belong_together(tmp_path: Path) -> None:
    options = ["--peers", "microsock", "--only", "echo32", "--pairs", "2", "--seconds", "0.3", "--no-plot"]
    done = run("websocket", *options, "--output", str(tmp_path))
    assert done.returncode == 0, done.stderr

    [row] = rows((tmp_path / "websocket.md").read_text(), "Echo of 32 bytes of text")
    name, cpu, cpu_ratio, rate, rate_ratio, p50, p99, busy = row
    assert name == "microsock"
    assert cpu_ratio == rate_ratio == "1"
    for cell in (cpu, rate, p50, p99, busy):
        median, least, most = spread(cell)
        assert 0 < least <= median <= most
    assert spread(p50)[0] <= spread(p99)[0]

    samples = json.loads((tmp_path / "websocket.json").read_text())["samples"]["echo32"]["microsock"]
    assert len(samples) == 2
    for sample in samples:
        # A core's time, message by message, is what the core was busy; the clock of /proc counts 10 ms.
        assert sample["cpu"] * sample["rate"] / 1e4 == pytest.approx(sample["busy"])
        assert sample["busy"] < 110


@pytest.mark.server
@pytest.mark.timed
def test_a_short_run_over_http_asks_in_every_way_and_fills_the_page(tmp_path: Path) -> None:
    cases = "bare,unique,post,body64k,pipelined,connect"
    options = ["--peers", "microsock", "--only", cases, "--pairs", "1", "--seconds", "0.1", "--no-plot"]
    done = run("http", *options, "--output", str(tmp_path))
    assert done.returncode == 0, done.stderr

    page = (tmp_path / "http.md").read_text()
    assert "every answer is checked" in page
    samples = json.loads((tmp_path / "http.json").read_text())["samples"]
    assert list(samples) == cases.split(",")
    for [sample] in (by_peer["microsock"] for by_peer in samples.values()):
        assert sample["rate"] > 0
        assert 0 < sample["p50"] <= sample["p99"]


@pytest.mark.parametrize("suite", ["http", "websocket"])
@pytest.mark.parametrize(("option", "value"), [("--peers", "nobody"), ("--only", "echo33")])
def test_a_name_that_is_none_is_refused_with_those_there_are(suite: str, option: str, value: str) -> None:
    done = run(suite, option, value)
    assert done.returncode == 2
    assert f"there is no {value}; choose from " in done.stderr
