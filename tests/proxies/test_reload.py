"""The short form of tests/soak/proxied.py: while workers are replaced, no client of the proxy gets an error."""

from __future__ import annotations

from pathlib import Path

import pytest
from soak.proxied import watch

from .installation import PROXIES

pytestmark = [pytest.mark.server, pytest.mark.usefixtures("unmeasured")]


@pytest.mark.parametrize("proxy", PROXIES)
def test_no_request_fails_while_workers_are_replaced(proxy: str, tmp_path: Path) -> None:
    outcome = watch(proxy, tmp_path, seconds=4.5, every=1.1)
    assert outcome.failed == 0, outcome.answers
    assert outcome.answers["200"] > 100
    assert outcome.reloads >= 3
    assert len(outcome.pids) > 2
