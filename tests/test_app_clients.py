"""Clients that connect and disconnect: the two routes, `app.clients`, and `connection_required`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from microsock import Address, App, Request, Response, SetupError, WebSocket, abort
from microsock.adapters.shared_limits import SharedClients
from microsock.clients import Client, Clients, ClientTable, MemoryTable
from microsock.testing import TestClient, WebSocketRefused

ELSEWHERE = {"client": ("10.0.0.7", 1)}


@pytest.fixture
def heard() -> list[str]:
    return []


@pytest.fixture
def app(heard: list[str]) -> App:
    app = App(connection_required=True)
    app.ping()

    @app.get("/")
    def index(request: Request) -> str:
        return "inside"

    @app.websocket("/echo")
    def echo(ws: WebSocket, message: str) -> str:
        return message

    @app.connect
    def connect(client: Client, clients: Clients) -> object:
        heard.append(f"{client.key} connects beside {len(clients)}")
        answers: dict[str, Callable[[], object]] = {
            "no": lambda: False,
            "response": lambda: Response("come back later", 503),
            "abort": lambda: abort(402),
            "body": lambda: {"hello": client.key},
        }
        assert client.request is not None
        return answers.get(client.request.args.get("say") or "", lambda: None)()

    @app.disconnect
    def disconnect(client: Client) -> str:
        heard.append(f"{client.key} {'leaves' if client.request else 'is left'}")
        return "goodbye"

    return app


@pytest.fixture
def client(app: App) -> Iterator[TestClient]:
    with app.test_client() as client:
        yield client


def test_a_client_that_has_not_connected_is_refused_with_400_not_connected(app: App, client: TestClient) -> None:
    @app.error(400)
    def bad(request: Request, error: Exception) -> str:
        return error.type  # type: ignore[attr-defined, no-any-return]

    for method, path in (("GET", "/"), ("POST", "/"), ("GET", "/nowhere"), ("PUT", "/connect")):
        refused = client.request(method, path)
        assert (refused.status_code, refused.text) == (400, "NOT_CONNECTED")


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_connect_and_disconnect_work_by_get_and_post(client: TestClient, heard: list[str], method: str) -> None:
    assert client.request(method, "/connect").text == "connected\n"
    assert client.get("/").text == "inside"
    assert client.request(method, "/disconnect").text == "goodbye"
    assert client.get("/").status_code == 400
    assert heard == ["127.0.0.1 connects beside 0", "127.0.0.1 leaves"]


def test_each_client_connects_for_itself(client: TestClient) -> None:
    client.get("/connect")
    assert client.get("/", extensions=ELSEWHERE).status_code == 400
    client.get("/connect", extensions=ELSEWHERE)
    assert client.get("/", extensions=ELSEWHERE).status_code == 200


def test_ping_connect_and_disconnect_need_no_connection(client: TestClient) -> None:
    assert client.get("/ping").text == "PONG"
    assert client.get("/disconnect").status_code == 200


@pytest.mark.parametrize(("say", "status"), [("no", 403), ("response", 503), ("abort", 402)])
def test_connect_refuses_by_false_a_response_or_abort(client: TestClient, say: str, status: int) -> None:
    assert client.get("/connect", params={"say": say}).status_code == status
    assert client.get("/").status_code == 400


def test_what_connect_returns_otherwise_is_the_answer(client: TestClient) -> None:
    assert client.get("/connect?say=body").json() == {"hello": "127.0.0.1"}
    assert client.get("/").status_code == 200


def test_disconnect_is_called_once_for_a_client_that_was_connected(client: TestClient, heard: list[str]) -> None:
    client.get("/connect")
    assert [client.get("/disconnect").text for _ in range(2)] == ["goodbye", "disconnected\n"]
    assert heard[1:] == ["127.0.0.1 leaves"]


def test_at_shutdown_each_connected_client_is_disconnected(app: App, heard: list[str]) -> None:
    app.on_stop(lambda: heard.append("stopped"))
    with app.test_client() as client:
        client.get("/connect")
        client.get("/connect", extensions=ELSEWHERE)
    assert heard[2:] == ["127.0.0.1 is left", "10.0.0.7 is left", "stopped"]
    assert not app.clients


def test_a_client_is_connected_in_every_worker_and_stays_so_when_one_ends(app: App, heard: list[str]) -> None:
    with app.test_client(workers=3) as client:
        client.worker(1).get("/connect")
        assert [client.worker(number).get("/").status_code for number in (2, 3)] == [200, 200]
        client.kill_worker(1)
        assert client.worker(2).get("/").status_code == 200
    assert heard == ["127.0.0.1 connects beside 0", "127.0.0.1 is left"]


def test_a_disconnect_handler_that_raises_at_shutdown_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    app = App()

    @app.disconnect
    def broken(client: Client) -> None:
        raise RuntimeError

    with app.test_client():
        app.clients.on("a")
        app.clients.on("b\nERROR forged \ud800")
    assert "@app.disconnect 'broken' raised for a" in caplog.text
    # A key may be what a client has made up; lines of the log are not.
    assert "raised for b\\nERROR forged \\ud800\n" in caplog.text


def test_clients_can_be_counted_as_connected_without_the_routes(app: App, client: TestClient, heard: list[str]) -> None:
    assert [app.clients.on("127.0.0.1"), app.clients.on("127.0.0.1")] == [True, False]
    assert client.get("/").status_code == 200
    assert [each.key for each in app.clients] == ["127.0.0.1"]
    assert [app.clients.off("127.0.0.1"), app.clients.off("127.0.0.1")] == [True, False]
    assert client.get("/").status_code == 400
    assert not heard


def test_to_be_connected_has_nothing_to_do_with_rate_limits(app: App) -> None:
    with app.test_client(rate_limit="3/minute") as client:
        statuses = [client.get(path).status_code for path in ("/connect", "/", "/disconnect", "/connect")]
        assert statuses == [200, 200, 200, 429]
        app.clients.off("127.0.0.1")
        assert client.get("/").status_code == 429


def test_handshakes_need_a_connection_too(client: TestClient) -> None:
    with pytest.raises(WebSocketRefused) as refused:
        client.websocket("/echo")
    assert refused.value.response.status_code == 400
    client.get("/connect")
    with client.websocket("/echo") as ws:
        ws.send("hello")
        assert ws.receive() == "hello"


def test_clients_are_told_apart_by_client_key(app: App) -> None:
    with app.test_client(client_key=lambda request: request.headers.get("X-Key", "nobody")) as client:
        client.get("/connect", headers={"X-Key": "ada"})
        assert [client.get("/", headers={"X-Key": key}).status_code for key in ("ada", "bob")] == [200, 400]
        assert next(iter(app.clients)) == Client("ada", Address("127.0.0.1", 50000))
        assert client.get("/connect", headers={"X-Key": "x" * 97}).status_code == 400
        assert client.get("/", headers={"X-Key": "x" * 97}).status_code == 400


def test_a_client_key_that_is_no_text_is_an_error_of_the_app(app: App, caplog: pytest.LogCaptureFixture) -> None:
    with app.test_client(client_key=lambda request: 7) as client:
        assert [client.get(path).status_code for path in ("/connect", "/")] == [500, 500]
    assert "returned 7; return a str" in caplog.text


def test_the_paths_may_be_others() -> None:
    app = App(connection_required=True)

    @app.connect(path="/enter")
    def enter(client: Client, clients: Clients) -> bool:
        return True

    @app.disconnect(path="/leave")
    def leave(client: Client) -> None: ...

    with app.test_client() as client:
        assert client.get("/connect").status_code == 400
        assert client.get("/enter").status_code == 200
        assert client.get("/connect").status_code == 404
        assert client.get("/leave").text == "disconnected\n"


def test_a_limit_stands_under_connect_as_under_any_route() -> None:
    app = App()

    @app.connect
    @app.limit("1/minute")
    def enter(client: Client, clients: Clients) -> None: ...

    with app.test_client() as client:
        assert [client.get("/connect").status_code for _ in range(2)] == [200, 429]


def test_handlers_that_cannot_be_called_so_are_refused_where_they_are_written() -> None:
    app = App()
    with pytest.raises(SetupError, match="takes"):
        app.connect(lambda client: None)  # type: ignore[type-var]
    with pytest.raises(SetupError, match=r"write @app.connect\(path='/enter'\)"):
        app.connect("/enter")  # type: ignore[call-overload]

    def slow(client: Client) -> Iterator[str]:
        yield "no"

    with pytest.raises(SetupError, match="generator function"):
        app.disconnect(slow)


@pytest.mark.parametrize("way_in", ["none", "route", "code"])
def test_an_app_that_lets_nobody_connect_says_so(way_in: str, caplog: pytest.LogCaptureFixture) -> None:
    app = App(connection_required=True)
    if way_in == "route":
        app.connect(lambda client, clients: True)
    if way_in == "code":
        app.on_start(lambda: app.clients.on("127.0.0.1"))
    with app.test_client():
        assert ("there is no @app.connect route" in caplog.text) == (way_in == "none")


# Where the marks are kept.


@pytest.fixture(params=["memory", "shared"])
def table(request: pytest.FixtureRequest) -> Iterator[ClientTable]:
    if request.param == "memory":
        yield MemoryTable()
        return
    shared = SharedClients()
    yield shared
    shared.close()


def test_a_table_keeps_who_is_marked_in_order(table: ClientTable) -> None:
    ada, bob = Client("ada", Address("::1", 80)), Client("bób\udc80")
    assert [table.add(ada), table.add(bob), table.add(ada)] == [True, True, False]
    assert {client.key for client in table.all()} == {"ada", "bób\udc80"}
    assert table.remove("ada") == ada
    assert (table.remove("ada"), "ada" in table, "bób\udc80" in table) == (None, False, True)


@pytest.mark.parametrize("make", [MemoryTable, lambda room: SharedClients(room, iter(range(100)).__next__)])
def test_a_full_table_tells_whose_mark_it_has_dropped(make: Callable[[int], ClientTable]) -> None:
    clients = Clients()
    told: list[Client] = []
    clients.keep_in(make(16), None, told.append)
    for number in range(16 + 5):
        clients.add(Client(str(number), Address(f"10.0.0.{number}", number)))
        clients.add(Client(str(number), Address(f"10.0.0.{number}", number)))
    assert [(client.key, client.address) for client in told] == [
        (str(number), Address(f"10.0.0.{number}", number)) for number in range(5)
    ]
    assert (clients.dropped, len(clients)) == (5, 16)


@pytest.mark.parametrize("make", [MemoryTable, lambda room: SharedClients(room, iter(range(100)).__next__)])
def test_a_full_table_lets_the_oldest_go(make: Callable[[int], ClientTable]) -> None:
    table = make(16)
    for number in range(20):
        table.add(Client(f"{number}"))
    assert [client.key for client in table.all()] == [f"{number}" for number in range(4, 20)]
    if isinstance(table, SharedClients):
        table.close()


def test_the_marks_of_an_app_move_into_memory_that_workers_share() -> None:
    clients, shared = Clients(), SharedClients()
    clients.on("10.0.0.7")
    clients.keep_in(shared, None)
    clients.on("10.0.0.8")
    assert [client.key for client in shared.all()] == ["10.0.0.7", "10.0.0.8"]
    assert repr(clients) == "<Clients: 2 connected>"
    shared.close()


@pytest.mark.parametrize("key", ["", "x" * 97])
def test_a_key_has_to_fit(key: str) -> None:
    with pytest.raises(ValueError, match="1 to 96 bytes"):
        Clients().on(key)


def test_of_ipv6_a_network_is_one_client_and_an_ipv4_address_is_itself_however_it_is_written() -> None:
    app = App(connection_required=True)
    app.connect(lambda client, clients: client.key)
    app.get("/")(lambda request: "in")
    with app.test_client() as client:

        def get(path: str, host: str) -> tuple[int, str]:
            answer = client.get(path, extensions={"client": (host, 1)})
            return answer.status_code, answer.text

        assert get("/connect", "2001:db8:0:1::7") == (200, "2001:db8:0:1::/64")
        assert get("/", "2001:db8:0:1:ffff::8") == (200, "in")
        assert get("/", "2001:db8:0:2::7")[0] == 400
        assert get("/connect", "::ffff:192.0.2.7") == (200, "192.0.2.7")
        assert get("/", "192.0.2.7") == (200, "in")
        assert "2001:db8:0:1::99" in app.clients
        assert "2001:DB8:0:1::/64" not in app.clients
        assert "2001:db8:0:1::/64" in app.clients
        assert app.clients.off("2001:db8:0:1::1")
        assert app.clients.on("2001:db8:0:3::1")
        assert get("/", "2001:db8:0:3::2") == (200, "in")


def test_what_client_key_says_is_taken_as_it_is() -> None:
    app = App(client_key=lambda request: request.client.host)
    app.connect(lambda client, clients: client.key)
    with app.test_client() as client:
        assert client.get("/connect", extensions={"client": ("2001:db8::7", 1)}).text == "2001:db8::7"
        assert "2001:db8::7" in app.clients
        assert "2001:db8::8" not in app.clients


@pytest.mark.parametrize("workers", [1, 2])
def test_whose_mark_is_dropped_hears_of_it_and_the_log_does_once_an_hour(
    workers: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    app, gone = App(), []
    app.connect(lambda client, clients: None)
    app.disconnect(lambda client: gone.append((client.key, client.request)))
    monkeypatch.setattr(MemoryTable.__init__, "__defaults__", (4,))
    app.clients = Clients()
    with app.test_client(workers=workers) as client:
        for number in range(10):
            client.get("/connect", extensions={"client": (f"10.0.0.{number}", 1)})
        assert gone == [(f"10.0.0.{number}", None) for number in range(6)]
        assert app.report()["dropped_clients"] == 6
        assert [line for line in caplog.messages if "too many clients" in line] == [
            line for line in caplog.messages if "so far: 1." in line
        ]
        gone.clear()
        caplog.clear()
        client.advance(3601)
        client.get("/connect", extensions={"client": ("10.0.0.99", 1)})
        assert len([line for line in caplog.messages if "so far: 7." in line]) == 1
    assert [key for key, _ in gone] == [f"10.0.0.{number}" for number in (6, 7, 8, 9, 99)]
