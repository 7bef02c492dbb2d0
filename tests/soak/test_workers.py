"""Reloading and dying workers under load: the short forms. The long ones: `python tests/soak/workers.py`."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import workers as subject

pytestmark = [pytest.mark.server, pytest.mark.timed, pytest.mark.usefixtures("unmeasured")]


def test_reloading_under_keep_alive_load_fails_no_request(tmp_path: Path) -> None:
    outcome = subject.reload_under_load(tmp_path, reloads=3, answers=2_000)
    assert outcome.answered >= 2_000
    assert outcome.failed == []


def test_when_workers_are_killed_only_requests_inside_them_fail(tmp_path: Path) -> None:
    outcome = subject.kill_under_load(tmp_path, kills=2, connections=4, pause=1.2)
    assert outcome.answered > 100
    # Each connection has one request in flight, and a worker dies with no more of them than there are.
    assert len(outcome.failed) <= 2 * 4
