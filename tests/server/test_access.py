from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Iterator

import pytest

from microsock import App, Request
from microsock.server.access import FORMATS, AccessLog
from microsock.settings import SETTINGS
from microsock.site import AccessEntry, Answered, SocketClosed

NOON = 1_767_268_800.25  # 1 January 2026, 12:00 UTC

REQUEST = Request(
    "GET",
    "/users/7",
    [(b"referer", b"http://a/"), (b"user-agent", b'say "hi"\\')],
    host="a",
    scheme="https",
    http_version="1.0",
)
ANSWER = Answered("192.0.2.7", "GET", "/users/7?a=b", 200, 512, 0.00321, REQUEST)
CLOSED = SocketClosed("192.0.2.7", "/chat", 1001, 412.3, 18, 95, REQUEST)

# As the readers of such logs match them.
COMMON = re.compile(
    r"(\S+) - - \[(\d{2}/[A-Z][a-z]{2}/\d{4}:\d{2}:\d{2}:\d{2} [+-]\d{4})\] "
    r'"(\S+) (\S+) (HTTP/1\.[01])" (\d{3}) (\d+|-)'
)
COMBINED = re.compile(COMMON.pattern + r' "((?:[^"\\]|\\.)*)" "((?:[^"\\]|\\.)*)"')


@pytest.fixture(autouse=True)
def in_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def formatted(layout: str, entry: AccessEntry) -> str:
    return FORMATS[layout](entry, NOON)


def test_there_is_a_format_for_each_choice() -> None:
    assert set(FORMATS) == set(SETTINGS["access_log_format"].choices)


def test_dev_has_an_answer_on_one_short_line() -> None:
    assert formatted("dev", ANSWER) == "12:00:00 192.0.2.7 GET /users/7?a=b 200 512B 3.2ms"


def test_dev_has_the_end_of_a_websocket_on_one_line() -> None:
    assert formatted("dev", CLOSED) == "12:00:00 192.0.2.7 WS /chat closed 1001 412s in 18 out 95"


def test_common_is_what_log_readers_know() -> None:
    line = formatted("common", ANSWER)
    assert line == '192.0.2.7 - - [01/Jan/2026:12:00:00 +0000] "GET /users/7?a=b HTTP/1.0" 200 512'
    assert COMMON.fullmatch(line)


def test_combined_adds_referer_and_user_agent_with_quotes_escaped() -> None:
    line = formatted("combined", ANSWER)
    found = COMBINED.fullmatch(line)
    assert found, line
    assert found[8] == "http://a/"
    assert found[9] == r"say \"hi\"\\"


@pytest.mark.parametrize("end", ["", "\t", "\xa0", "\x85", "\x1b[31m", "\\", "\\\t"])
def test_no_header_ends_its_field_in_combined(end: str) -> None:
    forged = f'curl{end}" "forged{end}'.encode("latin-1")
    request = Request("GET", "/", [(b"referer", forged), (b"user-agent", forged)])
    line = formatted("combined", ANSWER._replace(request=request))
    # As log readers take it: a backslash escapes the next character, and a bare quote ends the field.
    assert len(re.findall(r'"((?:[^"\\]|\\.)*)"', line)) == 3
    assert line.endswith('"')


def test_common_and_combined_have_no_lines_for_what_is_no_request() -> None:
    assert [formatted(layout, CLOSED) for layout in ("common", "combined")] == ["", ""]


def test_what_is_missing_is_a_dash_and_a_client_that_left_before_its_answer_is_499() -> None:
    nothing = Answered("::1", "-", "-", 0, 0, 0.0, Request("", ""))
    found = COMBINED.fullmatch(formatted("combined", nothing))
    assert found
    assert found.group(1, 3, 4, 6, 7, 8, 9) == ("::1", "-", "-", "499", "-", "-", "-")


def test_json_has_everything_in_one_object() -> None:
    assert json.loads(formatted("json", ANSWER)) == {
        "time": "2026-01-01T12:00:00.250Z",
        "event": "answer",
        "client": "192.0.2.7",
        "method": "GET",
        "target": "/users/7?a=b",
        "status": 200,
        "bytes": 512,
        "seconds": 0.00321,
        "scheme": "https",
        "host": "a",
        "version": "1.0",
        "referer": "http://a/",
        "user_agent": 'say "hi"\\',
    }
    closed = json.loads(formatted("json", CLOSED))
    assert (closed["event"], closed["code"], closed["received"], closed["sent"]) == ("websocket", 1001, 18, 95)
    assert json.loads(formatted("json", ANSWER._replace(status=0)))["status"] is None


@pytest.mark.parametrize("layout", sorted(FORMATS))
@pytest.mark.parametrize("text", ["/a\nb", "/\x1b[31mred", "/\x00", "/\u2028", '/" 200 0 "', "/\x85"])
def test_a_client_cannot_write_lines_fields_or_colours_of_its_own(layout: str, text: str) -> None:
    lines = [(b"user-agent", text.encode("utf-8")), (b"referer", text.encode("utf-8"))]
    request = Request("GET", text, lines, scheme=text, host=text)
    for entry in (
        Answered("::1", "GET", text, 404, 0, 0.0, request),
        SocketClosed("::1", text, 1006, 0.0, 0, 0, request),
    ):
        line = formatted(layout, entry)
        assert line.isprintable()
        if layout == "combined" and line:
            assert COMBINED.fullmatch(line.replace(" 200 0 ", ""))
        if layout == "json":
            told = json.loads(line)
            assert all(told[name] == text for name in ("target", "scheme", "host"))
            assert told["user_agent"] == text.encode("utf-8").decode("latin-1")


@pytest.mark.parametrize("layout", sorted(FORMATS))
def test_an_entry_without_its_request_has_a_line_too(layout: str) -> None:
    assert formatted(layout, ANSWER._replace(request=None))


def test_lines_go_to_the_access_logger(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "microsock.access")
    AccessLog("common", lambda: NOON)(CLOSED)
    AccessLog("dev", lambda: NOON)(CLOSED)
    assert caplog.record_tuples == [("microsock.access", logging.INFO, formatted("dev", CLOSED))]


def test_by_default_the_time_is_the_machines(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "microsock.access")
    AccessLog()(ANSWER)
    assert caplog.messages[0][2:9:3] == "::."[:2] + " "


def test_nothing_is_made_while_nobody_listens(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "microsock.access")
    AccessLog("dev", lambda: pytest.fail("asked for the time"))(ANSWER)
    assert caplog.records == []


@pytest.mark.parametrize("layout", ["combined", "json"])
def test_several_lines_of_one_name_are_joined(layout: str) -> None:
    request = Request("GET", "/", [(b"referer", b"a"), (b"user-agent", b"b"), (b"referer", b""), (b"referer", b"c")])
    assert '"a, , c"' in formatted(layout, ANSWER._replace(request=request))


def test_in_json_every_text_is_escaped() -> None:
    told = json.loads(formatted("json", Answered('"c', '"M', '"/', 200, 1, 0.0, None)))
    assert (told["client"], told["method"], told["target"]) == ('"c', '"M', '"/')


def test_a_site_hands_the_request_with_each_entry() -> None:
    entries: list[AccessEntry] = []
    app = App()
    app.ping()
    app.websocket("/chat")(lambda ws, message: None)
    with app.test_client(headers={"User-Agent": "tester"}) as client:
        client.world.site.access = entries.append
        client.get("/ping", headers={"Referer": "http://a/"})
        with client.websocket("/chat"):
            pass
    lines = [formatted("combined", entry) for entry in entries]
    assert lines[0].endswith(' "http://a/" "tester"')
    assert json.loads(formatted("json", entries[2]))["user_agent"] == "tester"
