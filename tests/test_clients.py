"""The clients that people use, each against a running `python -m microsock`."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import httpx
import pytest
from running import Running, running
from tools import needed
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK
from websockets.sync.client import ClientConnection, connect

pytestmark = pytest.mark.server


@pytest.fixture
def notes() -> Iterator[Running]:
    with running("examples/notes.py") as server:
        yield server


@pytest.fixture(scope="module")
def empty_notes() -> Iterator[Running]:
    """For tests that leave no note behind."""
    with running("examples/notes.py") as server:
        yield server


@pytest.fixture(scope="module")
def echo() -> Iterator[Running]:
    with running("examples/echo.py") as server:
        yield server


def curl(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [
        needed("curl"),
        "--verbose",
        "--silent",
        "--show-error",
        "--noproxy",
        "*",
        "--max-time",
        "20",
        *arguments,
    ]
    return subprocess.run(command, capture_output=True, text=True, check=True)


def test_curl_asks_twice_over_one_connection(empty_notes: Running) -> None:
    done = curl(f"{empty_notes.url}/notes", f"{empty_notes.url}/notes/7")
    assert done.stdout == '[]{"error":"there is no note 7","path":"/notes/7"}'
    assert "< HTTP/1.1 200 OK" in done.stderr
    assert "< HTTP/1.1 404 Not Found" in done.stderr
    assert done.stderr.count("Connected to 127.0.0.1") == 1
    assert "Re-using existing" in done.stderr


def test_curl_is_told_to_continue_before_it_sends_the_body(notes: Running) -> None:
    body = '{"text": "Buy milk"}'
    done = curl(f"{notes.url}/notes", "--header", "Expect: 100-continue", "--data", body)
    assert done.stderr.index("< HTTP/1.1 100 Continue") < done.stderr.index("< HTTP/1.1 201 Created")
    assert done.stdout == '{"number":1,"text":"Buy milk","tags":[]}'


def test_curl_is_told_at_once_that_a_body_is_too_large(empty_notes: Running) -> None:
    done = curl(f"{empty_notes.url}/notes", "--header", "Expect: 100-continue", "--data", "x" * 70_000)
    assert "< HTTP/1.1 413 Content Too Large" in done.stderr
    assert "100 Continue" not in done.stderr


def test_curl_gets_the_head_without_the_body(empty_notes: Running) -> None:
    done = curl("--head", f"{empty_notes.url}/notes")
    assert "content-length: 2" in done.stdout.lower()
    assert done.stdout.endswith("\n\n")


def test_httpx_keeps_changes_and_forgets_a_note(notes: Running) -> None:
    with httpx.Client(base_url=notes.url, trust_env=False) as client:
        created = client.post("/notes", json={"text": "Buy milk", "tags": ["home"]})
        place = created.headers["Location"]
        assert (created.status_code, place) == (201, "/notes/1")
        assert client.patch(place, json={"text": "Buy oat milk"}).json()["text"] == "Buy oat milk"
        assert client.get("/notes", params={"tag": "home"}).json() == [client.get(place).json()]
        assert client.delete(place).status_code == 204
        assert client.get(place).status_code == 404


def test_httpx_sends_a_body_of_unknown_length(notes: Running) -> None:
    pieces = iter([b'{"text": ', b'"in pieces"}'])
    answer = httpx.post(f"{notes.url}/notes", content=pieces, trust_env=False)
    assert (answer.status_code, answer.json()["text"]) == (201, "in pieces")


def test_websockets_gets_back_text_bytes_and_fragments(echo: Running) -> None:
    with connect(f"{echo.websocket_url}/echo", proxy=None) as ws:
        ws.send("grüß dich")
        assert ws.recv(timeout=10) == "grüß dich"
        ws.send(b"\x00\xff" * 40_000)
        assert ws.recv(timeout=10) == b"\x00\xff" * 40_000
        ws.send(["in ", "three ", "pieces"])
        assert ws.recv(timeout=10) == "in three pieces"
        assert ws.ping().wait(10)
    assert ws.close_code == 1000


def test_websockets_plays_a_whole_game_with_a_generator(echo: Running) -> None:
    with connect(f"{echo.websocket_url}/guess", proxy=None) as ws:
        assert "1 to 100" in str(ws.recv(timeout=10))
        low, high, tries = 1, 100, 1
        while (answer := guess(ws, (low + high) // 2)) != f"Yes! You needed {tries} tries.":
            middle = (low + high) // 2
            low, high = (middle + 1, high) if "larger" in answer else (low, middle - 1)
            tries += 1
        with pytest.raises(ConnectionClosedOK):
            ws.recv(timeout=10)


def guess(ws: ClientConnection, number: int) -> str:
    ws.send(str(number))
    return str(ws.recv(timeout=10))


def test_websockets_hears_why_a_server_that_stops_hangs_up() -> None:
    with running("examples/echo.py") as echo, connect(f"{echo.websocket_url}/echo", proxy=None) as ws:
        ws.send("hello")
        assert ws.recv(timeout=10) == "hello"
        assert echo.stop() == 0
        with pytest.raises((ConnectionClosedOK, ConnectionClosedError)) as ended:
            ws.recv(timeout=10)
        assert ended.value.rcvd is not None
        assert ended.value.rcvd.code == 1001
