"""The test client is httpx, over connections in memory."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from microsock import App, BadSetting, Request, Response, SetupError
from microsock.testing import RestlessApp, StillWaiting, TestClient
from microsock.testing.websocket import handshake_headers

from .sample import make_app


def test_it_is_an_httpx_client_with_a_base_url(client: TestClient) -> None:
    assert isinstance(client, httpx.Client)
    response = client.post("/echo", content=b"hello")
    assert (response.status_code, response.reason_phrase, response.content) == (200, "OK", b"hello")
    assert response.http_version == "HTTP/1.1"
    assert client.get("/about").json()["url"] == "http://testserver/about"


def test_a_connection_is_used_again_while_the_server_keeps_it(client: TestClient) -> None:
    for _ in range(3):
        client.get("/echo")
    client.head("/echo")
    assert "#1 client" in client.transcript()
    assert "#2 client" not in client.transcript()


def test_a_connection_that_the_server_has_closed_is_not_used_again(client: TestClient) -> None:
    client.get("/echo")
    client.advance(6)
    assert client.get("/echo").status_code == 200
    assert "#2 client" in client.transcript()


def test_a_connection_that_either_end_gives_up_is_closed(client: TestClient) -> None:
    assert client.get("/echo", headers={"Connection": "close"}).headers["connection"] == "close"
    client.get("/echo")
    assert "#1 client > closes" in client.transcript()
    assert "#2 client" in client.transcript()


def test_requests_come_from_the_client_address_unless_they_say_another() -> None:
    with make_app().test_client(client=("192.0.2.7", 7)) as client:
        assert client.get("/echo").headers["x-client"] == "192.0.2.7:7"
        elsewhere = client.get("/echo", extensions={"client": ("10.0.0.7", 1)})
        assert elsewhere.headers["x-client"] == "10.0.0.7:1"
        assert client.get("/echo").headers["x-client"] == "192.0.2.7:7"


def test_https_requests_are_secure_and_have_connections_of_their_own(client: TestClient) -> None:
    assert client.get("/about").json()["secure"] is False
    assert client.get("https://testserver/about").json()["secure"] is True
    with make_app().test_client(base_url="https://shop.example") as secure:
        assert secure.get("/about").json()["url"] == "https://shop.example/about"


def test_headers_cookies_and_redirects_work_as_in_httpx(app: App) -> None:
    @app.get("/folder/")
    def folder(request: Request) -> str:
        return request.headers["x-one"]

    with app.test_client(headers={"X-One": "1"}, cookies={"given": "yes"}, follow_redirects=True) as client:
        assert client.get("/folder").text == "1"
        client.get("/cookie")
        assert client.get("/about").json()["cookies"] == {"given": "yes", "seen": "yes"}


def test_settings_are_the_apps_and_those_given_and_never_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MICROSOCK_MAX_BODY_SIZE", "3")
    app = make_app(max_body_size=10)
    with app.test_client() as client:
        assert client.post("/echo", content=b"x" * 10).status_code == 200
        assert client.post("/echo", content=b"x" * 11).status_code == 413
    with app.test_client(max_body_size=5) as client:
        assert client.post("/echo", content=b"x" * 6).status_code == 413
    with pytest.raises(BadSetting, match="max_body_siz"):
        app.test_client(max_body_siz=5)


@pytest.mark.parametrize("workers", [0, -1, True, 1.5, "2"])
def test_a_number_of_workers_that_is_none_is_refused(workers: Any) -> None:
    with pytest.raises(SetupError, match="a number of workers from 1 up"):
        make_app().test_client(workers=workers)


def test_start_and_stop_hooks_run_with_the_client(app: App) -> None:
    seen: list[str] = []
    app.on_start(lambda: seen.append("start"))
    app.on_stop(lambda: seen.append("stop"))
    client = app.test_client()
    assert seen == ["start"]
    client.close()
    client.close()
    client.world.close()
    assert seen == ["start", "stop"]
    with pytest.raises(RuntimeError, match="closed"):
        client.get("/echo")
    with pytest.raises(RuntimeError, match="closed"):
        client.raw(b"")


def test_a_body_goes_out_in_pieces_and_stops_when_the_answer_is_there_before_its_end(client: TestClient) -> None:
    sent: list[bytes] = []

    def pieces() -> Iterator[bytes]:
        while True:
            sent.append(b"x" * 1_000_000)
            yield sent[-1]

    response = client.post("/echo", content=pieces())
    assert response.status_code == 413
    assert 16 <= len(sent) <= 18
    assert client.post("/echo", content=iter([b"in ", b"pieces"])).text == "in pieces"


def test_a_body_waits_for_100_continue_and_stays_when_it_is_refused(client: TestClient) -> None:
    expecting = {"Expect": "100-continue"}
    assert client.post("/echo", content=b"hello", headers=expecting).text == "hello"
    assert "100 Continue" in client.transcript()
    assert client.post("/none", content=b"never sent", headers=expecting).status_code == 404
    assert "never sent" not in client.transcript()


def test_a_body_of_any_size_arrives_whole(client: TestClient) -> None:
    assert client.get("/big", params={"size": 5_000_000}).content == bytes(5_000_000)


def test_a_stream_is_pulled_piece_by_piece_and_an_endless_one_ends_when_it_is_left(app: App) -> None:
    ends: list[str] = []

    @app.get("/endless")
    def endless(request: Request) -> Iterator[str]:
        try:
            while True:
                yield "x" * 1000
        finally:
            ends.append("closed")

    with app.test_client() as client:
        with client.stream("GET", "/endless") as response:
            pieces = response.iter_bytes(1_000_000)
            assert len(next(pieces)) == len(next(pieces)) == 1_000_000
            assert ends == []
        assert ends == ["closed"]
        with client.stream("GET", "/count") as response:
            assert list(response.iter_lines()) == list("01234")


def test_a_stream_that_sleeps_goes_on_when_the_clock_does(client: TestClient) -> None:
    with client.stream("GET", "/half") as response:
        pieces = response.iter_text()
        assert next(pieces) == "half"
        client.advance(2)
        assert list(pieces) == [", whole"]


def test_an_answer_that_waits_for_the_clock_fails_at_once_and_says_what_to_write(client: TestClient) -> None:
    with pytest.raises(StillWaiting, match=r'client.start\("GET", "/later"\), then client.advance'):
        client.get("/later")
    with pytest.raises(StillWaiting, match="the rest of the answer to GET /half"):
        client.get("/half")
    assert client.get("/echo").status_code == 200


def test_a_stream_that_breaks_off_is_an_error_of_httpx(client: TestClient) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        client.get("/breaks")


def test_a_request_that_h11_cannot_say_is_an_error_of_httpx(client: TestClient) -> None:
    with pytest.raises(httpx.LocalProtocolError):
        client.get("/echo", headers={"X-Bad": "a\r\nb"})
    with pytest.raises(httpx.LocalProtocolError):
        client.post("/echo", content=b"too long", headers={"Content-Length": "3"})


def test_a_101_that_nobody_speaks_frames_after_is_an_answer_without_a_body(client: TestClient) -> None:
    response = client.get("/ws", headers=handshake_headers((), None))
    assert (response.status_code, response.content) == (101, b"")
    assert client.start("GET", "/ws", headers=handshake_headers((), None)).result().status_code == 101
    assert client.get("/echo").status_code == 200


def test_time_stands_still_unless_it_is_moved_and_never_goes_back(client: TestClient) -> None:
    dates = {client.get("/echo").headers["date"] for _ in range(3)}
    assert dates == {"Thu, 01 Jan 2026 00:00:00 GMT"}
    client.advance(3600)
    assert client.get("/echo").headers["date"] == "Thu, 01 Jan 2026 01:00:00 GMT"
    with pytest.raises(ValueError, match="forwards"):
        client.advance(-1)


def test_advance_stops_at_each_timer_on_the_way(client: TestClient) -> None:
    seen: list[float] = []

    def tick() -> None:
        seen.append(client.world.now())
        client.world.timers.call_at(client.world.now() + 0.5, tick)

    client.world.timers.call_at(0.5, tick)
    client.advance(1.75)
    assert seen == [0.5, 1.0, 1.5]


def test_small_steps_add_up(client: TestClient) -> None:
    pending = client.start("GET", "/later")
    for _ in range(20):
        assert not pending.done
        client.advance(0.1)
    assert pending.result().text == "at last"


def test_a_server_that_is_asked_to_stop_ends_what_runs_within_the_grace_time() -> None:
    with make_app(grace=3).test_client() as client:
        ws, idle = client.websocket("/ws"), client.raw_connection()
        short, long = client.start("GET", "/later"), client.start("GET", "/later", params={"seconds": 5})
        client.drain()
        assert ws.closed is not None
        assert ws.closed[0] == 1001
        client.advance(2)
        assert short.result().headers["connection"] == "close"
        assert idle.closed
        assert not long.done
        client.advance(1)
        with pytest.raises(httpx.RemoteProtocolError):
            long.result()


def test_an_app_that_never_rests_is_stopped(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("microsock.testing.world._MOST_TURNS", 5_000)

    def again() -> None:
        client.world.site.call_soon(again)

    again()
    with pytest.raises(RestlessApp):
        client.get("/echo")
    client.world.crew.worker(1).calls.clear()


def test_a_handler_that_uses_the_client_which_waits_for_it_is_told(app: App) -> None:
    @app.get("/loop")
    def loop(request: Request) -> Response:
        with pytest.raises(RuntimeError, match="would stand still"):
            client.get("/echo")
        return Response("told")

    with app.test_client() as client:
        assert client.get("/loop").text == "told"


def test_two_runs_give_the_same_transcript() -> None:
    def run() -> str:
        with make_app().test_client() as client:
            client.get("/count")
            client.start("GET", "/half")
            with client.websocket("/ws") as ws:
                ws.send("hello")
                client.advance(45)
            return client.transcript()

    assert run() == run()


def test_without_httpx_the_extra_is_named() -> None:
    code = (
        "import sys; sys.modules['httpx'] = None\n"
        "import microsock.testing.plugin\n"
        "try:\n    microsock.App().test_client()\n"
        "except microsock.MissingExtra as error:\n    print(error)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=dict(os.environ), check=True)
    assert "pip install httpx" in ran.stdout


def test_other_import_errors_and_other_names_are_not_disguised(monkeypatch: pytest.MonkeyPatch) -> None:
    import microsock.testing as testing

    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        testing.Nothing  # noqa: B018
    monkeypatch.setitem(testing._HOMES, "Nowhere", "nowhere")
    with pytest.raises(ModuleNotFoundError, match="nowhere"):
        testing.Nowhere  # noqa: B018
