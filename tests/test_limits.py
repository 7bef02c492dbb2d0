"""Rate limits: windows, who counts as one, and what the app answers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from microsock import Address, App, BadSetting, Request, Response, Server, SetupError, WebSocket, WebSocketClosed
from microsock.limits import MemoryStore, Verdict, client_of, limit_lines
from microsock.rates import Rate
from microsock.testing import TestClient, WebSocketRefused

FIVE = Rate(5, 60.0)
ELSEWHERE = {"client": ("10.0.0.7", 1)}


class Clock:
    """A clock that only the test moves."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> MemoryStore:
    return MemoryStore(clock)


# Windows.


def test_a_window_begins_at_the_first_request_and_ends_by_the_clock(store: MemoryStore, clock: Clock) -> None:
    assert store.hit(b"a", FIVE) == Verdict(True, 4, 60.0)
    clock.seconds += 59
    assert [store.hit(b"a", FIVE).allowed for _ in range(5)] == [True, True, True, True, False]
    assert store.hit(b"a", FIVE) == Verdict(False, 0, 1.0)
    clock.seconds += 1
    assert store.hit(b"a", FIVE) == Verdict(True, 4, 60.0)


def test_a_request_that_is_refused_does_not_count(store: MemoryStore) -> None:
    assert store.hit(b"a", FIVE, cost=4).remaining == 1
    assert not store.hit(b"a", FIVE, cost=2).allowed
    assert store.hit(b"a", FIVE).allowed


def test_keys_do_not_share_a_count_however_long_they_are(store: MemoryStore) -> None:
    long = [b"x" * 5000 + tail for tail in (b"1", b"2")]
    assert [store.hit(key, Rate(1, 1.0)).allowed for key in (*long, *long)] == [True, True, False, False]


def test_a_full_store_forgets_the_quiet_first_and_says_how_often(clock: Clock) -> None:
    store = MemoryStore(clock, room=4)
    for _ in range(5):
        store.hit(b"flooder", FIVE)
    for number in range(100):
        store.hit(b"%d" % number, FIVE)
    assert len(store) == 4
    assert store.evicted == 97
    assert not store.hit(b"flooder", FIVE).allowed


def test_many_who_flood_are_kept_however_large_the_crowd(clock: Clock) -> None:
    store = MemoryStore(clock, room=100)
    flooders = [b"flooder %d" % number for number in range(40)]
    for flooder in flooders * 5:
        store.hit(flooder, FIVE)
    for number in range(1000):
        store.hit(b"%d" % number, FIVE)
    assert not any(store.hit(flooder, FIVE).allowed for flooder in flooders)


def test_what_is_over_makes_room_without_being_missed(clock: Clock) -> None:
    store = MemoryStore(clock, room=4)
    for number in range(100):
        store.hit(b"%d" % number, FIVE)
        clock.seconds += 30
    assert (len(store) <= 4, store.evicted) == (True, 0)


def test_a_crowd_with_short_windows_does_not_push_out_long_ones_while_its_own_are_over(clock: Clock) -> None:
    store, five_a_day = MemoryStore(clock, room=100), Rate(5, 86_400.0)
    guessers = [b"guesser %d" % number for number in range(10)]
    for guesser in guessers * 5:
        assert store.hit(guesser, five_a_day).allowed
    for number in range(1000):
        store.hit(b"%d" % number, FIVE)
        clock.seconds += 10
    assert (len(store) <= 100, store.evicted) == (True, 0)
    assert not any(store.hit(guesser, five_a_day).allowed for guesser in guessers)


# Who is counted as one.


@pytest.mark.parametrize(
    ("host", "counted"),
    [
        ("10.0.0.7", "10.0.0.7"),
        ("unix", "unix"),
        ("::ffff:10.0.0.7", "10.0.0.7"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:DB8:0:0:ffff::2", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("what:ever", "what:ever"),
    ],
)
def test_an_ipv6_network_of_64_bits_counts_as_one_client(host: str, counted: str) -> None:
    assert client_of(Address(host, 1)) == counted


def test_the_header_lines_follow_the_draft() -> None:
    lines = limit_lines([("app", FIVE, Verdict(True, 3, 12.2)), ("route", Rate(1, 0.5), Verdict(False, 0, 0.1))])
    assert lines == [
        ("RateLimit-Policy", '"app";q=5;w=60, "route";q=1;w=1'),
        ("RateLimit", '"app";r=3;t=13, "route";r=0;t=1'),
    ]


# The app.


@pytest.fixture
def app() -> App:
    app = App()

    @app.get("/free")
    def free(request: Request) -> str:
        return "free"

    @app.route("/paid", ["GET", "POST"])
    @app.limit("2/minute")
    def paid(request: Request) -> str:
        return "paid"

    @app.get("/users/{name}")
    @app.limit("1/minute", key=lambda request: str(request.params["name"]))
    @app.limit("3/hour")
    def users(request: Request, name: str) -> str:
        return name

    @app.websocket("/echo")
    @app.limit("1/minute")
    def echo(ws: WebSocket, message: str) -> str:
        return message

    return app


def statuses(client: TestClient, path: str, times: int, **options: object) -> list[int]:
    return [client.get(path, **options).status_code for _ in range(times)]  # type: ignore[arg-type]


def test_a_rate_limit_refuses_the_eleventh_request_of_a_client_until_its_window_is_over(app: App) -> None:
    with app.test_client(rate_limit="10/minute") as client:
        assert statuses(client, "/free", 12) == [200] * 10 + [429] * 2
        assert statuses(client, "/free", 1, extensions=ELSEWHERE) == [200]
        client.advance(59)
        assert statuses(client, "/free", 1) == [429]
        client.advance(1)
        assert statuses(client, "/free", 1) == [200]


def test_without_a_limit_no_answer_speaks_of_one(app: App) -> None:
    with app.test_client() as client:
        assert not [name for name in client.get("/free").headers if name.startswith(("ratelimit", "retry"))]


def test_an_answer_tells_what_is_left_and_a_refusal_when_to_come_back(app: App) -> None:
    with app.test_client(rate_limit="2/minute") as client:
        first = client.get("/free")
        assert (first.headers["RateLimit"], first.headers["RateLimit-Policy"]) == ('"app";r=1;t=60', '"app";q=2;w=60')
        client.advance(50.5)
        client.get("/nowhere")
        refused = client.get("/free")
        assert refused.status_code == 429
        assert refused.headers["Retry-After"] == "10"
        assert refused.headers["RateLimit"] == '"app";r=0;t=10'


def test_the_error_handler_gets_the_refusal_with_its_type(app: App) -> None:
    @app.error(429)
    def slow_down(request: Request, error: Exception) -> dict[str, str]:
        return {"type": error.type}  # type: ignore[attr-defined]

    with app.test_client(rate_limit="1/minute") as client:
        client.get("/free")
        refused = client.get("/free")
        assert (refused.status_code, refused.json()) == (429, {"type": "REQUEST_LIMIT"})
        assert refused.headers["Retry-After"] == "60"


def test_a_route_has_its_own_count_and_the_others_none(app: App) -> None:
    with app.test_client() as client:
        assert statuses(client, "/paid", 3) == [200, 200, 429]
        assert statuses(client, "/free", 5) == [200] * 5
        assert client.post("/paid").status_code == 429
        assert client.get("/free").headers.get("RateLimit") is None


def test_limits_of_one_route_and_one_rate_do_not_share_a_count() -> None:
    app = App()

    @app.get("/login")
    @app.limit("2/minute", key=lambda request: request.args["user"])
    @app.limit("2/minute")
    def login(request: Request) -> str:
        return "hello"

    with app.test_client(client=("192.0.2.7", 1)) as client:
        # A name that somebody has chosen may be another's address.
        assert client.get("/login?user=192.0.2.7").headers["RateLimit"] == '"route";r=1;t=60, "route-2";r=1;t=60'


def test_several_limits_of_a_route_all_hold(app: App) -> None:
    with app.test_client() as client:
        assert [client.get(f"/users/{name}").status_code for name in "aabcd"] == [200, 429, 200, 200, 429]
        told = client.get("/users/a")
        assert told.headers["RateLimit-Policy"] == '"route";q=1;w=60'
        assert client.get("/users/e").headers["RateLimit"] == '"route";r=0;t=60, "route-2";r=0;t=3600'


def test_handshakes_count_and_are_refused_before_they_are_answered(app: App) -> None:
    with app.test_client() as client:
        with client.websocket("/echo") as ws:
            ws.send("hello")
            assert ws.receive() == "hello"
            assert ws.response.headers["RateLimit"] == '"route";r=0;t=60'
        with pytest.raises(WebSocketRefused) as refused:
            client.websocket("/echo")
        assert refused.value.response.status_code == 429


def test_a_request_is_charged_before_its_body_is_read(app: App) -> None:
    with app.test_client(rate_limit="1/minute") as client:
        client.get("/free")
        answer = client.raw(b"POST /paid HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 429 ")
        expecting = b"POST /paid HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n"
        assert client.raw(expecting).startswith(b"HTTP/1.1 429 ")


def test_a_request_with_a_body_is_charged_once(app: App) -> None:
    with app.test_client(rate_limit="2/minute") as client:
        assert client.post("/paid", content=b"a body").headers["RateLimit"] == '"app";r=1;t=60, "route";r=1;t=60'


def test_fresh_connections_do_not_begin_a_new_count(app: App) -> None:
    with app.test_client(rate_limit="10/minute") as client:
        answers = [client.raw(b"GET /free HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") for _ in range(100)]
        assert sum(answer.startswith(b"HTTP/1.1 200") for answer in answers) == 10


def test_three_workers_count_together_and_a_count_survives_a_worker(app: App) -> None:
    with app.test_client(workers=3, rate_limit="10/minute") as client:
        assert statuses(client, "/free", 9) == [200] * 9
        client.kill_worker(2)
        assert statuses(client, "/free", 3) == [200, 429, 429]


def test_a_key_that_raises_or_is_no_text_is_an_error_of_the_app(caplog: pytest.LogCaptureFixture) -> None:
    app = App()
    app.add_route("/number", app.limit("5/minute", key=lambda request: 7)(_hello))  # type: ignore[arg-type, return-value]
    app.add_route("/absent", app.limit("5/minute", key=lambda request: request.headers["absent"])(_other))
    with app.test_client() as client:
        assert [client.get(path).status_code for path in ("/number", "/absent")] == [500, 500]
    assert "returned 7; return a str" in caplog.text


def _hello(request: Request) -> str:
    return "hello"


def test_a_limit_holds_through_a_decorator_between_it_and_the_route() -> None:
    from functools import wraps

    app = App()

    def shouted(handler: Callable[[Request], str]) -> Callable[[Request], str]:
        @wraps(handler)
        def shout(request: Request) -> str:
            return handler(request).upper()

        return shout

    app.get("/")(shouted(app.limit("1/minute")(_hello)))
    with app.test_client() as client:
        assert statuses(client, "/", 2) == [200, 429]


def test_a_limit_above_its_route_is_refused_since_it_would_do_nothing(app: App) -> None:
    with pytest.raises(SetupError, match=r"@app\.limit stands above the route of 'lost'; put it under"):

        @app.limit("5/minute")
        @app.get("/lost")
        def lost(request: Request) -> str:
            return ""

    with pytest.raises(SetupError, match="stands above the route of 'socket'"):

        @app.limit("5/minute")
        @app.websocket("/lost")
        def socket(ws: WebSocket, message: str) -> None: ...


@pytest.mark.parametrize("rate", ["5", "5/fortnight", 5, (0, 1), (1, 0)])
def test_what_is_no_rate_is_refused_where_it_is_written(app: App, rate: object) -> None:
    with pytest.raises(SetupError, match="is no rate"):
        app.limit(rate)  # type: ignore[arg-type]
    with pytest.raises(BadSetting):
        App(rate_limit=rate)


def test_a_limit_or_rate_that_comes_while_the_app_is_served_holds_from_then_on() -> None:
    app = App()
    app.get("/old")(_hello)
    with app.test_client() as client:
        assert statuses(client, "/old", 2) == [200, 200]
        app.get("/new")(app.limit("1/minute")(_other))
        assert statuses(client, "/new", 2) == [200, 429]
        assert app.set_rate_limit(1, 60) is app
        assert statuses(client, "/old", 2) == [200, 429]


def _other(request: Request) -> str:
    return "other"


def test_set_rate_limit_of_a_server_takes_a_number_and_seconds(app: App) -> None:
    with Server(app, port=0) as server:
        assert server.set_rate_limit(100, 60) is server
        assert server.settings.rate_limit == Rate(100, 60.0)
    with pytest.raises(BadSetting):
        app.set_rate_limit(0, 60)


def test_refusals_are_counted(app: App) -> None:
    from microsock.tally import Cell

    with app.test_client() as client:
        statuses(client, "/paid", 5)
        assert client.world.site.tally.cells[Cell.RATE_LIMITED] == 3


# A store whose verdicts come later.


class LateStore:
    """Says nothing until it is told to."""

    prompt = False

    def __init__(self) -> None:
        self.evicted = 0
        self.asked: list[Callable[[Verdict], None]] = []

    def hit(
        self, key: bytes, rate: Rate, done: Callable[[Verdict], None] | None = None, cost: int = 1
    ) -> Verdict | None:
        assert done is not None
        self.asked.append(done)
        return None


@pytest.fixture
def late() -> LateStore:
    return LateStore()


@pytest.fixture
def waiting(app: App, late: LateStore) -> TestClient:
    client = app.test_client(rate_limit="5/minute")
    client.world.site.limits = late
    return client


def test_a_request_waits_for_a_verdict_that_comes_later(waiting: TestClient, late: LateStore) -> None:
    with waiting as client:
        get, post = client.start("GET", "/free"), client.start("POST", "/paid", content=b"body")
        assert [get.done, post.done] == [False, False]
        late.asked.pop(0)(Verdict(True, 4, 60.0))
        assert get.result().headers["RateLimit"] == '"app";r=4;t=60'
        late.asked.pop(0)(Verdict(True, 3, 60.0))
        late.asked.pop(0)(Verdict(True, 1, 60.0))
        assert post.result().text == "paid"


def test_a_late_verdict_may_refuse(waiting: TestClient, late: LateStore) -> None:
    with waiting as client:
        first, second = client.start("GET", "/free"), client.start("POST", "/paid", content=b"body")
        late.asked.pop(0)(Verdict(False, 0, 30.0))
        assert (first.result().status_code, first.result().headers["Retry-After"]) == (429, "30")
        late.asked.pop(0)(Verdict(False, 0, 0.0, away=True))
        assert second.result().status_code == 503
        assert "RateLimit" not in second.result().headers


def test_a_late_verdict_lets_a_handshake_through(waiting: TestClient, late: LateStore) -> None:
    with waiting as client, client.raw_connection() as raw:
        raw.send(
            b"GET /echo HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
            b"\x81\x82\0\0\0\0hi"
        )
        late.asked.pop(0)(Verdict(True, 4, 60.0))
        late.asked.pop(0)(Verdict(True, 0, 60.0))
        answer = raw.receive()
        assert answer.startswith(b"HTTP/1.1 101 ")
        assert answer.endswith(b"\x81\x02hi")


def test_a_verdict_for_a_client_that_has_gone_is_for_nobody(waiting: TestClient, late: LateStore) -> None:
    with waiting as client:
        raw = client.raw_connection()
        raw.send(b"GET /free HTTP/1.1\r\nHost: x\r\n\r\n")
        raw.close()
        late.asked.pop(0)(Verdict(True, 4, 60.0))
        assert "200" not in client.transcript()


# Messages and control frames of one WebSocket.


def test_messages_past_ws_message_limit_close_with_1008(app: App) -> None:
    with app.test_client(ws_message_limit="2/second") as client, client.websocket("/echo") as ws:
        for _ in range(3):
            ws.send("a")
            ws.send("b")
            assert [ws.receive(), ws.receive()] == ["a", "b"]
            client.advance(1)
        for _ in range(3):
            ws.send("c")
        assert [ws.receive(), ws.receive()] == ["c", "c"]
        with pytest.raises(WebSocketClosed) as closed:
            ws.receive()
        assert (closed.value.code, closed.value.reason) == (1008, "too many messages")


def test_pings_and_pongs_past_max_control_frames_close_with_1008(app: App) -> None:
    with app.test_client(max_control_frames="4/second") as client, client.websocket("/echo") as ws:
        for _ in range(2):
            for opcode in (9, 10, 9, 10):
                ws.send_frame(opcode=opcode)
            client.advance(1)
        for opcode in (9, 10, 9, 10, 9):
            ws.send_frame(opcode=opcode)
        with pytest.raises(WebSocketClosed) as closed:
            ws.receive()
        assert (closed.value.code, closed.value.reason) == (1008, "too many control frames")


def test_control_frames_may_be_unlimited(app: App) -> None:
    with app.test_client(max_control_frames=None) as client, client.websocket("/echo") as ws:
        for _ in range(300):
            ws.send_frame(opcode=10)
        ws.send("still here")
        assert ws.receive() == "still here"


def test_a_response_of_the_app_may_say_otherwise(app: App) -> None:
    @app.on_response
    def hide(request: Request, response: Response) -> None:
        response.headers.pop("RateLimit-Policy")

    with app.test_client(rate_limit="5/minute") as client:
        answer = client.get("/free")
        assert "RateLimit" in answer.headers
        assert "RateLimit-Policy" not in answer.headers
