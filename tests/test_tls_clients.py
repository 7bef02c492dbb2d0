"""TLS and Unix sockets by the command, with the clients that people use."""

from __future__ import annotations

import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from certs import Pem, authority, client_context, issued, reissued
from playwright.sync_api import Browser
from running import PATIENCE, Running, running, wait_for_banner
from tools import needed
from websockets.sync.client import connect

pytestmark = [pytest.mark.server, pytest.mark.timed]

APP = """
from microsock import App

app = App(access_log=False)


@app.get("/")
def index(request):
    return f"<title>{request.scheme} {request.client.host}</title>"


@app.get("/large")
def large(request):
    return b"x" * (3 << 20)


@app.post("/")
def echo(request):
    return request.body


@app.websocket("/ws")
def ws(ws, message):
    return message
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "shop.py").write_text(APP)
    return tmp_path


@pytest.fixture
def pem(tmp_path: Path) -> Pem:
    """A certificate for localhost whose files may be replaced."""
    mine = Pem(str(tmp_path / "site.pem"), str(tmp_path / "site.key"))
    put(issued("localhost"), mine)
    return mine


@pytest.fixture
def server(site: Path, pem: Pem) -> Iterator[Running]:
    with running(*tls(pem), str(site / "shop.py")) as server:
        yield server


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """For tests that change nothing about it."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "shop.py").write_text(APP)
    with running(*tls(issued("localhost")), str(folder / "shop.py")) as server:
        yield server


def put(new: Pem, where: Pem) -> None:
    for source, target in zip(new, where, strict=True):
        shutil.copy(source, target)


def tls(pem: Pem) -> list[str]:
    return ["--ssl-certfile", pem.certificate, "--ssl-keyfile", pem.key]


def serial(port: int) -> object:
    with (
        socket.create_connection(("127.0.0.1", port), PATIENCE) as sock,
        client_context().wrap_socket(sock, server_hostname="localhost") as client,
    ):
        return (client.getpeercert() or {})["serialNumber"]


@contextmanager
def bound(site: Path, *arguments: str) -> Iterator[Running]:
    """The command with addresses of its own."""
    command = [sys.executable, "-m", "microsock", *arguments, "shop"]
    with subprocess.Popen(command, cwd=site, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        try:
            server = wait_for_banner(process)
            yield server
            assert server.stop() == 0, "\n".join(server.errors)
        finally:
            process.kill()
            process.wait()
        server.reader.join(PATIENCE)


# Clients.


def test_curl_is_served_and_verifies(shared: Running) -> None:
    command = [needed("curl"), "--silent", "--show-error", "--cacert", authority().certificate, "--max-time", "20"]
    url = f"https://localhost:{shared.port}"
    first = subprocess.run([*command, "--http1.1", f"{url}/"], capture_output=True, text=True, check=True)
    assert first.stdout == "<title>https 127.0.0.1</title>"
    versions = subprocess.run(
        [*command, "--output", "/dev/null", "--write-out", "%{http_version} %{size_download}", f"{url}/large"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert versions.stdout == f"1.1 {3 << 20}"


def test_curl_that_speaks_plain_http_is_told_so(shared: Running) -> None:
    command = [needed("curl"), "--silent", "--max-time", "20", f"http://localhost:{shared.port}/"]
    assert "this port speaks TLS" in subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_httpx_keeps_its_connection_and_sends_and_gets_large_bodies(shared: Running) -> None:
    body = bytes(index % 251 for index in range(2 << 20))
    with httpx.Client(verify=client_context(), base_url=f"https://localhost:{shared.port}", timeout=PATIENCE) as client:
        for _ in range(20):
            assert client.get("/").text == "<title>https 127.0.0.1</title>"
        assert client.post("/", content=body).content == body
        assert len(client.get("/large").content) == 3 << 20


def test_a_websocket_over_tls(shared: Running) -> None:
    url = f"wss://localhost:{shared.port}/ws"
    with connect(url, ssl=client_context(), open_timeout=PATIENCE, max_size=None) as ws:
        for message in ("hello", "x" * 500_000):
            ws.send(message)
            assert ws.recv(PATIENCE) == message


@pytest.mark.browser
def test_a_browser_shows_a_page_and_opens_a_websocket(shared: Running, browser: Browser) -> None:
    with browser.new_context(ignore_https_errors=True) as context:
        page = context.new_page()
        page.goto(f"https://localhost:{shared.port}/")
        assert page.title() == "https 127.0.0.1"
        said = page.evaluate(
            "() => new Promise((done, failed) => {"
            "  const ws = new WebSocket(`wss://${location.host}/ws`);"
            "  ws.onopen = () => ws.send('hello');"
            "  ws.onmessage = event => done(event.data);"
            "  ws.onerror = failed;"
            "})"
        )
        assert said == "hello"


def test_a_session_from_one_worker_is_resumed_in_another(site: Path, pem: Pem) -> None:
    context = client_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with running(*tls(pem), "--workers", "2", str(site / "shop.py")) as server:
        session = None
        reused = []
        for _ in range(12):
            with (
                socket.create_connection(("127.0.0.1", server.port), PATIENCE) as sock,
                context.wrap_socket(sock, server_hostname="localhost", session=session) as client,
            ):
                session = client.session
                reused.append(client.session_reused)
        assert reused == [False] + [True] * 11


# Clients that mean no good.


def test_sixty_silent_clients_hold_nobody_up_and_are_closed_at_their_timeout(site: Path, pem: Pem) -> None:
    with running(*tls(pem), "--tls-timeout", "1", str(site / "shop.py")) as server:
        began = time.monotonic()
        silent = [socket.create_connection(("127.0.0.1", server.port), PATIENCE) for _ in range(60)]
        for half in silent[30:]:
            half.send(b"\x16\x03\x01\x02\x00\x01")
        slowest = 0.0
        with httpx.Client(verify=client_context(), timeout=PATIENCE, headers={"Connection": "close"}) as client:
            for _ in range(20):
                started = time.monotonic()
                assert client.get(f"https://localhost:{server.port}/").status_code == 200
                slowest = max(slowest, time.monotonic() - started)
        assert slowest < 1.0
        for sock in silent:
            with sock:
                assert sock.recv(1) == b""
        assert 0.9 <= time.monotonic() - began < 6


# Certificates that change and certificates that are wrong.


@pytest.mark.parametrize("workers", ["1", "2"])
def test_after_hup_new_handshakes_see_the_new_certificate(workers: str, site: Path, pem: Pem) -> None:
    with running(*tls(pem), "--workers", workers, str(site / "shop.py")) as server:
        before = serial(server.port)
        put(reissued("localhost"), pem)
        assert serial(server.port) == before
        server.process.send_signal(signal.SIGHUP)
        wait_until_changed(server.port, before)


def wait_until_changed(port: int, before: object) -> None:
    until = time.monotonic() + PATIENCE
    while serial(port) == before:
        assert time.monotonic() < until, "the certificate is still the old one"
        time.sleep(0.05)


def test_a_broken_certificate_at_hup_is_said_and_the_old_one_stays(server: Running, pem: Pem) -> None:
    before = serial(server.port)
    Path(pem.key).write_text("half written")
    server.process.send_signal(signal.SIGHUP)
    until = time.monotonic() + PATIENCE
    while not any("the certificates are not read again" in line for line in server.errors):
        assert time.monotonic() < until, server.errors
        time.sleep(0.05)
    assert serial(server.port) == before


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--ssl-certfile", "nosuch.pem"], 2, "error: ssl_certfile: cannot read nosuch.pem: No such file or directory"),
        (["--bind", "tls://127.0.0.1:0"], 2, "error: address tls://127.0.0.1:0 needs a certificate"),
        (["--bind", "unix:/nosuch/a.sock"], 4, "error: cannot listen on unix:/nosuch/a.sock: No such file"),
        (["--bind", "fd://77"], 4, "error: cannot listen on fd://77: this process was started with no such descriptor"),
    ],
)
def test_what_is_wrong_is_said_before_the_app_serves(
    arguments: list[str], status: int, message: str, site: Path
) -> None:
    command = [sys.executable, "-m", "microsock", *arguments, "shop"]
    done = subprocess.run(command, cwd=site, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, done.stderr.startswith(message)) == (status, True), done.stderr


# Several addresses, and Unix sockets.


@pytest.mark.parametrize("workers", ["1", "2"])
def test_several_addresses_at_once(workers: str, site: Path) -> None:
    path = site / "app.sock"
    binds = ["-b", "127.0.0.1:0", "-b", f"unix:{path}?mode=600", "-b", "[::1]:0"]
    with bound(site, *binds, "--workers", workers) as server:
        banner = next(line for line in server.errors if line.startswith("Listening on"))
        assert f" and unix:{path} and http://[::1]:" in banner
        assert path.stat().st_mode & 0o777 == 0o600
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), timeout=PATIENCE) as client:
            assert client.get("http://a/").text == "<title>http unix</title>"
        assert httpx.get(f"{server.url}/", timeout=PATIENCE).text == "<title>http 127.0.0.1</title>"
    assert not path.exists()


def test_a_worker_that_is_killed_leaves_the_unix_socket_to_the_others(site: Path) -> None:
    path = site / "app.sock"
    with bound(site, "-b", f"unix:{path}", "--workers", "2") as server:
        children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
        subprocess.run(["kill", "-9", children[0]], check=True)
        server.process.send_signal(signal.SIGHUP)
        until = time.monotonic() + PATIENCE
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(path)), timeout=PATIENCE) as client:
            while set(children) & set(alive(server.process.pid)):
                assert time.monotonic() < until
                assert client.get("http://a/", headers={"Connection": "close"}).status_code == 200
        assert path.exists()
    assert not path.exists()


def alive(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
