"""A normal client beside slow and idle ones: the short form of `python -m tests.soak.slow`."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from . import slow

pytestmark = [pytest.mark.server, pytest.mark.timed, pytest.mark.usefixtures("unmeasured")]

DEADLINE = 2.0
DEADLINES = ["--head-timeout", "2", "--body-timeout", "2", "--write-timeout", "2", "--keep-alive-timeout", "2"]


RUNNERS = ["-w 1", "-w 2"]


@pytest.fixture(scope="module")
def sieges(tmp_path_factory: pytest.TempPathFactory, unmeasured: None) -> Iterator[dict[str, Future[slow.Outcome]]]:
    """Both at once: they are waiting most of the time."""
    with ThreadPoolExecutor() as pool:
        yield {
            runner: pool.submit(
                slow.besiege,
                tmp_path_factory.mktemp("site"), list(slow.KINDS), 100, [*runner.split(), *DEADLINES], 20.0,
            )
            for runner in RUNNERS
        }  # fmt: skip


@pytest.mark.parametrize("runner", RUNNERS)
def test_100_slow_headers_bodies_and_readers_and_idle_ones_hold_nobody_up_and_are_cut(
    runner: str, sieges: dict[str, Future[slow.Outcome]]
) -> None:
    outcome = sieges[runner].result()
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
