"""What the feature table promises of limits and debugging (its rows E 50 to 54), each by its number."""

from __future__ import annotations

import logging

import pytest
from wire import handshake

from microsock import App, BadSetting, Server, WebSocketClosed
from microsock.testing import TestClient, WebSocketRefused, build_frame

ELSEWHERE = {"client": ("10.0.0.7", 1)}


def app_of(**settings: object) -> App:
    """An app with a page and an echo, and so set."""
    app = App(**settings)
    app.get("/")(lambda request: "page")
    app.websocket("/echo")(lambda ws, message: message)
    return app


def statuses(client: TestClient, count: int, path: str = "/", **options: object) -> list[int]:
    return [client.get(path, **options).status_code for _ in range(count)]  # type: ignore[arg-type]


def test_50_so_many_requests_of_each_client_in_a_window() -> None:
    with app_of(rate_limit="2/minute").test_client() as client:
        assert statuses(client, 3) == [200, 200, 429]
        assert statuses(client, 3, extensions=ELSEWHERE) == [200, 200, 429]


def test_50_set_rate_limit_takes_a_number_and_seconds_on_app_and_server() -> None:
    app = app_of()
    app.set_rate_limit(2, 60)
    with app.test_client() as client:
        assert statuses(client, 3) == [200, 200, 429]
    assert str(Server(app_of(), autostart=False).set_rate_limit(100, 60).settings.rate_limit) == "100/minute"


def test_50_a_route_may_have_its_own() -> None:
    app = app_of()
    app.get("/scarce")(app.limit("1/minute")(lambda request: "scarce"))
    with app.test_client() as client:
        assert statuses(client, 2, "/scarce") == [200, 429]
        assert statuses(client, 9) == [200] * 9


def test_50_it_is_off_unless_asked_for() -> None:
    with app_of().test_client() as client:
        assert statuses(client, 500) == [200] * 500
        assert not [name for name in client.get("/").headers if name.startswith("ratelimit")]


def test_50_a_refusal_tells_when_to_come_back() -> None:
    with app_of(rate_limit="1/minute").test_client() as client:
        client.get("/")
        client.advance(20)
        headers = client.get("/").headers
        assert headers["Retry-After"] == "40"
        assert headers["RateLimit-Policy"] == '"app";q=1;w=60'
        assert headers["RateLimit"] == '"app";r=0;t=40'


def test_50_handshakes_count() -> None:
    with app_of(rate_limit="1/minute").test_client() as client:
        client.websocket("/echo").close()
        with pytest.raises(WebSocketRefused, match="429"):
            client.websocket("/echo")


def test_50_websocket_messages_have_a_limit_of_their_own() -> None:
    with app_of(ws_message_limit="2/second", rate_limit="1/minute").test_client() as client:
        ws = client.websocket("/echo")
        for _ in range(3):
            ws.send("x")
        assert [ws.receive(), ws.receive()] == ["x", "x"]
        with pytest.raises(WebSocketClosed) as closed:
            ws.receive()
        assert closed.value.code == 1008


@pytest.mark.parametrize(("trusted", "let_through"), [([], 1), (["10.0.0.7"], 3)])
def test_50_forwarded_addresses_come_only_from_trusted_proxies(trusted: list[str], let_through: int) -> None:
    with app_of(rate_limit="1/minute", trusted_proxies=trusted).test_client() as client:
        told = [
            client.get("/", headers={"X-Forwarded-For": f"192.0.2.{number}"}, extensions=ELSEWHERE).status_code
            for number in range(3)
        ]
        assert told.count(200) == let_through


def test_50_the_window_begins_at_the_clients_first_request() -> None:
    with app_of(rate_limit="1/minute").test_client() as client:
        client.advance(59)
        assert statuses(client, 1) == [200]
        client.advance(59)
        assert statuses(client, 1) == [429]
        client.advance(1)
        assert statuses(client, 1) == [200]


def test_51_one_count_across_all_workers() -> None:
    with app_of(rate_limit="10/minute").test_client(workers=4) as client:
        told = [client.worker(1 + number % 4).get("/").status_code for number in range(100)]
        assert (told.count(200), told.count(429)) == (10, 90)


def test_52_set_timeout_takes_seconds_and_microseconds_for_the_idle_deadlines() -> None:
    server = Server(app_of(), autostart=False)
    assert server.set_timeout(2, 500_000) is server
    assert (server.settings.keep_alive_timeout, server.settings.head_timeout) == (2.5, 2.5)


def test_52_each_wait_has_its_own_deadline_and_a_half_read_request_is_408() -> None:
    with app_of(head_timeout=3, keep_alive_timeout=1, body_timeout=2).test_client() as client:
        half, body, kept = (client.raw_connection() for _ in range(3))
        half.send(b"GET / HT")
        body.send(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nab")
        kept.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert kept.receive().endswith(b"page")
        client.advance(1)
        assert kept.receive() == b""
        assert kept.ended
        client.advance(1)
        assert body.receive().startswith((b"HTTP/1.1 408 ", b"HTTP/1.1 405 "))
        assert half.receive() == b""
        assert not half.ended
        client.advance(1)
        assert half.receive().startswith(b"HTTP/1.1 408 ")


def test_52_nobody_waits_for_one_who_is_idle() -> None:
    with app_of().test_client() as client:
        client.raw_connection().send(b"GET / HT")
        assert client.get("/").text == "page"


def test_53_the_number_of_processes_is_set_by_keyword_or_by_name() -> None:
    server = Server(app_of(), autostart=False, workers=3)
    assert server.settings.workers == 3
    assert server.set_max_processes(4) is server
    assert server.settings.workers == 4


def test_53_under_one_is_refused_in_words() -> None:
    with pytest.raises(BadSetting, match="workers is 0"):
        Server(app_of(), autostart=False).set_max_processes(0)
    with pytest.raises(BadSetting, match="workers is -1"):
        Server(app_of(), autostart=False, workers=-1)


def test_54_with_debug_the_protocols_events_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "microsock")
    with app_of(debug=True).test_client() as client:
        client.get("/")
        ws = client.websocket("/echo")
        ws.send("x")
        ws.close()
    for event in ("RequestReceived(", "MessageReceived(", "CloseReceived("):
        assert event in caplog.text
    caplog.clear()
    with app_of().test_client() as client:
        client.get("/")
    assert "RequestReceived" not in caplog.text


def test_54_what_may_be_secret_is_in_no_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "microsock")
    app = app_of(debug=True)
    app.post("/login")(lambda request: "welcome")
    headers = {"Authorization": "Bearer geheim", "Cookie": "session=geheim", "X-Key": "geheim"}
    with app.test_client() as client:
        client.post("/login?token=geheim", data={"password": "geheim"}, headers=headers)
        client.raw(
            b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 90\r\nCookie: a=geheim\r\n\r\npassword=geheim"
        )
        client.raw(b"GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: geheim\x00\r\n\r\n")
        ws = client.websocket("/echo?token=geheim", headers=headers)
        ws.send("geheim")
        ws.close()
        client.raw(handshake("/echo") + build_frame(9, b"geheim") + build_frame(10, b"geheim"))
    assert caplog.text.count("microsock") > 5
    assert "geheim" not in "\n".join(record.getMessage() for record in caplog.records if record.name == "microsock")
