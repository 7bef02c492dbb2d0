"""Children of an app under load, and signals at every moment of a start: the short forms."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import children, signals

pytestmark = [pytest.mark.server, pytest.mark.timed, pytest.mark.usefixtures("unmeasured")]


@pytest.mark.parametrize("runner", children.RUNNERS)
def test_an_app_that_forks_pools_streams_and_bursts_loses_and_leaves_nothing(tmp_path: Path, runner: str) -> None:
    outcome = children.soak(runner, tmp_path, seconds=1.5)
    assert outcome.wrong == []
    assert outcome.reloads > 0
    assert {"bursts", "streams", "fork"} <= outcome.answered.keys()


@pytest.mark.parametrize("runner", signals.RUNNERS)
def test_a_signal_at_any_moment_of_a_start_ends_in_what_the_documentation_says(tmp_path: Path, runner: str) -> None:
    tried = list(signals.moments(0.12, 0.36, [runner]))
    wrong = {str(moment): said for moment in tried if (said := signals.start_with(tmp_path, moment))}
    assert wrong == {}
