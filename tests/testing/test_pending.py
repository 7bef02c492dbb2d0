"""Answers that come later."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from microsock import App, Request
from microsock.testing import StillWaiting, TestClient


def test_an_answer_is_done_when_its_time_has_come(client: TestClient) -> None:
    pending = client.start("GET", "/later")
    with pytest.raises(StillWaiting, match="GET /later is not answered yet"):
        pending.result()
    done = [pending.done]
    for seconds in (1.9, 0.1):
        client.advance(seconds)
        done.append(pending.done)
    assert done == [False, False, True]
    assert pending.result().text == "at last"
    assert pending.result() is pending.result()


def test_an_answer_that_is_there_at_once_is_done_at_once(client: TestClient) -> None:
    pending = client.start("POST", "/echo", content=b"x", headers={"X-A": "1"})
    assert pending.done
    assert pending.result().content == b"x"
    client.get("/echo")
    assert "#2" not in client.transcript()


def test_other_requests_are_answered_meanwhile(client: TestClient) -> None:
    first, second = client.start("GET", "/later"), client.start("GET", "/half")
    assert client.get("/echo").status_code == 200
    client.advance(2)
    assert (first.result().text, second.result().text) == ("at last", "half, whole")


def test_it_sets_the_clients_cookies(client: TestClient) -> None:
    client.start("GET", "/cookie")
    assert client.cookies["seen"] == "yes"


def test_an_answer_that_breaks_off_is_done_and_raises(client: TestClient) -> None:
    pending = client.start("GET", "/breaks")
    assert pending.done
    with pytest.raises(httpx.RemoteProtocolError):
        pending.result()


def test_a_large_answer_is_read_while_the_server_runs(client: TestClient) -> None:
    assert client.start("GET", "/big", params={"size": 3_000_000}).done


def test_a_very_large_answer_is_read_to_its_end_when_it_is_asked_for(client: TestClient) -> None:
    pending = client.start("GET", "/big", params={"size": 9_000_000})
    assert not pending.done
    assert len(pending.result().content) == 9_000_000


def test_an_endless_answer_does_not_hang_and_can_be_left(app: App) -> None:
    ends: list[str] = []

    @app.get("/endless")
    def endless(request: Request) -> Iterator[bytes]:
        try:
            while True:
                yield bytes(10_000)
        finally:
            ends.append("closed")

    with app.test_client() as client:
        pending = client.start("GET", "/endless")
        assert not pending.done
        pending.cancel()
        assert ends == ["closed"]
        done = client.start("GET", "/echo")
        done.cancel()
        assert done.result().status_code == 200
