"""The chat page in Debian's Chromium: two tabs, a phone, hostile text, and a server that comes back."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from running import Running, running

pytestmark = [pytest.mark.browser, pytest.mark.server, pytest.mark.usefixtures("unmeasured")]

PHONE = {"width": 390, "height": 780}


ROOMS = itertools.count(1)


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with running("examples/chat.py") as server:
        yield server


@pytest.fixture
def room(server: Running) -> str:
    """The address of a room in which nobody has been yet."""
    return f"{server.url}/rooms/room-{next(ROOMS)}"


class Visitor:
    """One tab, and what its console said."""

    def __init__(self, page: Page, url: str, name: str) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda line: self.complaints.append(line.text) if line.type == "error" else None)
        page.goto(url)
        self.rename(name)

    def rename(self, name: str) -> None:
        self.page.get_by_label("Your name", exact=True).fill(name)
        self.page.get_by_label("Your name", exact=True).press("Enter")
        expect(self.page.locator("#people .me .name")).to_have_text(name)

    def say(self, text: str) -> None:
        self.page.get_by_label("Your message").fill(text)
        self.page.get_by_role("button", name="Send").click()

    def reads(self, text: str) -> None:
        expect(self.page.get_by_role("log").get_by_text(text, exact=True)).to_be_visible()

    def sees(self, *names: str) -> None:
        expect(self.page.locator("#people .name")).to_have_text(names)


@pytest.fixture
def tabs(browser: Browser, room: str) -> Iterator[tuple[Visitor, Visitor]]:
    """Two tabs of one window."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    tabs = Visitor(context.new_page(), room, "Ada"), Visitor(context.new_page(), room, "Grace")
    yield tabs
    assert tabs[0].complaints == tabs[1].complaints == []
    context.close()


def test_two_tabs_exchange_a_message(tabs: tuple[Visitor, Visitor], tmp_path: Path) -> None:
    ada, grace = tabs
    ada.sees("Ada", "Grace")
    ada.say("Good morning! Does everyone see this?")
    grace.reads("Good morning! Does everyone see this?")
    grace.say("Loud and clear.")
    ada.reads("Loud and clear.")
    ada.page.screenshot(path=tmp_path / "chat.png")
    grace.page.emulate_media(color_scheme="dark")
    grace.page.screenshot(path=tmp_path / "chat-dark.png")


def test_a_tab_that_leaves_is_missed(tabs: tuple[Visitor, Visitor]) -> None:
    ada, grace = tabs
    grace.page.close()
    ada.reads("Grace left")
    ada.sees("Ada")


def test_a_tab_that_comes_late_reads_what_was_said(browser: Browser, room: str) -> None:
    with browser.new_context() as context:
        Visitor(context.new_page(), room, "Ada").say("You missed this.")
        Visitor(context.new_page(), room, "Grace").reads("You missed this.")


def test_what_a_visitor_types_is_shown_and_never_run(tabs: tuple[Visitor, Visitor]) -> None:
    ada, grace = tabs
    hostile = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
    ada.rename("<b>Ada</b>")
    ada.say(hostile)
    grace.reads(hostile)
    grace.sees("<b>Ada</b>", "Grace")
    assert "owned" not in grace.page.title()
    assert grace.page.locator("#log img, #log script, #people b").count() == 0


def test_rooms_do_not_hear_each_other(tabs: tuple[Visitor, Visitor]) -> None:
    ada, grace = tabs
    grace.page.get_by_label("Open another room").fill("Käse & Wein")
    grace.page.get_by_label("Open another room").press("Enter")
    expect(grace.page.get_by_role("heading", level=1)).to_have_text("ka-se-wein")
    grace.sees("Grace")
    expect(ada.page.get_by_role("link", name="ka-se-wein")).to_be_visible()
    ada.say("Only this room hears this.")
    ada.reads("Only this room hears this.")
    grace.say("And nobody hears me.")
    grace.reads("And nobody hears me.")
    expect(grace.page.locator(".bubble")).to_have_count(1)
    expect(ada.page.locator(".bubble")).to_have_count(1)


def test_the_page_comes_back_when_the_server_does(browser: Browser) -> None:
    with browser.new_context() as context:
        with running("examples/chat.py") as server:
            ada = Visitor(context.new_page(), server.url, "Ada")
            ada.say("Before.")
            ada.reads("Before.")
        expect(ada.page.get_by_role("status")).to_have_attribute("data-state", "offline")
        ada.page.get_by_label("Your message").fill("Written while offline.")
        expect(ada.page.get_by_role("button", name="Send")).to_be_disabled()
        with running("examples/chat.py", port=server.port):
            expect(ada.page.get_by_role("status")).to_contain_text("Only you are here")
            ada.page.get_by_role("button", name="Send").click()
            ada.reads("Written while offline.")
            ada.reads("Before.")


def test_a_phone_shows_the_conversation_and_the_people_on_demand(browser: Browser, room: str, tmp_path: Path) -> None:
    with browser.new_context(viewport=PHONE, is_mobile=True, has_touch=True, device_scale_factor=2) as context:  # type: ignore[arg-type]
        page = context.new_page()
        page.goto(room)
        expect(page.get_by_role("status")).to_contain_text("Only you are here")
        expect(page.locator("#people")).to_be_hidden()
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
        page.get_by_role("button", name="Rooms and people").tap()
        expect(page.locator("#people .me")).to_be_visible()
        page.screenshot(path=tmp_path / "phone.png")
        page.keyboard.press("Escape")
        expect(page.locator("#people")).to_be_hidden()


def test_the_link_of_a_room_is_copied(tabs: tuple[Visitor, Visitor]) -> None:
    ada = tabs[0].page
    ada.context.grant_permissions(["clipboard-read", "clipboard-write"])
    ada.clock.install()
    ada.get_by_role("button", name="Copy link").click()
    expect(ada.get_by_role("status")).to_have_text("Link copied")
    assert ada.evaluate("navigator.clipboard.readText()") == ada.url
    ada.clock.fast_forward(5000)
    expect(ada.get_by_role("status")).to_have_text("2 people are here")


def test_a_room_without_a_proper_name_is_not_found(browser: Browser, server: Running) -> None:
    with browser.new_context() as context:
        answer = context.new_page().goto(f"{server.url}/rooms/Not%20A%20Room")
        assert answer is not None
        assert answer.status == 404
