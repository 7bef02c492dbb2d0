from __future__ import annotations

from collections.abc import Iterator

import pytest

from microsock.testing import TestClient

from .fresh import fresh


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    echo = fresh("echo")
    echo.random.seed(1)  # the number is 18
    with echo.app.test_client() as client:
        yield client


def test_what_is_sent_comes_back(client: TestClient) -> None:
    with client.websocket("/echo") as ws:
        ws.send("hello")
        ws.send(b"\x00\xff")
        assert [ws.receive(), ws.receive()] == ["hello", b"\x00\xff"]


def test_a_game_is_played_to_its_end(client: TestClient) -> None:
    with client.websocket("/guess") as ws:
        assert ws.receive() == "I think of a number from 1 to 100. Which one is it?"
        for guess, answer in [("50", "It is smaller."), ("eighteen", "Please type a number."), ("17", "It is larger.")]:
            ws.send(guess)
            assert ws.receive() == answer
        ws.send("18")
        client.advance(0.5)
        assert ws.receive() == "Yes! You needed 3 tries."
        assert ws.closed == (1000, "")


def test_a_player_may_leave(client: TestClient) -> None:
    client.websocket("/guess").drop()
    with client.websocket("/guess") as ws:
        assert str(ws.receive()).startswith("I think")
