"""``app.status``: what it counts, in which form, and who may see it."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from pace import quickest

from microsock import App, BadRule, EventStream, Pending, Request, WebSocket
from microsock.board import private_board
from microsock.status import Standing, latency, report
from microsock.status_html import CONTENT_SECURITY_POLICY, PAGE
from microsock.tally import BOUNDS
from microsock.testing import TestClient


@pytest.fixture
def app() -> App:
    app = App()

    @app.get("/")
    def index(request: Request) -> str:
        return "hello"

    @app.get("/broken")
    def broken(request: Request) -> str:
        raise ZeroDivisionError

    @app.get("/news")
    def news(request: Request) -> EventStream:
        return EventStream("news")

    @app.websocket("/ws")
    def echo(ws: WebSocket, message: str) -> str:
        return message

    @echo.on_open
    def joined(ws: WebSocket) -> None:
        ws.subscribe("news")
        ws.subscribe(f"user:{ws.id}")

    app.status()
    return app


@pytest.fixture
def client(app: App) -> Iterator[TestClient]:
    with app.test_client(base_url="http://localhost") as client:
        yield client


def figures(client: TestClient, path: str = "/_status") -> dict[str, Any]:
    return dict(client.get(path).json())


# What is counted.


def test_requests_are_counted_by_status(client: TestClient) -> None:
    for path in ("/", "/", "/nowhere", "/broken"):
        client.get(path)
    requests = figures(client)["requests"]
    assert requests["by_status"] == {"200": 2, "404": 1, "500": 1}
    assert requests["by_class"] == {"2xx": 2, "4xx": 1, "5xx": 1}
    assert requests["total"] == 4


def test_what_connections_hold_is_shown_and_what_was_refused_for_it(app: App) -> None:
    with app.test_client(base_url="http://localhost", max_buffered_bytes=100_000) as client:
        client.raw_connection().send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n" + bytes(50_000))
        assert figures(client)["connections"]["buffered_bytes"] == 50_000
        assert client.post("/", content=bytes(90_000)).status_code == 503
        assert figures(client)["requests"]["bodies_refused"] == 1
        text = client.get("/_status?format=prometheus").text
        assert "microsock_buffered_bytes 50000\n" in text
        assert "microsock_bodies_refused_total 1\n" in text
        assert "microsock_connections_refused_total 0\n" in text


def test_what_is_open_is_counted_while_it_is(client: TestClient) -> None:
    ws = client.websocket("/ws")
    ws.send("a")
    assert ws.receive() == "a"
    stream = client.events("/news")
    now = figures(client)
    assert now["websockets"] == {"open": 1, "total": 1, "messages_received": 0, "messages_sent": 0}
    assert now["event_streams"] == {"open": 1, "total": 1}
    assert now["connections"] == {"open": 3, "total": 3, "refused": 0, "buffered_bytes": 0}
    assert now["requests"]["by_status"] == {"101": 1}  # an answer counts when it has ended
    ws.close()
    stream.close()
    later = figures(client)
    assert later["websockets"] == {"open": 0, "total": 1, "messages_received": 1, "messages_sent": 1}
    assert later["event_streams"] == {"open": 0, "total": 1}


def test_topics_are_counted_with_their_followers_the_most_followed_first(client: TestClient) -> None:
    with client.websocket("/ws"), client.websocket("/ws"):
        topics = figures(client)["topics"]
    assert (topics["count"], topics["followers"]) == (3, 4)
    assert topics["most_followed"][0] == {"topic": "news", "followers": 2}
    assert figures(client)["topics"] == {"count": 0, "followers": 0, "most_followed": []}


def test_the_time_of_an_endless_answer_is_not_counted(client: TestClient) -> None:
    stream = client.events("/news")
    client.advance(60)
    stream.close()
    assert figures(client)["latency"]["count"] == 0
    client.get("/")
    assert figures(client)["latency"]["count"] == 2  # and that of the question before


def test_a_client_that_leaves_before_the_answer_is_counted() -> None:
    app = App()
    app.status()

    @app.get("/later")
    def later(request: Request) -> Pending:
        return Pending()

    with app.test_client(base_url="http://localhost") as client:
        client.start("GET", "/later").cancel()
        assert figures(client)["requests"]["given_up"] == 1


def test_a_rate_limited_request_is_counted() -> None:
    app = App(rate_limit="3/minute")
    app.status()
    with app.test_client(base_url="http://localhost") as client:
        for _ in range(5):
            client.get("/nowhere", extensions={"client": ("127.0.0.2", 1)})
        now = figures(client)
    assert (now["rate_limited"], now["requests"]["by_status"]["429"]) == (2, 2)


def test_all_workers_are_one_sum_and_the_past_of_a_dead_one_belongs_to_it(app: App) -> None:
    with app.test_client(workers=3, base_url="http://localhost") as client:
        for number in (1, 2, 3):
            client.worker(number).get("/")
        kept = client.worker(2).websocket("/ws")
        client.worker(3).websocket("/ws")
        before = figures(client)
        client.kill_worker(2)
        after = figures(client)
    assert [worker["worker"] for worker in before["workers"]] == [1, 2, 3]
    assert before["requests"]["by_status"] == {"101": 2, "200": 3}
    assert (before["websockets"]["open"], before["topics"]["most_followed"][0]["followers"]) == (2, 2)
    assert kept.closed is not None
    assert (after["restarts"], after["websockets"]["open"], after["websockets"]["total"]) == (1, 1, 2)
    assert after["requests"]["by_status"]["101"] == 2


def test_the_uptime_is_that_of_the_clock(client: TestClient) -> None:
    client.advance(90)
    now = figures(client)
    assert now["uptime_seconds"] == 90
    assert now["workers"][0]["uptime_seconds"] == 90


def test_quantiles_are_read_from_the_histogram() -> None:
    buckets = [0] * (len(BOUNDS) + 1)
    assert latency(buckets, 0)["p50_seconds"] is None
    buckets[BOUNDS.index(0.01)] = 98
    buckets[BOUNDS.index(1.0)] = 2
    found = latency(buckets, 1_500_000)
    assert 0.005 < found["p50_seconds"] < 0.01
    assert 0.5 < found["p99_seconds"] <= 1.0
    assert (found["count"], found["sum_seconds"]) == (100, 1.5)
    assert latency([0] * len(BOUNDS) + [5], 1)["p50_seconds"] == BOUNDS[-1]


# In which form.

CHROMIUM = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
PROMETHEUS = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1"


@pytest.mark.parametrize(
    ("query", "accept", "content_type"),
    [
        ("", "*/*", "application/json"),
        ("", "application/json", "application/json"),
        ("", CHROMIUM, "text/html; charset=utf-8"),
        ("", PROMETHEUS, "text/plain; version=0.0.4; charset=utf-8"),
        ("?format=prometheus", CHROMIUM, "text/plain; version=0.0.4; charset=utf-8"),
        ("?format=html", "*/*", "text/html; charset=utf-8"),
        ("?format=json", CHROMIUM, "application/json"),
    ],
)
def test_whoever_asks_gets_the_form_it_takes(client: TestClient, query: str, accept: str, content_type: str) -> None:
    answer = client.get(f"/_status{query}", headers={"Accept": accept})
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, content_type)
    assert (answer.headers["Cache-Control"], answer.headers["Vary"]) == ("no-store", "Accept")


def test_a_form_that_there_is_not_is_400(client: TestClient) -> None:
    answer = client.get("/_status?format=xml")
    assert answer.status_code == 400
    assert "there are json, prometheus, html" in answer.text


SAMPLE = re.compile(r'microsock_[a-z_]+(?:_bucket)?(?:\{[a-z]+="[^"]*"\})? -?[0-9.e+-]+')


def test_every_line_of_the_text_is_one_that_prometheus_reads(client: TestClient) -> None:
    client.get("/nowhere")
    lines = client.get("/_status?format=prometheus").text.splitlines()
    named = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    samples = [line for line in lines if not line.startswith("#")]
    assert all(SAMPLE.fullmatch(line) for line in samples)
    assert len(named) == len(set(named))
    for line in samples:
        base = re.split(r"[{ ]", line)[0]
        assert base in named or re.sub("_(bucket|sum|count)$", "", base) in named
    assert 'microsock_requests_total{status="404"} 1' in samples


def test_the_buckets_of_the_text_add_up(client: TestClient) -> None:
    for _ in range(3):
        client.get("/")
    lines = client.get("/_status?format=prometheus").text.splitlines()
    counts = [int(line.split()[1]) for line in lines if line.startswith("microsock_request_seconds_bucket")]
    assert counts == sorted(counts)
    assert (counts[-1], len(counts)) == (3, len(BOUNDS) + 1)
    assert 'microsock_request_seconds_bucket{le="+Inf"} 3' in lines
    assert "microsock_request_seconds_count 3" in lines


def test_the_page_loads_nothing_from_elsewhere_and_allows_nothing_else(client: TestClient) -> None:
    answer = client.get("/_status", headers={"Accept": CHROMIUM})
    assert answer.text == PAGE
    assert not re.findall(r'(?:src|href)="(?!data:,)', PAGE)
    assert answer.headers["Content-Security-Policy"] == CONTENT_SECURITY_POLICY
    assert "default-src 'none'" in CONTENT_SECURITY_POLICY
    assert "unsafe" not in CONTENT_SECURITY_POLICY


def test_a_name_with_markup_is_text_to_the_page() -> None:
    assert "innerHTML" not in PAGE
    assert "insertAdjacentHTML" not in PAGE


# Who may see it.


@pytest.mark.parametrize(
    "header",
    [
        "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded", "Via", "X-Real-IP", "CF-Connecting-IP",
        "X-Original-Forwarded-For", "Client-IP", "X-Envoy-External-Address", "Fastly-Client-IP", "X-Azure-ClientIP",
    ],
)  # fmt: skip
def test_a_local_proxy_makes_nobody_local(client: TestClient, header: str) -> None:
    answer = client.get("/_status", headers={header: "127.0.0.1"})
    assert answer.status_code == 403
    assert header.lower() in answer.text


@pytest.mark.parametrize(
    "host", ["example.org", "localhost.example.org", "10.0.0.1", "[2001:db8::1]", "127.0.0.1.nip.io"]
)
def test_a_host_that_is_no_name_of_the_loopback_is_refused(client: TestClient, host: str) -> None:
    assert client.get("/_status", headers={"Host": host}).status_code == 403


def test_a_target_that_names_the_loopback_does_not_make_up_for_the_host(client: TestClient) -> None:
    # A proxy that chooses by Host may pass the target on as it is.
    said = client.raw(b"GET http://localhost/_status HTTP/1.1\r\nHost: example.org\r\nConnection: close\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 403")


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8080", "app.localhost", "127.0.0.1:80", "127.9.9.9", "[::1]:8080"]
)
def test_a_name_of_the_loopback_is_let_in(client: TestClient, host: str) -> None:
    assert client.get("/_status", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("client_host", ["10.0.0.1", "2001:db8::1", "/run/app.sock", ""])
def test_a_client_that_is_not_on_the_loopback_is_refused(client: TestClient, client_host: str) -> None:
    answer = client.get("/_status", extensions={"client": (client_host, 1)})
    assert (answer.status_code, "loopback" in answer.text) == (403, True)


@pytest.mark.parametrize("client_host", ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"])
def test_a_client_on_the_loopback_is_let_in(client: TestClient, client_host: str) -> None:
    assert client.get("/_status", extensions={"client": (client_host, 1)}).status_code == 200


@pytest.mark.parametrize(
    ("origin", "status"),
    [("https://evil.example", 403), ("null", 403), ("http://[", 403), ("http://[x]", 403), ("http://localhost", 200)],
)
def test_a_page_of_another_site_is_refused(client: TestClient, origin: str, status: int) -> None:
    assert client.get("/_status", headers={"Origin": origin}).status_code == status


def test_a_guard_decides_alone() -> None:
    app = App()
    app.status("/figures", guard=lambda request: request.headers.get("Authorization") == "Bearer s3cr3t")
    with app.test_client() as client:
        answers = [
            client.get("/figures", headers={"Authorization": "Bearer s3cr3t", "Via": "1.1 proxy"}),
            client.get("/figures", headers={"Authorization": "Bearer guess"}, extensions={"client": ("127.0.0.1", 1)}),
        ]
    assert [answer.status_code for answer in answers] == [200, 403]


def test_a_guard_that_cannot_be_called_with_a_request_is_refused_at_once() -> None:
    with pytest.raises(BadRule, match=r"app\.status\(guard=\) calls it with \(request\)"):
        App().status(guard=lambda: True)  # type: ignore[misc, arg-type]


def test_it_answers_head_and_refuses_post(client: TestClient) -> None:
    assert client.head("/_status").status_code == 200
    assert client.post("/_status").status_code == 405


def test_a_report_of_256_workers_is_made_within_a_tenth_of_a_second() -> None:
    board = private_board(float, 256)
    for number in range(1, 257):
        board.tally(board.claim(number), number)
    # What it costs to measure coverage is more than the work itself.
    most = 0.1 if sys.gettrace() is None else 0.6
    assert quickest(lambda: _timed(lambda: report([Standing(board, {})])), most) < most


def _timed(call: Any) -> float:
    began = time.process_time()
    call()
    return time.process_time() - began


def test_several_servers_of_one_app_are_added_up_but_one_board_once(app: App) -> None:
    with app.test_client(base_url="http://localhost") as one, app.test_client(base_url="http://localhost") as other:
        one.get("/")
        other.get("/")
        assert figures(one)["requests"]["by_status"] == {"200": 2}
