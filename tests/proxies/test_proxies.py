"""Two workers behind nginx and HAProxy: requests, WebSockets, event streams and the right client address."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from running import running
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from .installation import PROXIES, proxied

pytestmark = pytest.mark.server

# Only the proxy is trusted, so that its clients, on loopback too, are not.
PROXY, CLIENT = "127.0.0.1", "127.0.0.2"
FLAGS = ("--trusted-proxies", PROXY, "--keep-alive-timeout", "75", "-w", "2", "tests/proxies/shop.py")
PATIENCE = 20.0


@pytest.fixture(scope="module", params=PROXIES)
def address(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder: Path = tmp_path_factory.mktemp("proxy")
    with running(*FLAGS) as server, proxied(request.param, folder, server.port) as address:
        yield address


@pytest.fixture
def client(address: str) -> Iterator[httpx.Client]:
    transport = httpx.HTTPTransport(local_address=CLIENT)
    with httpx.Client(base_url=f"http://{address}", transport=transport, timeout=PATIENCE) as client:
        yield client


def websocket(address: str, origin: str | None = None) -> ClientConnection:
    host, _, port = address.partition(":")
    sock = socket.create_connection((host, int(port)), PATIENCE, (CLIENT, 0))
    try:
        page = None if origin is None else Origin(origin)
        return connect(f"ws://{address}/echo", sock=sock, open_timeout=PATIENCE, origin=page)
    except BaseException:
        sock.close()
        raise


def test_requests_have_the_clients_address_and_the_url_that_it_asked_for(address: str, client: httpx.Client) -> None:
    told = client.get("/who?a=b").raise_for_status().json()
    assert (told["client"], told["scheme"], told["url"]) == (CLIENT, "http", f"http://{address}/who?a=b")


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "203.0.113.7"},
        {"X-Forwarded-For": "203.0.113.7, 127.0.0.1"},
        {"X-Forwarded-For": '"'},
        {"Forwarded": "for=203.0.113.7;proto=https;host=evil.example"},
        {"X-Forwarded-Proto": "https"},
        {"X-Forwarded-Host": "evil.example"},
        {"X-Forwarded-For": "203.0.113.7", "Forwarded": "for=203.0.113.8"},
    ],
)
def test_what_a_client_makes_up_is_not_believed(headers: dict[str, str], address: str, client: httpx.Client) -> None:
    told = client.get("/who", headers=headers).raise_for_status().json()
    assert (told["client"], told["scheme"], told["url"]) == (CLIENT, "http", f"http://{address}/who")


def test_bodies_pass_both_ways(client: httpx.Client) -> None:
    assert client.post("/who", content=bytes(1 << 20)).raise_for_status().json()["body"] == 1 << 20
    assert len(client.get("/large").raise_for_status().content) == 4 << 20


def test_websockets_pass_and_know_their_client(address: str) -> None:
    # A browser's page of the same site.
    with websocket(address, origin=f"http://{address}") as ws:
        for text in ("hello", "x" * 100_000):
            ws.send(text)
            told = json.loads(ws.recv(PATIENCE))
            del told["pid"]
            assert told == {"said": text, "client": CLIENT, "url": f"http://{address}/echo"}


def test_a_page_of_another_site_gets_no_websocket(address: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        websocket(address, origin="http://evil.example")
    assert refused.value.response.status_code == 403


def test_events_come_as_they_are_published(client: httpx.Client) -> None:
    with client.stream("GET", "/news") as stream:
        lines = stream.iter_lines()
        assert next(lines) == ": open"
        for text in ("one", "two"):
            client.post("/publish", content=text).raise_for_status()
            assert next(line for line in lines if line.startswith("data")) == f"data: {text}"


def test_both_workers_answer(address: str) -> None:
    # Each WebSocket has a connection of its own behind the proxy too.
    pids = set()
    with ExitStack() as opened:
        for _ in range(64):
            ws = opened.enter_context(websocket(address))
            ws.send("which one?")
            pids.add(json.loads(ws.recv(PATIENCE))["pid"])
            if len(pids) == 2:
                break
    assert len(pids) == 2
