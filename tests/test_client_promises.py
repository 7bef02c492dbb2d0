"""What the feature table promises of clients that connect (its rows C 38 to 42), each by its number."""

from __future__ import annotations

import pytest

from microsock import App, Client, Clients, HTTPError, Request, Response
from microsock.testing import WebSocketRefused

ELSEWHERE = {"client": ("10.0.0.7", 1)}


@pytest.fixture
def app() -> App:
    """Nobody is served who has not connected, and refusals tell their type."""
    app = App(connection_required=True)
    app.ping()
    app.get("/")(lambda request: "inside")

    @app.connect
    def connect(client: Client, clients: Clients) -> str:
        return f"one of {len(clients) + 1}"

    @app.error
    def refused(request: Request, error: HTTPError) -> tuple[str, int]:
        return error.type, error.status

    return app


def test_38_who_has_not_connected_is_refused_with_400_not_connected(app: App) -> None:
    with app.test_client() as client:
        refused = client.get("/")
        assert (refused.status_code, refused.text) == (400, "NOT_CONNECTED")


def test_38_each_client_connects_for_itself(app: App) -> None:
    with app.test_client() as client:
        assert client.get("/connect").text == "one of 1"
        assert client.get("/").text == "inside"
        assert client.get("/", extensions=ELSEWHERE).text == "NOT_CONNECTED"


def test_38_connect_disconnect_and_ping_are_exempt(app: App) -> None:
    app.disconnect(lambda client: None)
    with app.test_client() as client:
        assert client.get("/disconnect").status_code == 200
        assert client.get("/ping").text == "PONG"
        assert client.get("/connect").status_code == 200


def test_38_a_websocket_handshake_is_a_request_like_any_other(app: App) -> None:
    app.websocket("/chat")(lambda ws, message: message)
    with app.test_client() as client:
        with pytest.raises(WebSocketRefused, match="400"):
            client.websocket("/chat")
        client.get("/connect")
        client.websocket("/chat").close()


def test_38_a_function_may_say_who_is_one_client() -> None:
    app = App(connection_required=True, client_key=lambda request: request.headers["X-Account"])
    app.get("/")(lambda request: "inside")
    app.connect(lambda client, clients: client.key)
    with app.test_client() as client:
        assert client.get("/connect", headers={"X-Account": "ann"}).text == "ann"
        assert client.get("/", headers={"X-Account": "ann"}, extensions=ELSEWHERE).status_code == 200
        assert client.get("/", headers={"X-Account": "bob"}).status_code == 400


def test_38_it_is_true_across_workers(app: App) -> None:
    app.disconnect(lambda client: None)
    with app.test_client(workers=3) as client:
        client.worker(1).get("/connect")
        assert [client.worker(number).get("/").text for number in (1, 2, 3)] == ["inside"] * 3
        client.worker(2).get("/disconnect")
        assert [client.worker(number).get("/").text for number in (1, 2, 3)] == ["NOT_CONNECTED"] * 3


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_39_connect_gets_the_client_and_all_clients_by_get_and_post(method: str) -> None:
    app, heard = App(), list[object]()

    @app.connect
    def connect(client: Client, clients: Clients) -> None:
        heard.append((client.address.host, [other.key for other in clients]))

    with app.test_client() as client:
        assert client.request(method, "/connect").status_code == 200
        assert client.request(method, "/connect", extensions=ELSEWHERE).status_code == 200
        assert heard == [("127.0.0.1", []), ("10.0.0.7", ["127.0.0.1"])]


@pytest.mark.parametrize(("says", "status"), [(False, 403), (Response("full", 503), 503)])
def test_39_false_or_a_response_refuses(says: object, status: int) -> None:
    app = App()
    app.connect(lambda client, clients: says)
    with app.test_client() as client:
        assert client.get("/connect").status_code == status
        assert not app.clients


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_40_disconnect_is_called_once_for_who_was_connected(app: App, method: str) -> None:
    heard: list[str] = []
    app.disconnect(lambda client: heard.append(client.key))
    with app.test_client() as client:
        client.get("/connect")
        for _ in range(2):
            assert client.request(method, "/disconnect").status_code == 200
    assert heard == ["127.0.0.1"]


def test_40_disconnect_is_called_at_shutdown_for_each_who_still_is(app: App) -> None:
    heard: list[str] = []
    app.disconnect(lambda client: heard.append(client.key))
    with app.test_client() as client:
        client.get("/connect")
        client.get("/connect", extensions=ELSEWHERE)
        assert heard == []
    assert heard == ["127.0.0.1", "10.0.0.7"]


def test_41_42_clients_are_marked_and_unmarked_by_address_and_iterated(app: App) -> None:
    with app.test_client() as client:
        assert app.clients.on("127.0.0.1")
        app.clients.on("10.0.0.7")
        assert client.get("/").text == "inside"
        assert [each.key for each in app.clients] == ["127.0.0.1", "10.0.0.7"]
        assert app.clients.off("127.0.0.1")
        assert client.get("/").text == "NOT_CONNECTED"
        assert "10.0.0.7" in app.clients
        assert len(app.clients) == 1


def test_42_off_does_not_give_a_client_new_requests(app: App) -> None:
    with app.test_client(rate_limit="2/minute") as client:
        app.clients.on("127.0.0.1")
        assert [client.get("/").status_code for _ in range(3)] == [200, 200, 429]
        app.clients.off("127.0.0.1")
        app.clients.on("127.0.0.1")
        assert client.get("/").text == "REQUEST_LIMIT"
