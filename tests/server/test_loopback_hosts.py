"""Which hosts a server answers for by default: on the loopback its own names, elsewhere any. In every runner."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from certs import client_context, issued
from running import running

from microsock import App, Server
from microsock.server.binding import Bound, loopback_names

pytestmark = pytest.mark.server

PATIENCE = 10.0


@pytest.fixture
def app() -> App:
    app = App(access_log=False)
    app.get("/")(lambda request: "hello")
    app.websocket("/ws")(lambda ws, message: message)
    app.ping()
    return app


@contextlib.contextmanager
def served(app: App, address: str | Sequence[str], **settings: Any) -> Iterator[Server]:
    with (
        Server(app, address, 0, **settings) if isinstance(address, str) else Server(app, address, **settings) as server
    ):
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def status(where: Any, host: str, path: str = "/", more: str = "", tls: bool = False) -> int:
    with contextlib.ExitStack() as stack:
        if isinstance(where, str):
            sock = stack.enter_context(socket.socket(socket.AF_UNIX))
            sock.settimeout(PATIENCE)
            sock.connect(where)
        else:
            sock = stack.enter_context(socket.create_connection(where, PATIENCE))
        if tls:
            sock = stack.enter_context(client_context().wrap_socket(sock, server_hostname="localhost"))
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{more}Connection: close\r\n\r\n".encode())
        return int(sock.recv(65536).split()[1])


def both(where: Any, **how: Any) -> tuple[int, int]:
    return status(where, "localhost:80", **how), status(where, "rebound.example:80", **how)


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost", "127.1.2.3", "::1"])
def test_on_the_loopback_another_host_is_refused(app: App, address: str) -> None:
    with served(app, address) as server:
        assert both(server.address) == (200, 421)
        assert status(server.address, f"[{address}]" if ":" in address else address) == 200
        assert status(server.address, "rebound.example", "/ping") == 200


def test_a_websocket_is_as_well(app: App) -> None:
    more = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    more += "Connection: Upgrade\r\n"
    with served(app, "127.0.0.1") as server:
        assert both(server.address, path="/ws", more=more)[1] == 421


def test_tls_changes_nothing(app: App) -> None:
    pem = issued("localhost")
    with served(app, "127.0.0.1", ssl_certfile=pem.certificate, ssl_keyfile=pem.key) as server:
        assert both(server.address, tls=True) == (200, 421)


def test_on_any_other_address_any_host_is_answered_for(app: App) -> None:
    with served(app, "0.0.0.0") as server:
        assert both(("127.0.0.1", server.port)) == (200, 200)


def test_a_unix_socket_is_no_loopback_address(app: App, tmp_path: Path) -> None:
    path = str(tmp_path / "app.sock")
    with served(app, [f"unix:{path}"]):
        assert both(path) == (200, 200)
    with served(app, ["127.0.0.1:0", f"unix:{path}"]) as server:
        assert both(server.address) == (200, 200)


@pytest.mark.parametrize(
    "settings", [{"behind_proxy": True}, {"trusted_proxies": ["10.0.0.1"]}, {"allowed_hosts": "*"}]
)
def test_so_it_is_where_a_proxy_is_trusted_or_a_setting_says_so(app: App, settings: dict[str, object]) -> None:
    with served(app, "127.0.0.1", **settings) as server:
        assert both(server.address) == (200, 200)


def test_the_setting_holds_anywhere(app: App) -> None:
    with served(app, "0.0.0.0", allowed_hosts=["films.example"]) as server:
        where = ("127.0.0.1", server.port)
        assert both(where) == (421, 421)
        assert status(where, "films.example") == 200


def test_a_socket_that_is_given_is_judged_by_where_it_is_bound(app: App) -> None:
    for host, wanted in (("127.0.0.1", (200, 421)), ("0.0.0.0", (200, 200))):
        sock = socket.create_server((host, 0))
        port = sock.getsockname()[1]
        with Server(app, sock=sock) as server:
            thread = threading.Thread(target=server.run)
            thread.start()
            assert both(("127.0.0.1", port)) == wanted
            server.shutdown()
            thread.join()


def test_the_names_that_it_was_bound_by_are_its_own() -> None:
    with contextlib.closing(Bound(socket.create_server(("127.0.0.1", 0)), name="films.test")) as films:
        assert loopback_names([films]) == ["films.test"]
        with contextlib.closing(Bound(socket.create_server(("127.0.0.1", 0)))) as other:
            assert loopback_names([films, other]) == ["films.test"]
        with contextlib.closing(Bound(socket.create_server(("0.0.0.0", 0)))) as other:
            assert loopback_names([films, other]) is None


@pytest.mark.parametrize("flags", [[], ["--workers", "2"], ["--reload"]])
def test_it_is_the_same_in_every_runner(flags: list[str]) -> None:
    with running(*flags, "--no-access-log", "examples/hello.py") as server:
        where = ("127.0.0.1", server.port)
        for _ in range(4):
            assert both(where) == (200, 421)
    assert 1 <= sum("rebound.example was refused (421)" in line for line in server.errors) <= 2


@pytest.mark.parametrize("flags", [["--allowed-hosts", "films.example,.films.test"], ["--behind-proxy"]])
def test_flags_reach_workers(flags: list[str]) -> None:
    with running("--workers", "2", *flags, "--no-access-log", "examples/hello.py") as server:
        where = ("127.0.0.1", server.port)
        hosts = ["films.example", "a.films.test:80", "evil.example"]
        wanted = [200, 200, 421] if "--allowed-hosts" in flags else [200, 200, 200]
        assert [status(where, host) for host in hosts * 2] == wanted * 2


def test_the_page_of_an_app_that_does_not_start_is_refused_too(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("import nowhere_to_be_found\n")
    with running("--reload", "--app-dir", str(tmp_path), "broken") as server:
        where = ("127.0.0.1", server.port)
        assert both(where) == (500, 421)
        deadline = time.monotonic() + PATIENCE
        while not any("nowhere_to_be_found" in line for line in server.errors) and time.monotonic() < deadline:
            time.sleep(0.01)
        # Here, a traceback is what is wanted.
        server.errors[:] = [line for line in server.errors if "Traceback" not in line]
