"""The ticker's page in Debian's Chromium: it is live, comes back after a restart and misses nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from running import running
from tools import needed

pytestmark = [pytest.mark.browser, pytest.mark.server, pytest.mark.usefixtures("unmeasured")]

# Each event as the page's EventSource gives it, beside the page's own; one connection more.
WATCH = """
() => {
  window.seen = [];
  const source = new EventSource("/numbers/live");
  source.onmessage = (event) => window.seen.push(JSON.parse(event.data));
  window.source = source;
}
"""
NUMBERS = """
import itertools, os
from microsock import App, EventStream

app = App()
numbers = itertools.count(1)


@app.get("/")
def page(request):
    return "<title>numbers</title>"


@app.get("/numbers/live")
def live(request):
    return EventStream("numbers")


@app.every(0.05)
def count():
    app.publish("numbers", [os.getpid(), next(numbers)])


@app.get("/cut")
def cut(request):
    app.topic("numbers").close()
    return "cut"
"""


def test_the_board_is_live_and_comes_back_after_a_restart(browser: Browser) -> None:
    needed("chromium")
    complaints: list[str] = []
    page = browser.new_page()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    with running("examples/ticker.py") as server:
        page.goto(server.url)
        expect(page.locator("#state")).to_have_text("live")
        expect(page.locator(".card")).to_have_count(6)
        expect(page.locator("#news li").first).to_be_visible()
        port = server.port
    expect(page.locator("#state")).to_contain_text("coming back")
    with running("examples/ticker.py", port=port):
        expect(page.locator("#state")).to_have_text("live")
        before = last_event(page)
        page.wait_for_function("before => document.body.dataset.lastEvent !== before", arg=before)
    assert not complaints
    page.close()


def last_event(page: Page) -> str:
    return str(page.evaluate("document.body.dataset.lastEvent"))


def test_a_browser_that_comes_back_misses_nothing_inside_the_history(
    browser: Browser,
    tmp_path: Path,
) -> None:
    needed("chromium")
    (tmp_path / "counting_app.py").write_text(NUMBERS)
    page = browser.new_page()
    with running(str(tmp_path / "counting_app.py")) as server:
        page.goto(server.url)
        page.evaluate(WATCH)
        page.wait_for_function("window.seen.length > 5")
        page.request.get(f"{server.url}/cut")
        before = page.evaluate("window.seen.length")
        page.wait_for_function("before => window.seen.length > before + 20", arg=before, timeout=30_000)
        port = server.port
    with running(str(tmp_path / "counting_app.py"), port=port):
        before = page.evaluate("window.seen.length")
        page.wait_for_function("before => window.seen.length > before + 20", arg=before, timeout=30_000)
        seen = page.evaluate("window.seen")
    page.close()
    first, second = (life(seen, pid) for pid in dict.fromkeys(pid for pid, _ in seen))
    # It came back in the first life too, after the cut.
    assert first == list(range(first[0], first[0] + len(first)))
    # Its id is of an earlier life then, and it gets all that there is.
    assert second == list(range(1, 1 + len(second)))


def life(seen: list[list[int]], pid: int) -> list[int]:
    """The numbers that one process counted."""
    return [number for who, number in seen if who == pid]
