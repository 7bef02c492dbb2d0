"""A normal client beside slow and idle ones: the short form of `python -m tests.soak.slow`."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import slow

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("unmeasured")]

DEADLINE = 2.0
DEADLINES = ["--head-timeout", "2", "--body-timeout", "2", "--write-timeout", "2", "--keep-alive-timeout", "2"]


@pytest.mark.parametrize("runner", [["-w", "1"], ["-w", "2"]], ids=" ".join)
def test_100_slow_headers_bodies_and_readers_and_idle_ones_hold_nobody_up_and_are_cut(
    runner: list[str], tmp_path: Path
) -> None:
    outcome = slow.besiege(tmp_path, list(slow.KINDS), 100, [*runner, *DEADLINES], 20.0)
    assert outcome.most >= 360
    assert len(outcome.milliseconds) > 20
    # 100 ms on a machine that does nothing else; what is refused here is a client that waits for others' deadlines.
    assert outcome.p99 < 1000
    # Whoever says nothing has had its time, and nobody much more of it.
    assert outcome.first_cut is not None
    assert outcome.first_cut >= DEADLINE - 0.3
    assert outcome.all_cut is not None
    assert outcome.all_cut < DEADLINE + 6
    assert not any("Traceback" in line for line in outcome.errors)
