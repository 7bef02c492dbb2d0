"""The short form of tests/soak/proxied.py: while workers are replaced, no client of the proxy gets an error."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from soak.proxied import Outcome, watch

from .installation import PROXIES

pytestmark = [pytest.mark.server, pytest.mark.timed, pytest.mark.usefixtures("unmeasured")]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory, unmeasured: None) -> Iterator[dict[str, Future[Outcome]]]:
    """Both proxies at once: it is the time that counts."""
    with ThreadPoolExecutor() as pool:
        yield {
            proxy: pool.submit(watch, proxy, tmp_path_factory.mktemp(proxy), seconds=4.5, every=1.1)
            for proxy in PROXIES
        }


@pytest.mark.parametrize("proxy", PROXIES)
def test_no_request_fails_while_workers_are_replaced(proxy: str, outcomes: dict[str, Future[Outcome]]) -> None:
    outcome = outcomes[proxy].result()
    assert outcome.failed == 0, outcome.answers
    assert outcome.answers["200"] > 100
    assert outcome.reloads >= 3
    assert len(outcome.pids) > 2
