"""What the how-to pages say of their examples is true of them."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest
from pages import page, snippets

from microsock.testing import TestClient, WebSocketRefused


def module_of(name: str) -> SimpleNamespace:
    """What the Python of a page defines."""
    names: dict[str, Any] = {"__name__": name}
    exec(compile(snippets(page(name)), str(page(name)), "exec"), names)
    return SimpleNamespace(**names)


def client_of(name: str) -> TestClient:
    """A client of the app that the Python of a page makes."""
    client = module_of(name).app.test_client()
    assert isinstance(client, TestClient)
    return client


def test_routing_finds_the_most_exact_rule() -> None:
    with client_of("routing.md") as client:
        assert client.get("/films").json() == ["alien", "brazil"]
        assert client.put("/films/alien").text == "PUT alien"
        assert client.get("/films/7.mp4").json() == {"number": 7, "format": "mp4"}
        assert client.get("/archive/1985/brazil").text == "the films of 1985"
        assert client.get("/nowhere").text == "nothing at /nowhere"
        assert client.get("/films/alien").text == "nothing at /films/alien"
        slash = client.get("/films/?page=2")
        assert (slash.status_code, slash.headers["Location"]) == (308, "/films?page=2")


def test_routing_gives_what_nobody_asked_for() -> None:
    with client_of("routing.md") as client:
        assert client.head("/films").headers["Content-Length"] == str(len(client.get("/films").content))
        options = client.options("/films/alien")
        assert (options.status_code, options.headers["Allow"]) == (204, "DELETE, GET, HEAD, OPTIONS, PUT")
        assert client.post("/films").status_code == 405
        assert client.request("BREW", "/films").status_code == 501


def test_handlers_send_what_they_return() -> None:
    with client_of("handlers.md") as client:
        assert client.get("/hello/<i>").text == "<h1>Hello, &lt;i&gt;!</h1>"
        assert client.get("/plain").headers["Content-Type"] == "text/plain; charset=utf-8"
        assert client.get("/old").headers["Location"] == "/plain"
        login = client.post("/login", json={"name": "Ada"})
        assert login.json() == {"welcome": "Ada"}
        assert "session=s3cr3t; Max-Age=3600; Path=/; SameSite=Lax; HttpOnly" in login.headers["Set-Cookie"]


def test_handlers_stream_and_sleep() -> None:
    with client_of("handlers.md") as client:
        lines = client.get("/export").text.splitlines()
        assert (len(lines), lines[-1]) == (10_001, "9999,99980001")
        pending = client.start("GET", "/slow")
        client.advance(3)
        assert pending.result().text == "step 0\nstep 1\nstep 2\n"


def test_handlers_answer_errors_by_the_most_exact_rule() -> None:
    with client_of("handlers.md") as client:
        assert client.get("/nowhere").text == "<h1>There is nothing at /nowhere</h1>"
        gone = client.get("/order/11")
        assert (gone.status_code, gone.json()) == (409, {"error": "11 are not there"})
        bad = client.get("/order/101")
        assert (bad.status_code, bad.json()) == (400, {"error": "at most 100", "type": "BAD_REQUEST"})
        assert bad.headers["X-Served-By"] == "microsock"


def test_websockets_echo_and_tell_a_room() -> None:
    with client_of("websockets.md") as client, client.websocket("/echo") as echo:
        echo.send(b"\x00")
        assert echo.receive() == b"\x00"
        with pytest.raises(WebSocketRefused) as refused:
            client.websocket("/rooms/lobby")
        assert (refused.value.response.status_code, refused.value.response.text) == (403, "403 who are you?\n")
        ada, grace = (client.websocket("/rooms/lobby", params={"name": name}) for name in ("Ada", "Grace"))
        ada.send({"text": "hello"})
        assert json.loads(grace.receive()) == {"from": "Ada", "text": "hello"}
        ada.close(4000)
        assert json.loads(grace.receive()) == {"left": "Ada", "code": 4000}


def test_websockets_may_survive_an_error_but_not_a_message_of_the_wrong_kind(caplog: pytest.LogCaptureFixture) -> None:
    with client_of("websockets.md") as client:
        ws = client.websocket("/rooms/lobby", params={"name": "Ada"})
        ws.send({"no": "text"})
        assert json.loads(ws.receive()) == {"error": "that did not work"}
        assert "KeyError" in caplog.text
        ws.send("{")
        assert ws.closed is not None
        assert ws.closed[0] == 1007


def test_websockets_quiz_ends_after_three_tries() -> None:
    with client_of("websockets.md") as client:
        ws = client.websocket("/quiz")
        assert ws.receive() == "What is six times seven?"
        for answer in ("41", "43", "44"):
            ws.send("what?")
            assert ws.receive() == "A number, please."
            ws.send(answer)
            client.advance(1)
            assert ws.receive() == "Try again."
        assert ws.closed == (1000, "out of tries")


def test_websockets_quiz_knows_the_answer() -> None:
    with client_of("websockets.md") as client:
        ws = client.websocket("/quiz")
        ws.receive()
        ws.send("42")
        assert ws.receive() == "Right!"
        assert ws.closed == (1000, "")


@pytest.mark.server
def test_server_serves_from_a_thread_and_from_asyncio() -> None:
    module = module_of("server.md")
    assert module.ask_ourselves() == b"Hello, World!"
    assert asyncio.run(module.ask_ourselves_by_asyncio()) == b"Hello, World!"


def test_behind_a_proxy_links_lead_to_where_the_proxy_is() -> None:
    with client_of("behind-a-proxy.md") as client:
        for path in ("/films", "/shop/films"):
            assert client.get(path).text == '<a href="/shop/films/alien">Alien</a>'


@pytest.mark.server
def test_ports_finds_one_to_use() -> None:
    assert module_of("ports.md").port_to_use() in (0, 8080)
