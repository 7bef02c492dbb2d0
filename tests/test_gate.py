"""The gate: what a request counts against, asked of a store that writes down what it is asked."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b

import pytest

from microsock import App, Request, Response
from microsock.limits import Verdict
from microsock.rates import Rate
from microsock.testing import TestClient


class Store:
    """Lets everybody through, at once or when it is told to."""

    def __init__(self, prompt: bool = True) -> None:
        self.prompt = prompt
        self.evicted = 0
        self.keys: list[bytes] = []
        self.rates: list[Rate] = []
        self.later: list[Callable[[Verdict], None]] = []

    def hit(
        self, key: bytes, rate: Rate, done: Callable[[Verdict], None] | None = None, cost: int = 1
    ) -> Verdict | None:
        self.keys.append(key)
        self.rates.append(rate)
        if self.prompt or done is None:
            return Verdict(True, 3, 60.0)
        self.later.append(done)
        return None


def client_of(app: App, store: Store, **settings: object) -> TestClient:
    client = app.test_client(**settings)
    client.world.site.limits = store
    return client


@pytest.fixture
def app() -> App:
    app = App()

    @app.route("/users/{name}", ["GET", "POST"])
    @app.limit("1/minute", key=lambda request: str(request.params["name"]))
    @app.limit("3/hour")
    def users(request: Request, name: str) -> str:
        return name

    return app


def hidden(key: str) -> bytes:
    """What stands for an app's own key, which may be a secret."""
    return blake2b(key.encode(errors="surrogatepass"), digest_size=16).digest()


def test_a_key_says_which_limit_at_which_rate_of_which_route_and_who(app: App) -> None:
    store = Store()
    with client_of(app, store, rate_limit="9/second") as client:
        client.get("/users/ada")
    assert store.keys == [
        b"\x009/1.0\x00127.0.0.1",
        b"route GET|POST /users/{name}\x001/60.0\x00" + hidden("ada"),
        b"route-2 GET|POST /users/{name}\x003/3600.0\x00127.0.0.1",
    ]
    assert store.rates == [Rate(9, 1.0), Rate(1, 60.0), Rate(3, 3600.0)]


def test_a_key_may_be_any_text() -> None:
    app, store = App(), Store()
    app.get("/")(app.limit("1/minute", key=lambda request: "\ud800\u20ac")(lambda request: "x"))
    with client_of(app, store) as client:
        assert client.get("/").status_code == 200
    assert store.keys[0].endswith(hidden("\ud800\u20ac"))


def test_late_verdicts_belong_to_the_limits_they_were_asked_for(app: App) -> None:
    store = Store(prompt=False)
    with client_of(app, store, rate_limit="9/second") as client:
        answer = client.start("GET", "/users/ada")
        for remaining in (8, 2, 0):
            store.later.pop()(Verdict(True, remaining, 10.0))
        assert answer.result().headers["RateLimit"] == '"app";r=8;t=10, "route";r=2;t=10, "route-2";r=0;t=10'


@pytest.mark.parametrize("headers", [None, {"X-A": "b"}])
def test_what_limits_say_stays_with_its_answer(headers: dict[str, str] | None) -> None:
    app, page = App(), Response("hello", headers=headers, content_type="text/plain")
    app.get("/")(app.limit("5/minute")(lambda request: page))
    with app.test_client() as client:
        said = [client.get("/").headers["RateLimit"] for _ in range(3)]
        said += [client.get("/", headers={"Connection": "close"}).headers["RateLimit"] for _ in range(2)]
    assert said == [f'"route";r={left};t=60' for left in (4, 3, 2, 1, 0)]
    assert "RateLimit" not in page.headers


# What it says to those whom it refuses.


class Strict(Store):
    """Says the same to everybody."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__()
        self.verdict = verdict

    def hit(
        self, key: bytes, rate: Rate, done: Callable[[Verdict], None] | None = None, cost: int = 1
    ) -> Verdict | None:
        return self.verdict


@pytest.mark.parametrize(("left", "seconds"), [(0.0, 1), (0.2, 1), (1.0, 1), (1.1, 2), (59.5, 60)])
@pytest.mark.parametrize(("away", "status"), [(False, 429), (True, 503)])
def test_who_is_refused_is_told_in_whole_seconds_when_to_come_back(
    app: App, left: float, seconds: int, away: bool, status: int
) -> None:
    with client_of(app, Strict(Verdict(False, 0, left, away))) as client, client.raw_connection() as connection:
        connection.send(b"GET /users/ada HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = connection.receive()
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert b"\r\nRetry-After: %d\r\n" % seconds in answer


def test_where_nothing_can_be_counted_that_is_said(app: App) -> None:
    with client_of(app, Strict(Verdict(False, 0, 1.0, away=True))) as client:
        answer = client.get("/users/ada")
    assert answer.text == "503 requests cannot be counted now\n"
    assert "RateLimit" not in answer.headers


def test_who_has_not_connected_is_told_so() -> None:
    app = App(connection_required=True)
    app.get("/")(lambda request: "x")
    with app.test_client() as client:
        assert client.get("/").text == "400 this client is not connected\n"


def test_a_key_that_is_no_text_is_an_error_that_names_its_function(caplog: pytest.LogCaptureFixture) -> None:
    app = App()

    def by_number(request: Request) -> int:
        return 5

    app.get("/")(app.limit("1/minute", key=by_number)(lambda request: "x"))  # type: ignore[arg-type]
    with app.test_client() as client:
        assert client.get("/").status_code == 500
    assert "by_number' of @app.limit returned 5; return a str" in caplog.text


def test_a_rule_may_have_any_text_as_well() -> None:
    app, store = App(), Store()
    app.get("/\ud800")(app.limit("1/minute")(lambda request: "x"))
    (route,) = app.router.routes
    with client_of(app, store) as client:
        gate = client.world.site.gate
        assert gate is not None
        assert [meter.scope for meter in gate.meters(route)] == [b"route GET /\xed\xa0\x80\x001/60.0\x00"]


def test_the_limits_of_a_route_are_made_once(app: App) -> None:
    with client_of(app, Store(), rate_limit="9/second") as client:
        gate = client.world.site.gate
        assert gate is not None
        route = app.match(Request("GET", "/users/ada")).route
        assert [len(gate.meters(each)) for each in (route, None)] == [3, 1]
        assert gate.meters(route) is gate.meters(route) is not gate.meters(None)
