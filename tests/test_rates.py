"""Rates as people write them."""

from __future__ import annotations

import math

import pytest

from microsock.rates import Rate, parse_rate


@pytest.mark.parametrize(
    ("text", "limit", "seconds"),
    [
        ("100/minute", 100, 60),
        ("5/second", 5, 1),
        ("20/10s", 20, 10),
        ("7 per 2 hours", 7, 7200),
        ("1/d", 1, 86_400),
        (" 3 / M ", 3, 60),
    ],
)
def test_a_rate_is_a_number_and_a_span_of_time(text: str, limit: int, seconds: float) -> None:
    assert parse_rate(text) == Rate(limit, seconds)


def test_a_number_and_seconds_are_a_rate_too() -> None:
    assert parse_rate((100, 60)) == Rate(100, 60.0)
    assert parse_rate(Rate(5, 1.0)) == Rate(5, 1.0)


@pytest.mark.parametrize(
    "value",
    ["", "100", "minute", "0/minute", "-1/minute", "1.5/minute", "5/fortnight", "5/0s", "5 s", "٣/minute",
     5, None, (1,), (0, 1), (True, 1), (1, 0), (1, math.inf), (1, math.nan), ("5", "minute"), [5, 1]],
)  # fmt: skip
def test_what_is_no_rate_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="is no rate"):
        parse_rate(value)


def test_a_rate_is_shown_as_it_is_written() -> None:
    assert [str(Rate(100, 60.0)), str(Rate(20, 10.0)), str(Rate(5, 1.0))] == ["100/minute", "20/10s", "5/second"]
