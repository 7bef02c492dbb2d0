"""What is remembered of lines, and what never is."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from microsock.errors import LocalProtocolError
from microsock.protocol.fields import FieldTable, HeadTable, RequestLines
from microsock.protocol.ordinary import read_alone, read_ordinary
from microsock.protocol.scanner import Limits

LIMITS = Limits(8190, 16384, 100)
SECRETS = (
    "Cookie", "Authorization", "Proxy-Authorization", "X-Api-Key", "X-Auth-Token", "X-CSRF-Token", "Referer",
    "X-Forwarded-For", "Forwarded", "If-None-Match", "Last-Event-ID", "X-Anything", "Accept-Secret", "Sec-Ch-Secret",
)  # fmt: skip


def test_a_line_enters_on_its_second_sighting() -> None:
    table = FieldTable()
    line = b"Accept: text/html"
    for known in (False, False, True):
        assert (line in table.known) is known
        assert table.judge(line) == ((b"accept", b"text/html"), "", None)


@pytest.mark.parametrize("name", SECRETS)
def test_only_lines_with_the_names_that_are_listed_enter(name: str) -> None:
    table = FieldTable()
    for _ in range(3):
        assert table.judge(f"{name}: secret".encode()) == ((name.lower().encode(), b"secret"), "", None)
    assert not table.known
    assert not table._seen


@pytest.mark.parametrize(
    "line",
    [
        "Accept: text/html", "accept-encoding: gzip, br", "Accept-Language: en", "User-Agent: Mozilla/5.0",
        'sec-ch-ua: "Chromium";v="142"', "sec-ch-ua-mobile: ?0", 'sec-ch-ua-platform: "Linux"',
        "Sec-Fetch-Dest: document", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Site: none", "Sec-Fetch-User: ?1",
        "Upgrade-Insecure-Requests: 1", "Cache-Control: max-age=0", "Pragma: no-cache", "DNT: 1", "Sec-GPC: 1",
        "Priority: u=0, i", "TE: trailers", "Content-Type: application/json", "Origin: https://shop.example",
        "X-Requested-With: XMLHttpRequest", "X-Forwarded-Proto: https",
    ],
)  # fmt: skip
def test_what_browsers_send_again_and_again_enters(line: str) -> None:
    table = FieldTable()
    for _ in range(2):
        table.judge(line.encode())
    assert line.encode() in table.known


@pytest.mark.parametrize("line", ["Host: shop.example:8080", "Content-Length: 36", "Connection: keep-alive"])
def test_so_does_what_frames_a_message(line: str) -> None:
    table = FieldTable()
    for _ in range(2):
        table.judge(line.encode())
    assert line.encode() in table.framing.known


def test_of_targets_only_those_enter_that_the_app_has_registered_as_they_are() -> None:
    table, targets = RequestLines(), {("GET", "/"), ("GET", "/films"), ("POST", "/films")}
    for target in ("/reset/secret", "/?token=secret", "/films?token=secret", "/films/", "/secret", "/films%2Fsecret"):
        for _ in range(3):
            assert table.judge(f"GET {target} HTTP/1.1".encode(), targets) == ("GET", target)
    for _ in range(3):
        assert table.judge(b"DELETE /films HTTP/1.1", targets) == ("DELETE", "/films")
    assert not table.known
    assert not table._seen
    for _ in range(2):
        assert table.judge(b"POST /films HTTP/1.1", targets) == ("POST", "/films")
    assert list(table.known) == [b"POST /films HTTP/1.1"]


def test_long_lines_do_not_enter_and_a_full_table_begins_again() -> None:
    table = FieldTable()
    for _ in range(3):
        table.judge(b"User-Agent: " + b"x" * 600)
    assert not table.known
    for number in range(1100):
        for _ in range(2):
            table.judge(b"User-Agent: %d" % number)
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
    data = b"POST / HTTP/1.1\r\nHost: a\r\nAccept: 1\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    assert read(data, LIMITS) is not None
    assert b"Accept: 1" not in table.known
    assert read(data, LIMITS) is not None
    assert b"Accept: 1" in table.known


# Answers.


def test_an_answers_head_enters_on_its_second_sighting() -> None:
    table, lines = HeadTable(), (("Content-Type", "text/html"), ("Vary", "Accept"))
    heads = [table.known.get((200, lines)) or table.judge(200, lines) for _ in range(3)]
    assert heads[1] is heads[2] is not heads[0]
    assert {head.raw for head in heads} == {b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nVary: Accept\r\n"}


@pytest.mark.parametrize("name", ["Set-Cookie", "set-cookie", "RateLimit", "Location", "ETag", "Link", *SECRETS])
def test_an_answer_with_a_line_that_may_be_a_secret_is_not_remembered_nor_is_that_line(name: str) -> None:
    table = HeadTable()
    for _ in range(3):
        assert table.judge(200, ((name, "secret"),)).raw == f"HTTP/1.1 200 OK\r\n{name}: secret\r\n".encode()
    assert not table.known
    assert not table._lines.known
    assert not table._lines._seen


def test_a_policy_with_a_nonce_is_not_remembered() -> None:
    table = HeadTable()
    for policy in ("default-src 'self'", "script-src 'nonce-c2VjcmV0'"):
        for _ in range(2):
            table.judge(200, (("Content-Security-Policy", policy),))
    assert [value for _, value in table._lines.known] == ["default-src 'self'"]


def test_an_answer_with_many_or_long_lines_is_not_remembered() -> None:
    table = HeadTable()
    many = (("Vary", "Accept"),) * 17
    for lines in (many, (("Content-Type", "x" * 600),)):
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
