from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from .fresh import fresh


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with fresh("notes").app.test_client() as client:
        yield client


def test_a_note_is_kept_shown_changed_and_deleted(client: httpx.Client) -> None:
    created = client.post("/notes", json={"text": "Buy milk", "tags": ["home"]})
    assert (created.status_code, created.headers["Location"]) == (201, "/notes/1")
    assert client.get("/notes/1").json() == {"number": 1, "text": "Buy milk", "tags": ["home"]}
    assert client.patch("/notes/1", json={"text": "Buy oat milk"}).json()["tags"] == ["home"]
    deleted = client.delete("/notes/1")
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert client.get("/notes").json() == []


def test_a_tag_selects_notes(client: httpx.Client) -> None:
    client.post("/notes", json={"text": "Buy milk", "tags": ["home"]})
    client.post("/notes", json={"text": "Call Grace"})
    assert [note["number"] for note in client.get("/notes", params={"tag": "home"}).json()] == [1]
    assert [note["number"] for note in client.get("/notes").json()] == [1, 2]


REFUSED: list[tuple[Any, str]] = [
    ([], "a note is a JSON object"),
    ({}, "missing: text"),
    ({"text": " "}, "'text' must be a text, not ' '"),
    ({"text": "x", "tags": "home"}, "'tags' must be a list of texts, not 'home'"),
    ({"text": "x", "number": 7}, "a note has 'text' and 'tags', not 'number'"),
]


@pytest.mark.parametrize(("body", "message"), REFUSED)
def test_what_is_no_note_gets_a_422_that_says_why(client: httpx.Client, body: Any, message: str) -> None:
    answer = client.post("/notes", json=body)
    assert (answer.status_code, answer.json()) == (422, {"error": message})
    assert client.get("/notes").json() == []


def test_every_error_is_json_and_none_is_stored(client: httpx.Client) -> None:
    answers = [
        client.get("/notes/7"),
        client.get("/nowhere"),
        client.put("/notes"),
        client.post("/notes", content=b"{"),
        client.post("/notes", content=b"x" * 70_000),
    ]
    assert [answer.status_code for answer in answers] == [404, 404, 405, 400, 413]
    for answer in answers:
        assert set(answer.json()) == {"error", "path"}
        assert answer.headers["Cache-Control"] == "no-store"
    assert answers[0].json()["error"] == "there is no note 7"
