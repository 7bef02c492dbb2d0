from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from microsock.testing import TestClient, WebSocketClient, WebSocketRefused

from .fresh import fresh

CONTROL = "a\x00b\x1bc\u202ed\ud800e"


@pytest.fixture
def client() -> Iterator[TestClient]:
    with fresh("chat").app.test_client() as client:
        yield client


class Tab:
    """What the page does, without the page."""

    def __init__(self, client: TestClient, name: str, room: str = "lobby") -> None:
        self.client = client
        self.ws: WebSocketClient = client.websocket(f"/rooms/{room}/live", params={"name": name})
        self.welcome = self.hears("welcome")

    def hears(self, kind: str) -> Any:
        """The next message of a kind; what comes before it is passed over."""
        while (message := json.loads(self.ws.receive()))["type"] != kind:
            pass
        return message

    def says(self, text: str) -> None:
        self.ws.send({"type": "say", "text": text})


def people(message: Any) -> list[str]:
    return [person["name"] for person in message["people"]]


def test_the_first_page_leads_to_the_lobby(client: TestClient) -> None:
    answer = client.get("/", follow_redirects=True)
    assert answer.url.path == "/rooms/lobby"
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize("name", ["style.css", "chat.js", "icon.svg"])
def test_the_page_finds_its_files_and_they_name_nothing_outside(client: TestClient, name: str) -> None:
    assert f'"/assets/{name}"' in client.get("/rooms/lobby").text
    answer = client.get(f"/assets/{name}")
    assert answer.status_code == 200
    assert set(re.findall(r"(?:https?:)?//[\w.]+", answer.text)) <= {"http://www.w3.org"}


@pytest.mark.parametrize(
    "path", ["/assets/chat.py", "/assets/..%2Fchat.py", "/rooms/No", "/rooms/a--b", "/rooms/" + "a" * 25]
)
def test_other_paths_are_not_found(client: TestClient, path: str) -> None:
    assert client.get(path).status_code == 404


def test_two_tabs_exchange_a_message(client: TestClient) -> None:
    ada, grace = Tab(client, "Ada"), Tab(client, "Grace")
    ada.says("Good morning!")
    heard = grace.hears("message")
    assert (heard["name"], heard["text"], heard["from"]) == ("Ada", "Good morning!", ada.welcome["you"])
    assert ada.hears("message") == heard


def test_people_hear_who_comes_is_renamed_and_leaves(client: TestClient) -> None:
    ada, grace = Tab(client, "Ada"), Tab(client, "Grace")
    assert people(grace.welcome) == ["Ada", "Grace"]
    joined = ada.hears("people")
    assert (joined["event"], joined["name"], people(joined)) == ("joined", "Grace", ["Ada", "Grace"])
    grace.ws.send({"type": "rename", "name": "  Grace \n Hopper "})
    renamed = ada.hears("people")
    assert (renamed["event"], renamed["old"], renamed["name"]) == ("renamed", "Grace", "Grace Hopper")
    grace.ws.drop()
    left = ada.hears("people")
    assert (left["event"], left["name"], people(left)) == ("left", "Grace Hopper", ["Ada"])


def test_somebody_types(client: TestClient) -> None:
    ada, grace = Tab(client, "Ada"), Tab(client, "Grace")
    ada.ws.send({"type": "typing"})
    assert grace.hears("typing") == {"type": "typing", "from": ada.welcome["you"]}


def test_who_comes_late_reads_what_was_said(client: TestClient) -> None:
    ada = Tab(client, "Ada")
    for number in range(120):
        ada.says(f"message {number}")
    said = [message["text"] for message in Tab(client, "Grace").welcome["messages"]]
    assert said == [f"message {number}" for number in range(20, 120)]


def test_a_room_opens_with_its_first_visitor_and_is_forgotten_with_its_last(client: TestClient) -> None:
    ada, grace = Tab(client, "Ada"), Tab(client, "Grace", room="wine")
    ada.hears("rooms")
    assert ada.hears("rooms")["rooms"] == {"lobby": 1, "music": 0, "random": 0, "wine": 1}
    grace.says("Only here.")
    grace.ws.close()
    assert ada.hears("rooms")["rooms"] == {"lobby": 1, "music": 0, "random": 0}
    assert Tab(client, "Grace", room="wine").welcome["messages"] == []


def test_rooms_do_not_hear_each_other(client: TestClient) -> None:
    ada, grace = Tab(client, "Ada"), Tab(client, "Grace", room="music")
    ada.says("lobby")
    grace.says("music")
    assert grace.hears("message")["text"] == "music"


def test_names_and_texts_are_made_fit_to_be_shown(client: TestClient) -> None:
    assert people(Tab(client, "").welcome) == ["Somebody"]
    assert people(Tab(client, "x" * 100, room="music").welcome) == ["x" * 24]
    ada = Tab(client, "Ada", room="random")
    ada.ws.send(json.dumps({"type": "say", "text": CONTROL}))
    assert ada.hears("message")["text"] == "abcde"
    ada.says(" \n ")
    ada.says("y" * 3000)
    assert ada.hears("message")["text"] == "y" * 2000


@pytest.mark.parametrize(
    "message", [{}, {"type": "say"}, {"type": "say", "text": 7}, {"type": ["say"]}, {"type": "sing"}]
)
def test_what_no_page_of_ours_sends_ends_the_talk(client: TestClient, message: dict[str, Any]) -> None:
    ada = Tab(client, "Ada")
    ada.ws.send(message)
    assert ada.ws.closed == (1008, "expected say, typing or rename")


def test_the_number_of_rooms_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    chat = fresh("chat")
    monkeypatch.setattr(chat, "MAX_ROOMS", len(chat.always_open) + 1)
    with chat.app.test_client() as client:
        wine = Tab(client, "Ada", room="wine")
        with pytest.raises(WebSocketRefused) as refused:
            Tab(client, "Grace", room="one-more")
        assert refused.value.response.status_code == 503
        wine.ws.close()
        Tab(client, "Grace", room="one-more")


def test_a_page_of_another_host_may_not_connect(client: TestClient) -> None:
    with pytest.raises(WebSocketRefused) as refused:
        client.websocket("/rooms/lobby/live", origin="https://evil.example")
    assert refused.value.response.status_code == 403
