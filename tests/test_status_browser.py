"""The status page in a real browser: it fills itself, goes on by itself, and says when nobody answers."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect
from running import running

pytestmark = [pytest.mark.server, pytest.mark.browser]

APP = """
from microsock import App, EventStream, Request
app = App()
@app.get("/news")
def news(request: Request) -> EventStream:
    return EventStream("<b>news</b>")
app.status()
"""


@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (360, "dark")])
def test_the_page_shows_what_the_server_counts_and_goes_on_by_itself(
    browser: Browser, tmp_path: Path, width: int, scheme: str
) -> None:
    path = tmp_path / "status_app.py"
    path.write_text(APP)
    complaints: list[str] = []
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)  # type: ignore[arg-type]
    with context, running(str(path)) as server:
        page = context.new_page()
        page.clock.install()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"http://localhost:{server.port}/_status")
        expect(page.locator("#state")).to_have_text("● live")
        with httpx.stream("GET", f"{server.url}/news", trust_env=False) as stream:
            lines = stream.iter_lines()
            assert next(lines) == ": open"
            some_seconds_later(page)
            expect(page.locator("#topics td.name")).to_have_text("<b>news</b>")
        for _ in range(3):
            httpx.get(f"{server.url}/nowhere", trust_env=False)
        some_seconds_later(page)
        expect(page.locator("#statuses tr", has_text="404").locator("td.n")).to_have_text("3")
        expect(page.locator("#workers td").nth(1)).to_have_text(str(server.process.pid))
        assert fits(page)
        assert complaints == []
        server.stop()
        some_seconds_later(page)
        expect(page.locator("#state")).to_contain_text("no answer since")


def some_seconds_later(page: Page) -> None:
    """Move the page's clock on, once; by itself it goes as any other."""
    page.clock.fast_forward(3000)


def fits(page: Page) -> bool:
    """Whether nothing reaches past the window's right edge."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))
