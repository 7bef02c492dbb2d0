"""What is believed of forwarded headers, over the wire of the test client."""

from __future__ import annotations

import time
from typing import Any

import pytest
from pace import quickest
from wire import HANDSHAKE, ask, handshake, statuses

from microsock import Address, App, Request, WebSocket
from microsock.proxies import Proxies
from microsock.settings import resolve
from microsock.testing import TestClient

PROXY, VISITOR = ("127.0.0.1", 50000), "203.0.113.7"
Headers = list[tuple[str, str]]


def seen(headers: Headers, client: tuple[str, int] = PROXY, **settings: Any) -> tuple[str, str, str]:
    """Client, scheme and host of a request that comes with these headers."""
    app = App()

    @app.get("/")
    def index(request: Request) -> dict[str, str]:
        assert request.is_secure is (request.scheme == "https")
        assert request.url == f"{request.scheme}://{request.host}/"
        return {"client": request.client.host, "scheme": request.scheme, "host": request.host}

    with TestClient(app, client=client, base_url="http://inner:8080", **settings or {"behind_proxy": True}) as http:
        found = http.get("/", headers=headers).raise_for_status().json()
    return found["client"], found["scheme"], found["host"]


def test_nobody_is_believed_by_default() -> None:
    headers = [("X-Forwarded-For", VISITOR), ("X-Forwarded-Proto", "https"), ("Forwarded", f"for={VISITOR};host=evil")]
    assert seen(headers, trusted_proxies=()) == ("127.0.0.1", "http", "inner:8080")
    assert seen(headers, ("192.0.2.1", 1)) == ("192.0.2.1", "http", "inner:8080")


def test_a_trusted_proxy_tells_client_scheme_and_host() -> None:
    headers = [
        ("X-Forwarded-For", VISITOR),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "shop.example"),
    ]
    assert seen(headers) == (VISITOR, "https", "shop.example")
    assert seen(headers, ("unix", 0)) == (VISITOR, "https", "shop.example")
    assert seen(headers, ("10.0.0.9", 1), trusted_proxies=["10.0.0.0/8"]) == (VISITOR, "https", "shop.example")
    assert seen([("Forwarded", f'for={VISITOR};proto=https;host="shop.example"')]) == (VISITOR, "https", "shop.example")


def test_a_request_without_them_is_the_proxys_own() -> None:
    assert seen([]) == ("127.0.0.1", "http", "inner:8080")


@pytest.mark.parametrize(
    ("value", "client"),
    [
        (VISITOR, VISITOR),
        (f"198.51.100.1, {VISITOR}", VISITOR),
        (f"198.51.100.1, {VISITOR}, 127.0.0.1, ::1", VISITOR),
        (f"garbage, \"unclosed, {VISITOR}", VISITOR),
        (f"{VISITOR}:4711", VISITOR),
        ("2001:db8::7", "2001:db8::7"),
        ("[2001:DB8::7]:4711", "2001:db8::7"),
        ("::ffff:203.0.113.7", VISITOR),
        (f"{VISITOR}, unix:", VISITOR),
        (f"{VISITOR},,", VISITOR),
        ("127.0.0.2, 127.0.0.3", "127.0.0.2"),
        ("unknown", "127.0.0.1"),
        (f"{VISITOR}, unknown", "127.0.0.1"),
        (f"{VISITOR}, unknown, 127.0.0.9", "127.0.0.9"),
        ("1.2.3.4.5", "127.0.0.1"),
        ("1.2.3.4:port:5", "127.0.0.1"),
        ("[::1", "127.0.0.1"),
        ("<script>", "127.0.0.1"),
        # Zones are one machine's own words, and could be anything.
        ("fe80::1%<script>", "127.0.0.1"),
        (f"{VISITOR}, ::1%eth0", "127.0.0.1"),
        (f"{VISITOR}, [::1]x", "127.0.0.1"),
        (f"{VISITOR}, [127.0.0.9]", "127.0.0.1"),
        ("203.0.113.007", "127.0.0.1"),
        ("", "127.0.0.1"),
        (",", "127.0.0.1"),
    ],
)  # fmt: skip
def test_the_client_is_the_right_most_hop_that_is_not_trusted(value: str, client: str) -> None:
    assert seen([("X-Forwarded-For", value)])[0] == client


def test_several_lines_are_one_list() -> None:
    lines = [("X-Forwarded-For", "198.51.100.1"), ("X-Forwarded-For", VISITOR), ("X-Forwarded-For", "127.0.0.1")]
    assert seen(lines)[0] == VISITOR
    forwarded = [("Forwarded", "for=198.51.100.1;proto=https"), ("Forwarded", f"for={VISITOR};proto=http")]
    assert seen(forwarded)[:2] == (VISITOR, "http")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (f"for={VISITOR}", (VISITOR, "http", "inner:8080")),
        (f"For={VISITOR};Proto=HTTPS;by=10.0.0.1", (VISITOR, "https", "inner:8080")),
        ('for="[2001:db8::7]:4711";host=shop.example:81', ("2001:db8::7", "http", "shop.example:81")),
        (f"for=198.51.100.1;proto=https, for={VISITOR};proto=http", (VISITOR, "http", "inner:8080")),
        # An inner proxy of ours tells of the outer one, which tells of the client.
        (f"for={VISITOR};proto=https;host=shop.example, for=127.0.0.1;host=x", (VISITOR, "https", "shop.example")),
        # What a client has sent to confuse is left of what the proxy has written.
        (f'for="unclosed, for={VISITOR};proto=http', (VISITOR, "http", "inner:8080")),
        (f'";;,,=, for={VISITOR}', (VISITOR, "http", "inner:8080")),
        (f"for={VISITOR} , ;", (VISITOR, "http", "inner:8080")),
        (f"secret=1;for={VISITOR};secret=2;;", (VISITOR, "http", "inner:8080")),
        ("for=unknown;proto=https", ("127.0.0.1", "https", "inner:8080")),
        ("for=_hidden", ("127.0.0.1", "http", "inner:8080")),
        ('for="a\\"b"', ("127.0.0.1", "http", "inner:8080")),
        (f"for={VISITOR};", (VISITOR, "http", "inner:8080")),
        ("proto=https", ("127.0.0.1", "https", "inner:8080")),
        ("nonsense", ("127.0.0.1", "http", "inner:8080")),
        ("for", ("127.0.0.1", "http", "inner:8080")),
        ("=;=,=", ("127.0.0.1", "http", "inner:8080")),
        ('"', ("127.0.0.1", "http", "inner:8080")),
    ],
)
def test_forwarded_is_read_from_the_right_too(value: str, expected: tuple[str, str, str]) -> None:
    assert seen([("Forwarded", value)]) == expected


@pytest.mark.parametrize(
    ("name", "value", "scheme", "host"),
    [
        ("X-Forwarded-Proto", "HTTPS", "https", "inner:8080"),
        ("X-Forwarded-Proto", "wss", "https", "inner:8080"),
        ("X-Forwarded-Proto", "https, http", "http", "inner:8080"),
        ("X-Forwarded-Proto", "javascript", "http", "inner:8080"),
        ("X-Forwarded-Host", "evil.example, shop.example:8443", "http", "shop.example:8443"),
        ("X-Forwarded-Host", "[2001:db8::7]", "http", "[2001:db8::7]"),
        ("X-Forwarded-Host", "[2001:db8::7]:81", "http", "[2001:db8::7]:81"),
        ("X-Forwarded-Host", "shop.example:99999", "http", "inner:8080"),
        ("X-Forwarded-Host", "user@shop.example", "http", "inner:8080"),
        ("X-Forwarded-Host", "[:::::]", "http", "inner:8080"),
        ("X-Forwarded-Host", "[1.2.3.4]", "http", "inner:8080"),
        ("X-Forwarded-Host", "shop.example/path", "http", "inner:8080"),
        ("X-Forwarded-Host", "a b", "http", "inner:8080"),
        ("X-Forwarded-Host", "<x>", "http", "inner:8080"),
        ("X-Forwarded-Host", "x" * 300, "http", "inner:8080"),
        ("X-Forwarded-Host", "", "http", "inner:8080"),
    ],
)
def test_scheme_and_host_are_the_last_word_if_it_is_one(name: str, value: str, scheme: str, host: str) -> None:
    assert seen([(name, value)]) == ("127.0.0.1", scheme, host)


def test_of_the_two_families_x_forwarded_counts_and_the_other_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    headers = [("Forwarded", "for=198.51.100.1;proto=https"), ("X-Forwarded-For", VISITOR)]
    assert seen(headers) == (VISITOR, "https", "inner:8080")
    assert "delete those that it does not write itself" in caplog.text


@pytest.mark.parametrize("name", ["X-Forwarded-For", "Forwarded"])
@pytest.mark.parametrize("part", ['"', ",", ";", "=", "a=", 'a="', "127.0.0.1,", "for=127.0.0.1,", " ", "\\", "[", ":"])
def test_no_header_however_long_takes_more_than_a_moment(name: str, part: str) -> None:
    proxies, text = Proxies(resolve({"behind_proxy": True})), (part * 8000)[:8000].encode()
    request = Request("GET", "/", [(name.lower().encode(), text)], client=Address(*PROXY))

    def seconds() -> float:
        begin = time.process_time()
        proxies.look(request)
        return time.process_time() - begin

    assert quickest(seconds, 0.05) < 0.05


@pytest.mark.parametrize("nothing", [",", ";", " ,", "\t;", "a=b;"])
def test_what_stands_behind_hundreds_of_empty_elements_is_not_read(nothing: str) -> None:
    # However little each costs, 16 kB of them must not hold the server.
    assert seen([("Forwarded", f"for={VISITOR},{nothing * 50}for=127.0.0.1")])[0] == VISITOR
    assert seen([("Forwarded", f"for={VISITOR},{nothing * 300}for=127.0.0.1")])[0] == "127.0.0.1"


@pytest.mark.parametrize("name", ["Forwarded", "X-Forwarded-For"])
def test_more_than_64_proxies_in_a_row_are_not_read(name: str) -> None:
    hop = "for=127.0.0.1" if name == "Forwarded" else "127.0.0.1"
    first = hop.replace("127.0.0.1", VISITOR)
    assert seen([(name, ",".join([first, *[hop] * 63]))])[0] == VISITOR
    assert seen([(name, ",".join([first, *[hop] * 64]))])[0] == "127.0.0.1"


# What stands on it.


def test_the_origin_is_compared_with_the_host_that_the_browser_asked(caplog: pytest.LogCaptureFixture) -> None:
    app = App(behind_proxy=True)

    @app.websocket("/ws")
    def echo(ws: WebSocket, message: str) -> None:
        ws.send([ws.request.client.host, ws.request.scheme])

    forwarded = ("X-Forwarded-Proto: https", "X-Forwarded-Host: shop.example", f"X-Forwarded-For: {VISITOR}")
    with app.test_client() as client:
        assert statuses(client.raw(handshake("/ws", "Origin: https://shop.example", *forwarded))) == [101]
        assert statuses(client.raw(handshake("/ws", "Origin: http://shop.example", *forwarded))) == [403]
        headers = dict(line.split(": ") for line in forwarded)
        with client.websocket("/ws", origin="https://shop.example", headers=headers) as ws:
            ws.send("who am I?")
            assert ws.receive() == f'["{VISITOR}","https"]'
    assert caplog.text.count("was refused a WebSocket") == 1


def test_a_refused_origin_names_the_fix_once(caplog: pytest.LogCaptureFixture) -> None:
    app = App()
    app.websocket("/ws")(lambda ws, message: None)
    with app.test_client() as client:
        for _ in range(3):
            assert statuses(client.raw(handshake("/ws", "Origin: https://shop.example"))) == [403]
    (line,) = [record.getMessage() for record in caplog.records]
    assert "a page of https://shop.example was refused a WebSocket, because it asked the host localhost by http" in line
    assert "use --behind-proxy" in line
    assert "origins=[" in line


# The line that names the fix.


@pytest.mark.parametrize(
    ("client", "fix"),
    [
        (PROXY, "--behind-proxy (or behind_proxy=True)"),
        (("unix", 0), "--behind-proxy (or behind_proxy=True)"),
        (("10.0.0.9", 4711), "--trusted-proxies 10.0.0.9 (or trusted_proxies=[…])"),
    ],
)
def test_forwarded_headers_of_strangers_are_named_once_with_the_fix(
    client: tuple[str, int], fix: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = App()
    with app.test_client(client=client) as http:
        for _ in range(3):
            http.get("/", headers={"X-Forwarded-For": VISITOR})
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith(f"{client[0]} sent X-Forwarded-For, which is ignored")
    assert line.endswith(f"use {fix}")


def test_without_proxies_requests_are_soon_not_looked_at_any_more() -> None:
    with App().test_client() as client:
        client.raw(ask() * 999)
        assert client.world.site.proxies.watching
        client.raw(ask())
        assert not client.world.site.proxies.watching


def test_a_client_cannot_write_into_the_log_by_its_origin(caplog: pytest.LogCaptureFixture) -> None:
    app = App()
    app.websocket("/ws")(lambda ws, message: None)
    with app.test_client() as client:
        raw = HANDSHAKE.replace(b"\r\n\r\n", b"\r\nOrigin: http://\xc2\x85\xe2" + b"x" * 500 + b"\r\n\r\n")
        assert statuses(client.raw(raw)) == [403]
    assert caplog.records[0].getMessage().isprintable()
    assert len(caplog.records[0].getMessage()) < 600


# Below a prefix.


def shop(**settings: Any) -> TestClient:
    app = App(root_path="/shop", **settings)

    @app.get("/films/{name}")
    def film(request: Request, name: str) -> dict[str, str]:
        return {"path": request.path, "url": request.url, "root": request.root_path, "name": name}

    @app.get("/")
    def index(request: Request) -> str:
        return request.path

    return app.test_client(base_url="http://a")


@pytest.mark.parametrize("path", ["/shop/films/alien%2F2", "/films/alien%2F2"])
def test_a_prefix_may_have_been_cut_off_or_not(path: str) -> None:
    with shop() as client:
        assert client.get(path).json() == {
            "path": "/films/alien%2F2",
            "url": "http://a/shop/films/alien%2F2",
            "root": "/shop",
            "name": "alien/2",
        }


def test_the_prefix_alone_is_the_apps_root() -> None:
    with shop() as client:
        assert [client.get(path).text for path in ("/shop", "/shop/", "/")] == ["/", "/", "/"]
        assert client.get("/shopping").status_code == 404


@pytest.mark.parametrize("path", ["/films/alien/", "/shop/films/alien/"])
def test_a_redirect_leads_to_where_the_proxy_is(path: str) -> None:
    with shop() as client:
        assert client.get(f"{path}?a=1").headers["Location"] == "/shop/films/alien?a=1"


def test_options_of_the_whole_server_have_no_path() -> None:
    with shop() as client:
        assert statuses(client.raw(ask("*", method="OPTIONS"))) in ([200], [204], [404])


def test_a_websocket_keeps_its_prefix_for_as_long_as_it_is_open() -> None:
    app = App(root_path="/shop")

    @app.websocket("/ws")
    def tell(ws: WebSocket, message: str) -> None:
        ws.send([ws.request.path, ws.request.url, ws.request.root_path])

    with app.test_client(base_url="http://a") as client, client.websocket("/shop/ws") as ws:
        ws.send("x")
        assert ws.receive() == '["/ws","http://a/shop/ws","/shop"]'
