"""What is remembered of lines, and what never is."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from microsock.errors import LocalProtocolError
from microsock.protocol.fields import FieldTable, HeadTable, RequestLines
from microsock.protocol.ordinary import read_alone, read_ordinary
from microsock.protocol.scanner import Limits

LIMITS = Limits(8190, 16384, 100)
SECRETS = ("Cookie", "Authorization", "Proxy-Authorization")


def test_a_line_enters_on_its_second_sighting() -> None:
    table = FieldTable()
    line = b"Accept: text/html"
    for known in (False, False, True):
        assert (line in table.known) is known
        assert table.judge(line) == ((b"accept", b"text/html"), "", None)


@pytest.mark.parametrize("name", SECRETS)
def test_secrets_of_requests_never_enter(name: str) -> None:
    table = FieldTable()
    for _ in range(3):
        assert table.judge(f"{name}: secret".encode()) == ((name.lower().encode(), b"secret"), "", None)
    assert not table.known
    assert not table._seen


def test_targets_with_a_query_never_enter() -> None:
    table = RequestLines()
    for _ in range(3):
        assert table.judge(b"GET /?token=secret HTTP/1.1") == ("GET", "/?token=secret")
    assert not table.known


def test_long_lines_do_not_enter_and_a_full_table_begins_again() -> None:
    table = FieldTable()
    for _ in range(3):
        table.judge(b"X-Long: " + b"x" * 600)
    assert not table.known
    for number in range(1100):
        for _ in range(2):
            table.judge(b"X-Some: %d" % number)
    assert 0 < len(table.known) < 1024


@pytest.mark.parametrize(
    ("read", "body"), [(read_alone, b""), (read_alone, b"12\r\n\r\n"), (read_ordinary, b"12\r\n\r\n")]
)
def test_one_request_is_one_sighting_of_its_lines_whatever_its_body(
    read: Callable[[bytes, Limits], object], body: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = FieldTable()
    monkeypatch.setattr("microsock.protocol.ordinary._FIELDS", table)
    monkeypatch.setattr("microsock.protocol.ordinary._KNOWN_FIELDS", table.known)
    monkeypatch.setattr("microsock.protocol.ordinary._KNOWN_FRAMING", table.framing.known)
    data = b"POST / HTTP/1.1\r\nHost: a\r\nX-Once: 1\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    assert read(data, LIMITS) is not None
    assert b"X-Once: 1" not in table.known
    assert read(data, LIMITS) is not None
    assert b"X-Once: 1" in table.known


# Answers.


def test_an_answers_head_enters_on_its_second_sighting() -> None:
    table, lines = HeadTable(), (("Content-Type", "text/html"), ("X-A", "b"))
    heads = [table.known.get((200, lines)) or table.judge(200, lines) for _ in range(3)]
    assert heads[1] is heads[2] is not heads[0]
    assert {head.raw for head in heads} == {b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nX-A: b\r\n"}


@pytest.mark.parametrize("name", ["Set-Cookie", "set-cookie", "RateLimit", *SECRETS])
def test_an_answer_with_a_secret_or_a_countdown_is_not_remembered_nor_is_that_line(name: str) -> None:
    table = HeadTable()
    for _ in range(3):
        assert table.judge(200, ((name, "secret"),)).raw == f"HTTP/1.1 200 OK\r\n{name}: secret\r\n".encode()
    assert not table.known
    assert not table._lines.known


def test_an_answer_with_many_or_long_lines_is_not_remembered() -> None:
    table = HeadTable()
    many = tuple((f"X-{number}", "a") for number in range(17))
    for lines in (many, (("X-Long", "x" * 600),)):
        for _ in range(3):
            table.judge(200, lines)
    assert not table.known


def test_of_many_names_that_are_sent_few_are_remembered() -> None:
    table = HeadTable()
    for number in range(3000):
        for _ in range(2):
            table.judge(200, ((f"X-{number}", "a"), ("X-" + "n" * 70 + str(number), "a")))
    assert len(table._names.known) <= 1024
    assert max(map(len, table._names.known)) <= 64


@pytest.mark.parametrize(
    "line",
    [("X A", "b"), ("X-A", "b\r\nEvil: 1"), ("X-A", "b\0"), ("X-A", " b"), ("", "b"), ("X\xff", "b"), ("X", "\u20ac")],
)
def test_what_must_not_be_sent_is_refused_each_time(line: tuple[str, str]) -> None:
    table = HeadTable()
    for _ in range(3):
        with pytest.raises(LocalProtocolError):
            table.judge(200, (line,))
