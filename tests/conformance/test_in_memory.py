"""Every case through the test client's own wire: whole, byte by byte and cut at random, with the same bytes back."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest

from microsock import App
from microsock.testing import TestClient

from .case import NEXT, Case
from .subject import make_app
from .table import CASES, UNMET
from .verdict import Outcome, masked, verdict

pytestmark = pytest.mark.usefixtures("untraced")

# Longer inputs are cut into single bytes at their ends only, where lines, heads and limits lie.
_FINE = 400
_COARSE = 997

Cut = Callable[[bytes], Iterator[bytes]]


def _whole(data: bytes) -> Iterator[bytes]:
    yield data


def _bytewise(data: bytes) -> Iterator[bytes]:
    position = 0
    while position < len(data):
        step = _COARSE if _FINE <= position < len(data) - _FINE - _COARSE else 1
        yield data[position : position + step]
        position += step


def _at_random(seed: str) -> Cut:
    def cut(data: bytes) -> Iterator[bytes]:
        chance = random.Random(seed)
        at = sorted(chance.randrange(len(data) + 1) for _ in range(chance.randint(1, 6)))
        for start, end in zip([0, *at], [*at, len(data)], strict=True):
            yield data[start:end]

    return cut


@pytest.fixture(scope="module")
def app() -> App:
    return make_app()


@pytest.fixture(scope="module")
def client(app: App) -> Iterator[TestClient]:
    with app.test_client() as client:
        yield client


def _run(client: TestClient, case: Case, cut: Cut) -> Outcome:
    with client.raw_connection() as connection:
        received = connection.receive()
        for part in (case.raw, case.rest):
            for piece in cut(part) if part else ():
                if not connection.ended:
                    connection.send(piece)
                    received += connection.receive()
        if case.half_close and not connection.ended:
            connection.half_close()
        client.advance(case.wait)
        received += connection.receive()
        outcome = Outcome(received, connection.ended)
        if outcome.ended:
            connection.half_close()
            client.advance(10)
            outcome.closed, outcome.was_reset = connection.closed, connection.was_reset
        elif case.closes is False:
            connection.send(NEXT)
            outcome.follow_up = connection.receive()
    return outcome


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_answer_is_right(client: TestClient, case: Case) -> None:
    complaints = verdict(case, _run(client, case, _whole))
    if case.name in UNMET:
        assert complaints, f"met after all; take it out of UNMET: {case.name}"
    else:
        assert not complaints, f"RFC {case.section}, {case.level}: {case.name}"


@pytest.fixture(scope="module")
def wholes() -> dict[str, Outcome]:
    """What came of the cases that were sent whole so far, by their names."""
    return {}


def _same(client: TestClient, case: Case, wholes: dict[str, Outcome], cut: Cut) -> None:
    if case.name not in wholes:
        wholes[case.name] = _run(client, case, _whole)
    whole, cut_up = wholes[case.name], _run(client, case, cut)
    assert masked(cut_up.data) == masked(whole.data)
    assert cut_up.ended == whole.ended


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_answer_is_the_same_byte_by_byte(client: TestClient, case: Case, wholes: dict[str, Outcome]) -> None:
    _same(client, case, wholes, _bytewise)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_answer_is_the_same_cut_at_random(client: TestClient, case: Case, wholes: dict[str, Outcome]) -> None:
    for number in range(2):
        _same(client, case, wholes, _at_random(f"{number} {case.name}"))


_OCTETS = [*range(0x21), *range(0x7F, 0x100)]
_PLACES = {
    "before the name": b"%cTransfer-Encoding: chunked",
    "behind the name": b"Transfer-Encoding%c: chunked",
    "before the value": b"Transfer-Encoding:%cchunked",
    "behind the value": b"Transfer-Encoding: chunked%c",
    "between two lines": b"X: X%cTransfer-Encoding: chunked",
    "between two lines, the coding first": b"Transfer-Encoding: chunked%cX: X",
    "behind a CR": b"X: X\r%cTransfer-Encoding: chunked",
    "before an LF": b"X: X%c\nTransfer-Encoding: chunked",
}


@pytest.mark.parametrize("place", _PLACES)
def test_no_odd_byte_around_a_coding_hides_a_request_behind_a_length(app: App, place: str) -> None:
    for octet in _OCTETS:
        line = _PLACES[place] % octet
        body = b"0\r\n\r\n" + NEXT
        raw = b"POST / HTTP/1.1\r\nHost: a\r\n%b\r\nContent-Length: %d\r\n\r\n%b" % (line, len(body), body)
        with app.test_client() as client:
            answer = client.raw(raw)
        # Bytes above 127 in the value of X make it another value, and the length is then all there is.
        harmless = place == "between two lines" and (octet >= 0x80 or octet in (0x09, 0x20))
        assert answer.count(b"HTTP/1.1 ") == 1, (place, octet, answer)
        assert harmless or answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 501 ")), (place, octet, answer)
