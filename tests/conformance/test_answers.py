"""The reader that judges the server must itself be strict: what a server must not send, it does not take."""

from __future__ import annotations

import pytest

from .answers import Malformed, read_answers
from .case import ask, must, post
from .checks import body
from .frames import TEXT, frame, read_frames
from .verdict import Outcome, verdict

_DATE = b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
_OK = b"HTTP/1.1 200 OK\r\n" + _DATE

# What is wrong, and the bytes; the connection has not ended.
_WRONG = {
    "a version of ours that is 1.0": _OK.replace(b"1.1", b"1.0") + b"Content-Length: 0\r\n\r\n",
    "no phrase": _OK.replace(b" OK", b"") + b"Content-Length: 0\r\n\r\n",
    "an empty phrase": _OK.replace(b" OK", b" ") + b"Content-Length: 0\r\n\r\n",
    "another status's phrase": _OK.replace(b"OK", b"Not Found") + b"Content-Length: 0\r\n\r\n",
    "a bare LF": _OK + b"Content-Length: 0\n\r\n\r\n",
    "a folded line": _OK + b"X-A: 1\r\n 2\r\nContent-Length: 0\r\n\r\n",
    "a space before the colon": _OK + b"Content-Length : 0\r\n\r\n",
    "a control byte in a value": _OK + b"X-A: \x01\r\nContent-Length: 0\r\n\r\n",
    "no date": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "two dates": _OK + _DATE + b"Content-Length: 0\r\n\r\n",
    "a date in another form": _OK.replace(b"Sun, 06 Nov 1994", b"Sunday, 06-Nov-94") + b"Content-Length: 0\r\n\r\n",
    "two lengths": _OK + b"Content-Length: 0\r\nContent-Length: 0\r\n\r\n",
    "a length beside chunked": _OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "another coding": _OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a length with a nought in front": _OK + b"Content-Length: 05\r\n\r\nhello",
    "a short body": _OK + b"Content-Length: 6\r\n\r\nhello",
    "a long body": _OK + b"Content-Length: 4\r\n\r\nhello",
    "a body without an end": _OK + b"\r\nhello",
    "chunks without an end": _OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "a chunk size of nothing": _OK + b"Transfer-Encoding: chunked\r\n\r\n\r\nhello\r\n0\r\n\r\n",
    "a chunk that is too long": _OK + b"Transfer-Encoding: chunked\r\n\r\n4\r\nhello\r\n0\r\n\r\n",
    "a 204 with a length": _OK.replace(b"200 OK", b"204 No Content") + b"Content-Length: 0\r\n\r\n",
    "a 204 with a body": _OK.replace(b"200 OK", b"204 No Content") + b"\r\nhello",
    "a 304 with a body": _OK.replace(b"200 OK", b"304 Not Modified") + b"Content-Length: 5\r\n\r\nhello",
    "a 101 with a length": b"HTTP/1.1 101 Switching Protocols\r\nContent-Length: 0\r\n\r\n",
    "half a head": _OK,
}


@pytest.mark.parametrize("wrong", _WRONG)
def test_the_reader_refuses(wrong: str) -> None:
    with pytest.raises(Malformed):
        read_answers(_WRONG[wrong], ended=False)


def test_the_reader_refuses_a_body_on_head() -> None:
    with pytest.raises(Malformed):
        read_answers(_OK + b"Content-Length: 5\r\n\r\nhello", ended=False, heads={0})


def test_the_reader_refuses_an_end_that_nobody_announced() -> None:
    with pytest.raises(Malformed):
        read_answers(_OK + b"\r\nhello", ended=True)


def test_the_reader_takes_chunks_lengths_and_interim_answers_in_a_row() -> None:
    data = (
        b"HTTP/1.1 100 Continue\r\n\r\n" + _OK + b"Content-Length: 2\r\n\r\nhi"
        + _OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
    )  # fmt: skip
    first, second = read_answers(data, ended=False)
    assert (first.body, first.interim, second.body, second.interim) == (b"hi", (100,), b"hi", ())


def test_the_reader_tells_a_body_that_was_cut() -> None:
    (answer,) = read_answers(_OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel", ended=True)
    assert (answer.body, answer.complete) == (b"hel", False)


_PLAIN = _OK + b"Content-Length: 2\r\n\r\nhi"
_CASE = must("9112 3", "a case", ask(b"GET / HTTP/1.1"), 200, checks=[body(b"hi")])


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome(b"", ended=False),
        Outcome(_PLAIN, ended=True),
        Outcome(_PLAIN + _PLAIN, ended=False),
        Outcome(_PLAIN.replace(b"200 OK", b"404 Not Found"), ended=False),
        Outcome(_PLAIN.replace(b"hi", b"ho"), ended=False),
        Outcome(_PLAIN.replace(b"Content", b"Connection: close\r\nContent"), ended=False),
        Outcome(_PLAIN, ended=False, follow_up=b""),
        Outcome(_PLAIN, ended=False, was_reset=True),
        Outcome(_PLAIN, ended=False, closed=False),
    ],
)
def test_a_wrong_outcome_is_told(outcome: Outcome) -> None:
    assert verdict(_CASE, outcome)


def test_a_right_outcome_is_passed() -> None:
    follow_up = _OK + b"Content-Length: 4\r\n\r\nnext"
    assert not verdict(_CASE, Outcome(_PLAIN, ended=False, follow_up=follow_up))


def test_an_error_without_a_length_is_told() -> None:
    case = must("9112 3", "a case", post(), 500, closes=True)
    answer = _OK.replace(b"200 OK", b"500 Internal Server Error") + b"Connection: close\r\n\r\n"
    assert verdict(case, Outcome(answer, ended=True))


def test_a_masked_frame_of_the_server_is_refused() -> None:
    with pytest.raises(AssertionError):
        read_frames(frame(TEXT, b"hello"))
    assert read_frames(frame(TEXT, b"hello", masked=False))[0].payload == b"hello"
