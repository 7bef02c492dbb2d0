"""The table itself: enough cases, none twice, each with a section that exists and an expectation that can fail."""

from __future__ import annotations

import re
from collections import Counter

from .case import MUST, SHOULD
from .table import CASES, UNMET

_SECTION = re.compile(
    r"(9110|9112|9113|6455|7692|6585|6265|5789|3986|3629) [1-9][0-9]?(\.[1-9][0-9]?){0,3}"
)  # fmt: skip


def test_there_are_at_least_280_cases() -> None:
    assert len(CASES) >= 280


def test_no_two_cases_have_the_same_name_or_send_the_same_bytes_for_the_same_rule() -> None:
    assert not [name for name, count in Counter(case.name for case in CASES).items() if count > 1]


def test_each_case_names_an_rfc_and_a_section() -> None:
    assert not [case for case in CASES if not _SECTION.fullmatch(case.section)]


def test_each_name_is_a_sentence() -> None:
    assert not [case.name for case in CASES if " " not in case.name or case.name[-1] in ".!?"]


def test_each_case_is_a_must_or_a_should() -> None:
    assert {case.level for case in CASES} == {MUST, SHOULD}
    assert not [case for case in CASES if case.ours and case.level != MUST]


def test_each_case_can_fail() -> None:
    assert not [case for case in CASES if not case.answers and case.closes is None]


def test_what_is_not_met_is_a_should_of_the_table() -> None:
    shoulds = {case.name for case in CASES if case.level == SHOULD}
    assert set(UNMET) <= shoulds
    assert all(UNMET.values())
