"""A short selection of the public conformance suite; `python tests/conformance/autobahn.py` runs all of it.

The suite needs Python 2.7. Without it this is skipped, even where CI is true and a missing program is otherwise a
failure: Debian has no package of it any more, so there is nothing that .ci/run could install. Where Python 2.7 is
there, the suite itself comes from PyPI, once, and then its absence is a failure where CI is true.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from .fuzzing.environment import Missing, prepared
from .fuzzing.trial import tried

pytestmark = pytest.mark.server

# What is quick: frames, text and closing but for some cases that wait a second on purpose, and the small ones of
# size and compression.
_SELECTION = ["1.*", "2.*", "3.*", "4.*", "5.?", "5.1[!9]", "6.[!4].*", "6.??.*", "6.4.1", "7.*"]
_SELECTION += ["9.[12].1", "9.[34].9", "9.[56].6", "10.*", "12.2.3", "13.5.1"]


@pytest.fixture(scope="module", autouse=True)
def suite() -> None:
    try:
        prepared()
    except Missing as error:
        pytest.skip(str(error))


def test_a_selection_of_the_public_suite_is_all_as_it_must_be(tmp_path: Path) -> None:
    trial = tried(_SELECTION, tmp_path)
    assert not trial.complaint
    assert len(trial.results) >= 250
    assert not [str(result) for result in trial.results if not result.passed]


def test_a_case_fails_when_there_is_no_server(tmp_path: Path) -> None:
    # Port 9 of loopback, discard, where nothing listens.
    trial = tried(["1.1.*"], tmp_path, url="ws://127.0.0.1:9")
    assert {result.behavior for result in trial.results} == {"NO RESULT"}
    assert not trial.passed
