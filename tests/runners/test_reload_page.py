"""The page of `--reload` for an app that does not start: the error is for this machine alone."""

from __future__ import annotations

import pytest

from microsock.runners.reload_page import error_app

TITLE = "while importing shop.py: KeyError: 'k3y'"
DETAILS = '  File "shop.py", line 4\n    connect("postgres://shop:s3cret@db/<shop>")'


def asked(*lines: str, host: str = "localhost:8080") -> str:
    head = "\r\n".join(["GET /films HTTP/1.1", f"Host: {host}", *lines, "Connection: close", "", ""])
    with error_app(TITLE, DETAILS).test_client() as client:
        return client.raw(head.encode()).decode()


def test_this_machine_sees_the_error_as_text_or_as_a_page() -> None:
    assert TITLE in asked()
    assert DETAILS in asked(host="127.0.0.1:8080")
    page = asked("Accept: text/html", host="[::1]:8080")
    assert "s3cret@db/&lt;shop&gt;" in page
    assert "<title>while importing shop.py" in page


@pytest.mark.parametrize("accept", ["Accept: text/html", "Accept: */*"])
@pytest.mark.parametrize(
    ("host", "line"),
    [
        ("rebound.example:8080", "Origin: http://rebound.example:8080"),
        ("rebound.example:8080", "Accept-Language: en"),
        ("localhost", "Origin: http://rebound.example"),
        ("localhost", "X-Forwarded-For: 203.0.113.9"),
        ("localhost", "CF-Connecting-IP: 203.0.113.9"),
        ("localhost", "Via: 1.1 cache"),
    ],
)
def test_others_see_neither_the_title_nor_the_traceback(host: str, line: str, accept: str) -> None:
    answer = asked(line, accept, host=host)
    assert answer.startswith("HTTP/1.1 500 ")
    assert "the terminal of the server says why" in answer
    assert "s3cret" not in answer
    assert "k3y" not in answer
