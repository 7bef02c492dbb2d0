"""What the feature table promises of addresses and sockets (its rows A 1 to 18), each by its number."""

from __future__ import annotations

import asyncio
import contextlib
import os
import selectors
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from certs import client_context, issued
from serving import served, tls_settings

from microsock import WEBSOCKET_GUID, App, BadSetting, BindError, PortInUseError, Request, Server, SetupError
from microsock.request import Address

pytestmark = pytest.mark.server

HELLO = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
PATIENCE = 10.0


@pytest.fixture
def app() -> App:
    app = App(access_log=False)

    @app.get("/")
    def who(request: Request) -> dict[str, object]:
        return {"host": request.client.host, "port": request.client.port, "scheme": request.scheme}

    return app


def ask(url: str, uds: str | None = None, verify: ssl.SSLContext | bool = False) -> dict[str, object]:
    with httpx.Client(transport=httpx.HTTPTransport(uds=uds, verify=verify), timeout=PATIENCE) as client:
        answer: dict[str, object] = client.get(url).raise_for_status().json()
        return answer


def turn(server: Server, client: socket.socket) -> bytes:
    """What a client gets from a server that is driven from here, until it closes."""
    client.setblocking(False)
    data = b""
    while True:
        server.step(0.01)
        with contextlib.suppress(BlockingIOError):
            piece = client.recv(65536)
            if not piece:
                return data
            data += piece


def test_1_an_ip_address_by_keyword(app: App) -> None:
    with served(Server(app, "127.0.0.1", 0)) as server:
        assert ask(f"http://127.0.0.1:{server.port}/")["host"] == "127.0.0.1"


def test_2_every_address_of_a_host_name_is_bound(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET, "127.0.0.2")]

    def getaddrinfo(*arguments: object, **more: object) -> list[object]:
        return [(family, socket.SOCK_STREAM, 6, "", (host, 0)) for family, host in found]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with Server(app, "two.example", 0) as server:
        assert [address.host for address in server.addresses] == ["127.0.0.1", "127.0.0.2"]
        assert len({address.port for address in server.addresses}) == 1
        assert len(server.urls) == 2


def test_3_one_parser_takes_every_form(app: App, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        addresses = [
            "127.0.0.1:0", "tcp://127.0.0.1:0", "[::1]:0", f"unix:{tmp_path}/a.sock",
            f"fd://{os.dup(listening.fileno())}",
        ]  # fmt: skip
        with served(Server(app, addresses)) as server:
            urls = server.urls
            assert urls[3] == f"unix:{tmp_path}/a.sock"
            for url in (urls[0], urls[1], urls[2], urls[4]):
                assert ask(url)["scheme"] == "http"
            assert ask("http://a/", uds=f"{tmp_path}/a.sock") == {"host": "unix", "port": 0, "scheme": "http"}


def test_3_a_port_in_the_address_and_another_beside_it_are_refused(app: App) -> None:
    with pytest.raises(BadSetting, match="give one of them"):
        Server(app, "tcp://127.0.0.1:8080", 9000)


def test_4_ipv6_both_ways_and_the_clients_real_address(app: App) -> None:
    for form in ("::1", "[::1]:0"):
        with served(Server(app, form, 0)) as server:
            assert ask(f"http://[::1]:{server.port}/")["host"] == "::1"


def test_4_a_client_of_ipv4_is_the_same_on_a_socket_for_both(app: App) -> None:
    with served(Server(app, "::", 0, options={"ipv6_v6only": False})) as server:
        assert len(server.addresses) == 1
        assert ask(f"http://127.0.0.1:{server.port}/")["host"] == "127.0.0.1"
        assert ask(f"http://[::1]:{server.port}/")["host"] == "::1"


def test_5_tls_for_all_tcp_addresses_where_there_is_a_certificate(app: App, tmp_path: Path) -> None:
    with served(Server(app, ["127.0.0.1:0", f"unix:{tmp_path}/a"], **tls_settings())) as server:
        assert server.urls[0] == f"https://127.0.0.1:{server.port}"
        assert ask(server.urls[0], verify=client_context())["scheme"] == "https"
        assert ask("http://a/", uds=f"{tmp_path}/a")["scheme"] == "http"


def test_5_tls_only_where_an_address_asks_for_it_if_one_does(app: App) -> None:
    with served(Server(app, ["tls://127.0.0.1:0", "127.0.0.1:0"], **tls_settings())) as server:
        secure, plain = server.urls
        assert ask(secure, verify=client_context())["scheme"] == "https"
        assert ask(plain)["scheme"] == "http"


def test_5_tls_without_a_certificate_is_refused(app: App) -> None:
    with pytest.raises(BadSetting, match=r"address tls://127.0.0.1:443 needs a certificate; set ssl_certfile"):
        Server(app, "tls://127.0.0.1:443")
    with pytest.raises(BadSetting, match="there is a TLS setting but no ssl_certfile"):
        Server(app, port=0, ssl_keyfile="a.key")


def test_5_a_silent_tls_client_holds_nobody_up_and_is_closed(app: App) -> None:
    with served(Server(app, port=0, tls_timeout=0.2, **tls_settings())) as server:
        silent = [socket.create_connection(server.address, PATIENCE) for _ in range(60)]
        assert ask(server.urls[0], verify=client_context())["scheme"] == "https"
        for client in silent:
            assert client.recv(1) == b""
            client.close()


def test_5_a_handshake_that_is_not_done_does_not_keep_a_server_from_stopping(app: App) -> None:
    with Server(app, port=0, **tls_settings()) as server, socket.create_connection(server.address, PATIENCE) as silent:
        server.step(1)
        server.shutdown(timeout=PATIENCE)
        assert silent.recv(1) == b""
        assert not server.is_listening


def test_5_a_unix_socket_is_gone_with_its_server_and_a_stale_one_is_replaced(app: App, tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with served(Server(app, f"unix:{path}?mode=600")) as server:
        assert server.address == Address(str(path), 0)
        assert ask("http://a/", uds=str(path))["host"] == "unix"
        with pytest.raises(PortInUseError, match="is in use"):
            Server(app, f"unix:{path}")
        assert ask("http://a/", uds=str(path))["host"] == "unix"
    assert not path.exists()


@pytest.mark.parametrize("port", [-1, 65536, "80", 80.0, True])
def test_6_a_port_that_is_none_is_refused(app: App, port: int) -> None:
    with pytest.raises(BadSetting, match="expected a number from 0"):
        Server(app, port=port)


def test_6_port_0_is_any_free_one_and_the_default_8080(app: App) -> None:
    with Server(app, port=0) as server:
        assert server.port > 0
    assert Server(app, autostart=False).address == Address("127.0.0.1", 8080)


def test_7_it_binds_when_made_or_when_started_and_starting_twice_is_starting_once(app: App) -> None:
    late = Server(app, port=0, autostart=False)
    assert not late.is_listening
    with late:
        number = late.start().start().id
        assert late.id == number
    with Server(app, port=0) as early:
        assert early.is_listening


def test_8_options_as_a_stream_context_has_them(app: App) -> None:
    pem = issued("localhost")
    options = {
        "socket": {"backlog": 5, "so_reuseport": True, "ipv6_v6only": True},
        "ssl": {"local_cert": pem.certificate, "local_pk": pem.key},
    }
    with served(Server(app, port=0, options=options)) as server:
        assert server.socket is not None
        assert server.socket.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)
        assert (server.settings.backlog, server.settings.reuse_port) == (5, True)
        assert ask(server.urls[0], verify=client_context())["scheme"] == "https"
        with Server(app, port=server.port, reuse_port=True):
            pass  # they share the port


def test_8_an_unknown_option_and_one_thing_said_twice_are_refused(app: App) -> None:
    with pytest.raises(BadSetting, match="unknown option 'bakclog' in options; did you mean 'backlog'"):
        Server(app, port=0, options={"bakclog": 5})
    with pytest.raises(BadSetting, match="backlog is given as a keyword and in options="):
        Server(app, port=0, backlog=5, options={"backlog": 5})


def test_8_a_ready_socket(app: App, tmp_path: Path) -> None:
    sock = socket.create_server(("127.0.0.1", 0))
    with served(Server(app, sock=sock)) as server:
        assert server.port == sock.getsockname()[1]
        assert ask(server.urls[0])["host"] == "127.0.0.1"
    ready = socket.socket(socket.AF_UNIX)
    ready.bind(str(tmp_path / "a"))
    with served(Server(app, sock=ready)):
        assert ask("http://a/", uds=str(tmp_path / "a"))["host"] == "unix"
    assert (tmp_path / "a").exists(), "it belongs to who has bound it"


def test_9_what_keeps_it_from_listening_is_named(app: App) -> None:
    with Server(app, port=0) as server:
        in_use = rf"127\.0\.0\.1:{server.port} is in use by pid {os.getpid()}"
        with pytest.raises(PortInUseError, match=in_use):
            Server(app, port=server.port)
    with pytest.raises(BindError, match="does not have that address"):
        Server(app, "192.0.2.1:0")
    with pytest.raises(BindError, match="started with no such descriptor"):
        Server(app, "fd://999")
    with (Path(__file__)).open() as file, pytest.raises(BindError, match=r"cannot listen on fd://\d+"):
        Server(app, f"fd://{file.fileno()}")


def test_9_of_several_addresses_none_stays_bound_if_one_cannot_be(app: App, tmp_path: Path) -> None:
    with Server(app, port=0) as other, pytest.raises(PortInUseError):
        Server(app, [f"unix:{tmp_path}/a", f"127.0.0.1:{other.port}"])
    assert not (tmp_path / "a").exists()


def test_10_the_guid_is_a_constant() -> None:
    assert WEBSOCKET_GUID == "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def test_11_another_loop_really_drives_it(app: App) -> None:
    with Server(app, port=0) as server, socket.create_connection(server.address) as client:
        client.sendall(HELLO)
        client.setblocking(False)
        answer = b""
        with selectors.DefaultSelector() as selector:
            selector.register(server.fileno(), selectors.EVENT_READ)
            while b"127.0.0.1" not in answer:
                selector.select(server.next_timeout())
                server.step()
                with contextlib.suppress(BlockingIOError):
                    answer += client.recv(65536)
        assert server.socket is not None
        assert server.socket.getsockname() == server.address


def test_11_asyncio_really_drives_tls(app: App) -> None:
    async def ask_it() -> bytes:
        with Server(app, port=0, **tls_settings()) as server:
            loop, stop = asyncio.get_running_loop(), False
            loop.add_reader(server.fileno(), server.step)
            reader, writer = await asyncio.open_connection(
                *server.address, ssl=client_context(), server_hostname="localhost"
            )
            writer.write(HELLO)

            def tick() -> None:
                server.step()
                if not stop:
                    loop.call_later(server.next_timeout() or 0.01, tick)

            tick()
            answer = await reader.read()
            stop = True
            writer.close()
            loop.remove_reader(server.fileno())
        return answer

    assert b'"scheme": "https"' in asyncio.run(ask_it()).replace(b'":"', b'": "')


def test_12_13_14_15_its_id_address_start_and_whether_it_listens(app: App) -> None:
    server = Server(app, port=0, autostart=False)
    assert (server.id, server.is_listening) == (-1, False)
    assert server.start() is server
    with server:
        assert server.socket is not None
        assert (server.id, server.is_listening) == (server.socket.fileno(), True)
        assert server.address == Address(*server.socket.getsockname())
        assert not server.socket.getblocking()
        assert not os.get_inheritable(server.id)
    assert (server.id, server.is_listening) == (-1, False)


def test_16_two_servers_in_one_process_share_nothing(app: App) -> None:
    other = App(access_log=False)
    other.get("/")(lambda request: "other")
    with Server(app, port=0) as one, Server(other, port=0) as two:
        for server, answer in ((one, b"127.0.0.1"), (two, b"other"), (one, b"127.0.0.1")):
            with socket.create_connection(server.address) as client:
                client.sendall(HELLO)
                assert answer in turn(server, client)


def test_17_a_block_ends_with_the_server_closed(app: App) -> None:
    with Server(app, port=0) as server:
        where = server.address
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(where)


def test_18_setters_give_the_server_back_and_decorators_the_function(app: App) -> None:
    with Server(app, port=0) as server:
        setters: list[Callable[[], Server]] = [lambda: server.set_timeout(5), lambda: server.set_rate_limit(100, 60)]
        assert all(setter() is server for setter in setters)

    def handler(request: Request) -> str:
        return ""

    assert app.get("/handler")(handler) is handler


def test_18_what_an_app_gives_to_a_server_can_be_wrong_only_in_words(app: App) -> None:
    with pytest.raises(SetupError):
        Server(app, "", 80)
