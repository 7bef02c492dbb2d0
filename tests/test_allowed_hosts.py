"""The hosts that a site answers for, by `allowed_hosts`; without it, what a server on the loopback does."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable

import pytest

from microsock import App, BadSetting, EventStream
from microsock.allowed_hosts import AllowedHosts, allowed_hosts
from microsock.settings import Settings, from_environment, from_text, resolve
from microsock.testing import WebSocketRefused

NAMES = [
    "example.org",
    ".films.example",
    "Shop.Example.",
    "192.0.2.7",
    "2001:db8::7",
    "[2001:db8::8]",
    "port.example:81",
]


@pytest.mark.parametrize(
    ("host", "permitted"),
    [
        ("example.org", True), ("EXAMPLE.org", True), ("example.org.", True), ("example.org:8080", True),
        ("example.org.:8080", True), ("www.example.org", False), ("example.org..", False), ("badexample.org", False),
        ("films.example", True), ("a.films.example", True), ("a.b.FILMS.example.:1", True), ("xfilms.example", False),
        (".films.example", True), ("films.example.evil.example", False), ("shop.example", True),
        ("192.0.2.7:80", True), ("192.0.2.77", False), ("[2001:db8::7]", True), ("[2001:DB8:0:0::7]:8080", True),
        ("[2001:db8::8]:80", True), ("[2001:db8::9]", False), ("[::ffff:192.0.2.7]", True), ("port.example:99", True),
        ("localhost", False), ("127.0.0.1", False), ("*", False), ("", True),
    ],
)  # fmt: skip
def test_names_are_compared_without_port_case_dot_and_brackets(host: str, permitted: bool) -> None:
    hosts = AllowedHosts(NAMES)
    # Twice, since the second time it is known.
    assert [hosts.permit(host), hosts.permit(host)] == [permitted, permitted]


@pytest.mark.parametrize(
    ("host", "permitted"),
    [
        ("localhost", True), ("LOCALHOST:8080", True), ("localhost.", True), ("app.localhost:80", True),
        ("127.0.0.1:8080", True), ("127.9.9.9", True), ("[::1]:8080", True), ("[0:0::1]", True),
        ("[::ffff:127.0.0.1]", True), ("films.test:8080", True), ("", True), ("rebound.example:8080", False),
        ("localhost.rebound.example", False), ("127.0.0.1.nip.io", False), ("0.0.0.0:8080", False), ("10.0.0.1", False),
        ("[::]", False), ("127.1", False),
    ],
)  # fmt: skip
def test_on_the_loopback_its_own_names_are_answered_for(host: str, permitted: bool) -> None:
    hosts = allowed_hosts(Settings(), ["127.0.0.1", "Films.test"])
    assert hosts is not None
    assert hosts.permit(host) is permitted


def test_elsewhere_any_host_is_answered_for_unless_the_setting_says_otherwise() -> None:
    own = ["127.0.0.1"]
    assert allowed_hosts(Settings(), None) is None
    assert allowed_hosts(resolve({"behind_proxy": True}), own) is None
    assert allowed_hosts(resolve({"trusted_proxies": ["10.0.0.1"]}), own) is None
    assert allowed_hosts(resolve({"allowed_hosts": ["example.org", "*"]}), own) is None
    named = allowed_hosts(resolve({"allowed_hosts": "example.org", "behind_proxy": True}), own)
    assert named is not None
    assert (named.permit("example.org"), named.permit("localhost")) == (True, False)


def test_what_is_remembered_of_hosts_is_bounded_and_holds_no_refused_one() -> None:
    hosts = AllowedHosts([".example.org"])
    for number in range(1000):
        assert hosts.permit(f"{number}.example.org")
        assert not hosts.permit(f"{number}.evil.example")
        assert len(hosts.known) <= 64
        assert all(host.endswith(".example.org") for host in hosts.known)


@pytest.mark.parametrize(
    "value",
    [
        [], "", "http://example.org", "*.example.org", "example.org/films", "a b", [7], 7, ".", "..org", "exämple.org",
        "[::1", "[::1]x", "[]", "a:b", "example.org:http", ["example.org", ""],
    ],
)  # fmt: skip
def test_what_is_no_name_is_refused_at_the_start(value: object) -> None:
    with pytest.raises(BadSetting, match=r"^allowed_hosts"):
        App(allowed_hosts=value)


def test_it_is_a_list_with_commas_for_the_command_line_and_the_environment() -> None:
    assert from_text("allowed_hosts", "example.org, .films.example,::1") == ("example.org", ".films.example", "::1")
    assert from_environment({"MICROSOCK_ALLOWED_HOSTS": "*"}) == {"allowed_hosts": ("*",)}
    assert from_text("allowed_hosts", "none") is None


# What a site does with the others.


def films(**settings: object) -> App:
    app = App(allowed_hosts=["films.example"], **settings)
    app.ping()

    @app.get("/")
    def index(request):  # type: ignore[no-untyped-def]
        called.append(request.host)
        return "films"

    @app.post("/")
    def add(request):  # type: ignore[no-untyped-def]
        called.append(request.host)
        return "added"

    @app.get("/blocking", blocking=True)
    def blocking(request):  # type: ignore[no-untyped-def]
        called.append(request.host)
        return "films"

    @app.get("/events")
    def events(request):  # type: ignore[no-untyped-def]
        called.append(request.host)
        return EventStream("films")

    @app.websocket("/live")
    def live(ws, message):  # type: ignore[no-untyped-def]
        return message

    return app


called: list[str] = []


@pytest.fixture(autouse=True)
def nothing_called() -> None:
    called.clear()


GET = "GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"
WAYS: dict[str, str] = {
    "straight": GET.replace("{target}", "/"),
    "through h11": GET.replace("{target}", "/").replace("\r\n\r\n", "\r\nX: \xe9\r\n\r\n"),
    "an absolute target": "GET http://{host}/ HTTP/1.1\r\nHost: films.example\r\n\r\n",
    "HEAD": GET.replace("{target}", "/").replace("GET", "HEAD"),
    "OPTIONS": GET.replace("{target}", "*").replace("GET", "OPTIONS"),
    "a path that there is not": GET.replace("{target}", "/missing"),
    "a method that there is not": GET.replace("{target}", "/").replace("GET", "BREW"),
    "another thread": GET.replace("{target}", "/blocking"),
    "an event stream": GET.replace("{target}", "/events"),
    "a body": "POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 3\r\n\r\nabc",
    "a body that is still to come": "POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 3\r\n\r\n",
    "a chunked body": "POST / HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "a body that is asked for": "POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n",
    "HTTP/1.0": "GET / HTTP/1.0\r\nHost: {host}\r\n\r\n",
    "a WebSocket": "GET /live HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("rate_limit", [None, "1/minute"])
def test_another_host_is_refused_on_every_way_before_anything_is_called_or_counted(
    way: str, rate_limit: str | None
) -> None:
    with films(rate_limit=rate_limit).test_client() as client:
        for _ in range(3):
            said = client.raw(WAYS[way].replace("{host}", "evil.example:8080").encode("latin-1"))
            assert said.startswith(b"HTTP/1.1 421 Misdirected Request\r\n")
            assert b"RateLimit" not in said
            assert b"100 Continue" not in said
        assert called == []


@pytest.mark.parametrize("way", WAYS)
def test_its_own_host_is_answered_on_every_way(way: str) -> None:
    with films().test_client() as client:
        for _ in range(2):
            said = client.raw(WAYS[way].replace("{host}", "Films.Example.:8080").encode("latin-1"))
            assert said.startswith(b"HTTP/1.1 ") or way == "a body that is still to come"
            assert b" 421 " not in said


def test_requests_behind_a_refused_one_are_answered_for_what_they_are() -> None:
    asks = "".join(
        GET.replace("{target}", "/").replace("{host}", host) for host in ("films.example", "evil.example") * 2
    )
    with films().test_client() as client:
        said = client.raw(asks.encode())
    assert re.findall(rb"HTTP/1.1 (\d+)", said) == [b"200", b"421"] * 2


def test_the_page_names_the_fix_and_the_log_does_once_an_hour(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "microsock")
    with films().test_client() as client:
        answer = client.get("/", headers={"Host": "Evil.example:8080"})
        assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert "this server does not answer for evil.example." in answer.text
        assert "--allowed-hosts evil.example (or allowed_hosts=['evil.example'])" in answer.text
        for number in range(20):
            client.get("/", headers={"Host": f"{number}.evil.example"})
        assert len(caplog.messages) == 1
        assert "evil.example was refused (421)" in caplog.messages[0]
        client.advance(3601)
        client.get("/", headers={"Host": "other.example"})
        assert len(caplog.messages) == 2


def test_an_error_handler_may_answer_for_it() -> None:
    app = films()
    app.error(421)(lambda request, error: {"type": error.type, "says": error.message})
    with app.test_client() as client:
        answer = client.get("/", headers={"Host": "evil.example"})
    assert answer.status_code == 421
    assert "allowed_hosts" in answer.json()["says"]


def test_a_ping_and_a_client_that_cannot_name_a_host_are_answered() -> None:
    with films().test_client() as client:
        assert client.get("/ping", headers={"Host": "10.0.0.7:8080"}).text == "PONG"
        assert client.raw(b"GET / HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 200 OK\r\n")


def test_the_host_that_a_trusted_proxy_tells_counts_and_that_of_another_does_not() -> None:
    ours = {"Host": "app:8080", "X-Forwarded-Host": "films.example"}
    theirs = {"Host": "films.example", "X-Forwarded-Host": "evil.example"}
    with films(trusted_proxies=["127.0.0.1"]).test_client() as client:
        assert [client.get("/", headers=each).status_code for each in (ours, theirs)] == [200, 421]
        assert client.get("/", headers={"Host": "films.example", "Forwarded": "host=evil.example"}).status_code == 421
    with films().test_client() as client:
        assert [client.get("/", headers=each).status_code for each in (ours, theirs)] == [421, 200]


def test_a_websocket_of_another_host_is_refused() -> None:
    with films().test_client() as client:
        with client.websocket("/live", headers={"Host": "films.example"}) as live:
            live.send("hello")
            assert live.receive() == "hello"
        with pytest.raises(WebSocketRefused, match="421"):
            client.websocket("/live", headers={"Host": "evil.example", "Origin": "http://evil.example"})


def test_the_world_of_the_test_client_is_no_loopback() -> None:
    app = App()
    app.get("/")(lambda request: request.host)
    with app.test_client() as client:
        assert client.get("/", headers={"Host": "anything.example"}).text == "anything.example"


def test_workers_refuse_as_one_process_does() -> None:
    with films().test_client(workers=2) as client:
        ask: Callable[[str], int] = lambda host: client.get("/", headers={"Host": host}).status_code  # noqa: E731
        assert [ask(host) for host in ("films.example", "evil.example") for _ in range(4)] == [200] * 4 + [421] * 4
