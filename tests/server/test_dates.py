from __future__ import annotations

from microsock.server.dates import HttpDate

from .clock import Clock


def test_the_date_is_an_imf_fixdate_in_gmt() -> None:
    """The example of RFC 9110 section 5.6.7."""
    assert HttpDate(Clock(784111777.9))() == b"Sun, 06 Nov 1994 08:49:37 GMT"


def test_it_is_made_once_a_second() -> None:
    clock = Clock(784111777.0)
    date = HttpDate(clock)
    first = date()
    clock.now += 0.9
    assert date() is first
    clock.now += 0.1
    assert date() == b"Sun, 06 Nov 1994 08:49:38 GMT"
