"""Judges what a server sent in answer to a case. Knows nothing of how it was sent."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

from .answers import Answer, Malformed, read_answers
from .case import SILENCE, Case
from .checks import cut_short

__all__ = ["Outcome", "masked", "verdict"]

_DATE = re.compile(rb"(?i)(\r\ndate: )[^\r\n]*")
_CONTINUE = re.compile(rb"HTTP/1\.1 100 [^\r\n]*\r\n\r\n")
_LARGEST_ERROR = 1_000
# What must come with a status (RFC 9110 sections 15.5.6 and 15.5.22).
_NEEDED = {405: "allow", 426: "upgrade"}


@dataclasses.dataclass
class Outcome:
    """What came back.

    Attributes:
        data: all bytes that the server sent.
        ended: whether it then ended its side of the connection.
        closed: where it ended its side and so did the client: whether it closed.
        was_reset: whether it closed by a reset, by which a client may lose its answer.
        follow_up: where it stayed: what it sent for ``NEXT``.
    """

    data: bytes
    ended: bool
    closed: bool = True
    was_reset: bool = False
    follow_up: bytes | None = None


def masked(data: bytes) -> bytes:
    """The bytes without what may differ from run to run: the date, and a 100 that a body in hand makes needless."""
    return _CONTINUE.sub(b"", _DATE.sub(rb"\1-", data))


def verdict(case: Case, outcome: Outcome) -> list[str]:
    """What is wrong with the outcome; empty when nothing is."""
    try:
        answers = read_answers(outcome.data, ended=outcome.ended, heads=case.heads)
    except Malformed as error:
        return [f"malformed: {error}", repr(outcome.data[:300])]
    wrong = _wrong_statuses(case, answers) + _wrong_end(case, answers, outcome.ended)
    if not wrong:
        wrong = [complaint for answer in answers for complaint in _wrong_error(answer)]
        wrong += [complaint for check in case.checks if (complaint := check(answers))]
        wrong += _wrong_after(outcome)
    return wrong


def _wrong_after(outcome: Outcome) -> list[str]:
    wrong = []
    if not outcome.closed:
        wrong.append("the server ended its side and never closed")
    if outcome.was_reset:
        wrong.append("the server closed with input unread, so a client may not see its answer")
    if outcome.follow_up is not None:
        try:
            bodies = [answer.body for answer in read_answers(outcome.follow_up, ended=False)]
        except Malformed as error:
            bodies = [str(error).encode()]
        if bodies != [b"next"]:
            wrong.append(f"the next request is answered {bodies}")
    return wrong


def _wrong_statuses(case: Case, answers: Sequence[Answer]) -> list[str]:
    got = [answer.status for answer in answers]
    # Where silence is right, an answer may be missing.
    got += [SILENCE] * (len(case.answers) - len(got))
    right = len(got) == len(case.answers) and all(map(_fits, got, case.answers))
    return [] if right else [f"answers {got}, not {[sorted(allowed) for allowed in case.answers]}"]


def _fits(status: int, allowed: frozenset[int]) -> bool:
    return status in allowed


def _wrong_end(case: Case, answers: Sequence[Answer], ended: bool) -> list[str]:
    wrong = []
    if case.closes is not None and case.closes != ended:
        wrong.append("the connection did not close" if case.closes else "the connection closed")
    if any("close" in answer.options() for answer in answers[:-1]):
        wrong.append("an answer behind Connection: close")
    if answers and "close" in answers[-1].options() and not ended:
        wrong.append("Connection: close, and it did not close")
    if any(not answer.complete for answer in answers) and cut_short not in case.checks:
        wrong.append("a body that ends early")
    return wrong


def _wrong_error(answer: Answer) -> list[str]:
    # An error is short, and its end is known without the connection's.
    if answer.status < 400:
        return []
    needed = _NEEDED.get(answer.status)
    if needed and not answer.all(needed):
        return [f"a {answer.status} without {needed}"]
    framed = answer.all("content-length")
    short = len(answer.body) < _LARGEST_ERROR
    return [] if framed and short else [f"a {answer.status} without a length or with a long body"]
