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
