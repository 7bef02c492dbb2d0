from __future__ import annotations

from collections.abc import Collection

import pytest

from microsock import HTTPError
from microsock.origin import check_origin
from microsock.request import Request


def status(*origins: bytes, host: str = "example.org", scheme: str = "http", allowed: Collection[str] = ()) -> int:
    """What a handshake with these Origin lines is refused with; 0 if it is let through."""
    request = Request("GET", "/", [(b"origin", origin) for origin in origins], host=host, scheme=scheme)
    try:
        check_origin(request, allowed)
    except HTTPError as error:
        return error.status
    return 0


def test_a_client_without_an_origin_is_no_browser_and_is_let_through() -> None:
    assert status() == 0


@pytest.mark.parametrize(
    ("origin", "host", "scheme"),
    [
        (b"http://example.org", "example.org", "http"),
        (b"http://example.org:80", "example.org", "http"),
        (b"http://example.org", "example.org:80", "http"),
        (b"http://EXAMPLE.org", "example.ORG", "http"),
        (b"https://example.org", "example.org", "https"),
        (b"https://example.org:443", "example.org", "https"),
        (b"http://localhost:8080", "localhost:8080", "http"),
        (b"http://127.0.0.1:8080", "127.0.0.1:8080", "http"),
        (b"http://[::1]:8080", "[::1]:8080", "http"),
    ],
)
def test_a_page_of_the_same_host_and_port_is_let_through(origin: bytes, host: str, scheme: str) -> None:
    assert status(origin, host=host, scheme=scheme) == 0


@pytest.mark.parametrize(
    "origin",
    [
        b"http://evil.example",
        b"http://example.org:8080",
        b"https://example.org",
        b"http://www.example.org",
        b"http://example.org.evil.example",
        b"http://example.org@evil.example",
        b"http://example.org:99999",
        b"http://[example.org",
        b"ftp://example.org",
        b"file://example.org",
        b"example.org",
        b"null",
        b"",
        b"*",
    ],
)
def test_any_other_page_is_refused(origin: bytes) -> None:
    assert status(origin) == 403
    assert status(origin, allowed=["https://friend.example"]) == 403


@pytest.mark.parametrize("origin", [b"https://friend.example", b"null"])
def test_a_listed_origin_is_let_through(origin: bytes) -> None:
    assert status(origin, allowed=["https://friend.example", "null"]) == 0


def test_a_star_lets_every_page_in() -> None:
    assert status(b"http://evil.example", allowed=["*"]) == 0


def test_two_origins_are_refused_whatever_they_are() -> None:
    assert status(b"http://example.org", b"http://example.org", allowed=["*"]) == 400
