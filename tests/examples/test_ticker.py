from __future__ import annotations

import json
from collections.abc import Iterator
from types import ModuleType

import pytest

from microsock.testing import EventStreamEnded, TestClient

from .fresh import fresh


@pytest.fixture
def ticker() -> ModuleType:
    return fresh("ticker")


@pytest.fixture
def client(ticker: ModuleType) -> Iterator[TestClient]:
    with ticker.app.test_client() as client:
        yield client


def test_the_page_and_its_files_are_served(client: TestClient) -> None:
    assert "<title>microsock ticker</title>" in client.get("/").text
    assert client.get("/assets/ticker.js").headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert client.get("/assets/nothing.js").status_code == 404


def test_prices_move_each_second(client: TestClient) -> None:
    before = client.get("/prices").json()
    with client.events("/prices/live") as events:
        assert events.received() == []
        client.advance(10)
        boards = [json.loads(event.data)["prices"] for event in events.received()]
    assert len(boards) == 10
    assert boards[-1] == client.get("/prices").json() != before
    assert all(price > 0 for board in boards for price in board.values())


def test_who_comes_late_sees_the_board_at_once_and_who_comes_back_what_was_missed(client: TestClient) -> None:
    client.events("/prices/live").close()
    client.advance(5)
    with client.events("/prices/live") as events:
        assert len(events.received()) == 1
        last = events.last_event_id
    client.advance(7)
    with client.events("/prices/live", headers={"Last-Event-ID": last}) as events:
        assert len(events.received()) == 7


def test_the_countdown_ends(client: TestClient) -> None:
    with client.events("/countdown") as events:
        client.advance(5)
        told = events.received()
        assert [event.event for event in told] == ["message"] * 5 + ["end"]
        with pytest.raises(EventStreamEnded):
            events.receive()
