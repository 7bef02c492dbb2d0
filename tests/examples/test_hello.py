from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from .fresh import fresh


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with fresh("hello").app.test_client() as client:
        yield client


def test_the_first_page_greets_the_world(client: httpx.Client) -> None:
    answer = client.get("/")
    assert answer.text == "Hello, World!"
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"


def test_a_visitor_is_greeted_by_name(client: httpx.Client) -> None:
    assert client.get("/hello/Ada").text == "<p>Hello, Ada!</p>\n"


def test_the_query_says_how_often_within_reason(client: httpx.Client) -> None:
    assert client.get("/hello/Ada", params={"times": "3"}).text.count("Ada") == 3
    assert client.get("/hello/Ada", params={"times": "1000000"}).text.count("Ada") == 10
    assert client.get("/hello/Ada", params={"times": "often"}).text.count("Ada") == 1


def test_a_name_is_no_html(client: httpx.Client) -> None:
    assert "&lt;b&gt;" in client.get("/hello/<b>").text
