"""WebSockets as Debian's Chromium speaks them: binary messages and compression that both sides agree on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page
from running import running

pytestmark = [pytest.mark.browser, pytest.mark.server]

APP = """
from microsock import App

app = App()


@app.get("/")
def page(request):
    return "<title>sockets</title>"


@app.websocket("/plain")
def plain(ws, message):
    return message


@app.websocket("/compressed", compression=True)
def compressed(ws, message):
    return message


@app.websocket("/kind")
def kind(ws, message):
    return [type(message).__name__, len(message), message[-1] if isinstance(message, bytes) else message[-1:]]
"""

# Opens a socket, sends what it is given (a number is that many bytes, counting up), and gives what came back.
TALK = """
([path, messages]) => new Promise((resolve, reject) => {
  const socket = new WebSocket(location.href.replace("http", "ws").replace(/\\/$/, path));
  socket.binaryType = "arraybuffer";
  const told = [];
  const bytes = (size) => Uint8Array.from({length: size}, (_, at) => at % 256);
  socket.onopen = () => messages.forEach((m) => socket.send(typeof m === "number" ? bytes(m) : m));
  socket.onmessage = ({data}) => {
    told.push(typeof data === "string" ? data : Array.from(new Uint8Array(data)));
    if (told.length === messages.length) socket.close(1000, "enough");
  };
  socket.onclose = ({code, wasClean}) => resolve({told, code, wasClean, extensions: socket.extensions});
  socket.onerror = () => reject(new Error("the socket failed"));
})
"""


@pytest.fixture(scope="module")
def page(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    folder: Path = tmp_path_factory.mktemp("sockets")
    (folder / "sockets.py").write_text(APP)
    with running(str(folder / "sockets.py")) as server:
        page = browser.new_page()
        page.goto(server.url)
        yield page
        page.close()


def talk(page: Page, path: str, *messages: str | int) -> dict[str, Any]:
    """What a socket of the page was told for these messages, and how it ended."""
    return dict(page.evaluate(TALK, [path, list(messages)]))


def test_a_binary_message_reaches_the_handler_as_bytes_and_comes_back_as_bytes(page: Page) -> None:
    assert talk(page, "/kind", 300, "text")["told"] == ['["bytes",300,43]', '["str",4,"t"]']
    outcome = talk(page, "/plain", 0, 300, 70_000)
    assert outcome["told"] == [[at % 256 for at in range(size)] for size in (0, 300, 70_000)]
    assert (outcome["code"], outcome["wasClean"]) == (1000, True)


def test_compression_is_negotiated_and_messages_survive_it_in_both_directions(page: Page) -> None:
    story = "Ä tale 🐚 that compresses well. " * 5_000
    outcome = talk(page, "/compressed", story, 70_000, story, "short")
    assert outcome["extensions"].startswith("permessage-deflate")
    assert outcome["told"] == [story, [at % 256 for at in range(70_000)], story, "short"]
    assert (outcome["code"], outcome["wasClean"]) == (1000, True)


def test_a_route_without_compression_agrees_on_none(page: Page) -> None:
    outcome = talk(page, "/plain", "hello")
    assert (outcome["extensions"], outcome["told"]) == ("", ["hello"])
