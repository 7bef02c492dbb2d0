from __future__ import annotations

import logging

import pytest

from microsock.server.access import AccessLog, formatted
from microsock.site import Answered, SocketClosed


def test_an_answer_is_one_line() -> None:
    entry = Answered("127.0.0.1", "GET", "/users/7", 200, 512, 0.00321)
    assert formatted(entry) == "127.0.0.1 GET /users/7 200 512B 3.2ms"


def test_the_end_of_a_websocket_is_one_line() -> None:
    entry = SocketClosed("127.0.0.1", "/chat", 1001, 412.3, 18, 95)
    assert formatted(entry) == "127.0.0.1 WS /chat closed 1001 412s in 18 out 95"


@pytest.mark.parametrize("path", ["/a\nb", "/\x1b[31mred", "/\x00", "/\u2028"])
def test_a_client_cannot_write_lines_or_colours_of_its_own(path: str) -> None:
    for entry in (Answered("::1", "GET", path, 404, 0, 0.0), SocketClosed("::1", path, 1006, 0.0, 0, 0)):
        assert formatted(entry).isprintable()


def test_lines_go_to_the_access_logger_with_the_time_of_day(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "microsock.access")
    AccessLog(lambda: "10:39:33")(Answered("127.0.0.1", "GET", "/", 200, 5, 0.001))
    assert caplog.record_tuples == [
        ("microsock.access", logging.INFO, "10:39:33 127.0.0.1 GET / 200 5B 1.0ms"),
    ]


def test_by_default_the_time_is_the_machines(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "microsock.access")
    AccessLog()(Answered("127.0.0.1", "GET", "/", 200, 5, 0.001))
    assert caplog.messages[0][2:9:3] == "::."[:2] + " "


def test_nothing_is_made_while_nobody_listens(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "microsock.access")
    AccessLog(lambda: pytest.fail("asked for the time"))(Answered("127.0.0.1", "GET", "/", 200, 5, 0.001))
    assert caplog.records == []
