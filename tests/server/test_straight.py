"""A whole connection twice: once as it is, and once with every request on the long way, through h11 and the turn.

They must answer with the same bytes, count, log and wait the same, and end the same way.
`python -m tests.server.test_straight 1000000` compares as many connections.
"""

from __future__ import annotations

import logging
import random
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from protocol.test_both_ways import at_the_limits, calm_request, mutated, pieces_of, random_request

from microsock import App, HTTPError, Request, Response
from microsock.protocol.scanner import Limits
from microsock.request import Address
from microsock.response import Pending
from microsock.server.connection import Connection
from microsock.site import Answered
from microsock.tally import Cell
from microsock.testing.memory import MemoryTransport
from microsock.testing.world import World

pytestmark = pytest.mark.usefixtures("untraced")

PATHS = (
    "/", "/users/7", "/users/x", "/json", "/list", "/bytes", "/made", "/cookie", "/empty", "/raise", "/refuse",
    "/later", "/stream", "/large", "/tuple", "/close", "/length", "/illegal", "/nothing", "/small", "/missing",
    "/a?b=%20", "/slow/", "/echo", "/scarce", "/keyed", "/own",
)  # fmt: skip
COUNTS = (Cell.CONNECTIONS, Cell.GIVEN_UP, Cell.RATE_LIMITED, *range(Cell.STATUS, Cell.STATUS + 500))


def an_app() -> tuple[App, list[Pending]]:
    app, tokens = App(), []

    @app.route("/", methods="*")
    def home(request: Request) -> str:
        return f"{request.method} {request.args.get('q')} {request.headers.get('x-unique')} {len(request.body)}"

    @app.get("/users/{number:int}")
    def user(request: Request, number: int) -> dict[str, int]:
        return {"number": number}

    @app.route("/echo", methods="POST|PUT")
    def echo(request: Request) -> bytes:
        return request.body

    @app.post("/small", max_body_size=4)
    def small(request: Request) -> bytes:
        return request.body

    @app.get("/later")
    def later(request: Request) -> Pending:
        tokens.append(token := Pending(finite=True))
        return token

    @app.get("/stream")
    def stream(request: Request) -> Iterator[str]:
        yield "a"
        yield "b"

    @app.get("/raise")
    def fail(request: Request) -> str:
        raise ValueError("on purpose")

    @app.get("/refuse")
    def refuse(request: Request) -> str:
        raise HTTPError(418, headers=[("X-Tea", "pot")])

    @app.get("/cookie")
    def cookie(request: Request) -> Response:
        response = Response("x", 201, {"X-A": "b"})
        response.set_cookie("a", "b")
        return response

    @app.get("/illegal")
    def illegal(request: Request) -> Response:
        response = Response("x")
        response.headers._lines.append(("X-A", "a\r\nEvil: 1"))
        return response

    @app.route("/scarce", methods="GET|POST")
    @app.limit("2/minute")
    @app.limit("9/hour")
    def scarce(request: Request) -> str:
        return f"{len(request.body)}"

    @app.route("/keyed", methods="GET|POST|PUT")
    @app.limit("2/minute", key=lambda request: str(request.json() if request.body else request.headers["x-unique"]))
    def keyed(request: Request) -> Response:
        return Response("", 204)

    @app.get("/own")
    @app.limit("2/minute")
    def own(request: Request) -> Response:
        return Response("x", headers={"RateLimit": "own"})

    @app.error(413)
    def too_much(request: Request, error: HTTPError) -> str:
        return f"{len(request.body)}"

    values: dict[str, Any] = {
        "/json": {"a": [1, "ü"]}, "/list": [1, 2], "/bytes": b"\0\xff", "/large": "x" * 70_000, "/empty": ("", 204),
        "/tuple": ("made", 202, {"X-B": "c"}), "/nothing": None, "/slow/": "slow",
    }  # fmt: skip
    for path, value in values.items():
        app.get(path)(lambda request, value=value: value)
    made = (
        ("/made", lambda: Response("x", content_type="text/plain")),
        ("/close", lambda: Response("x", headers={"Connection": "close"})),
        ("/length", lambda: Response("x", headers={"Content-Length": "9", "Date": "never"})),
    )
    for path, make in made:
        app.get(path)(lambda request, make=make: make())
    return app, tokens


def change(request: Request, response: Response) -> Response | str | None:
    response.headers["X-Hook"] = "yes"
    return Response(iter(["streamed"])) if request.path == "/json" else "other" if request.path == "/list" else None


SETTINGS: tuple[dict[str, Any], ...] = (
    {}, {}, {}, {"rate_limit": "3/minute"}, {"rate_limit": "99/minute"}, {"max_keep_alive_requests": 2},
    {"max_body_size": 4}, {"behind_proxy": True}, {"connection_required": True}, {"debug": True}, {"websocket": False},
)  # fmt: skip


class Late:
    """Answers that leave when the test says so."""

    def __init__(self) -> None:
        self.waiting: list[Connection] = []

    def admit(self, connection: Connection) -> bool:
        self.waiting.append(connection)
        return True

    def leave(self) -> None:
        while self.waiting:
            self.waiting.pop().depart()


class Side:
    """One connection to an app of its own, and all that can be seen of it."""

    def __init__(self, settings: dict[str, Any], hook: bool, *, straight: bool, limits: Limits | None = None) -> None:
        app, self.tokens = an_app()
        if hook:
            app.on_response(change)
        self.world = World(app, settings)
        self.log: list[object] = []
        self.world.site.access = self.log.append
        self.transport = MemoryTransport()
        self.ended = 0
        self.late = Late()
        if straight:
            self.world.site.departures = self.late
        self.connection = Connection(
            self.world.site, self.transport, self.world.timers, client=Address("1.2.3.4", 5), on_closed=self.closed
        )
        http = self.connection._exchange.session.http
        http._short = straight
        http._limits = limits or http._limits

    def closed(self, connection: Connection) -> None:
        self.ended += 1

    def feed(self, data: bytes) -> None:
        """Some bytes, or the end; then all that follows from it."""
        if data:
            self.transport.deliver(data)
        else:
            self.transport.half_close()
        self.settle()

    def settle(self) -> None:
        """Turn until the connection has nothing to do."""
        while not self.connection.closed and any(ready := self.transport.ready()):
            self.connection.handle(*ready)
            self.late.leave()
            self.world.settle()

    def seen(self) -> tuple[object, ...]:
        """What it has said, counted, logged, and waits for."""
        said = bytearray()
        while piece := self.transport.take():
            said += piece
            self.settle()
        connection, patience = self.connection, self.connection._patience
        log = [entry[:-1] if isinstance(entry, Answered) else entry for entry in self.log]
        counts = [self.world.site.tally.cells[cell] for cell in COUNTS]
        state = connection.closed, connection.received, connection.sent, connection.reading, connection.waiting
        waits = patience.get("wait"), patience.get("write"), patience.get("linger"), connection.about
        return bytes(said), log, counts, state, waits, self.ended, len(self.tokens)


def with_a_path(rng: random.Random, raw: bytes) -> bytes:
    """The same request, often for something that the app has."""
    start, _, rest = raw.partition(b"\r\n")
    words = start.split(b" ")
    if len(words) == 3 and rng.random() < 0.8:
        words[1] = rng.choice(PATHS).encode()
    return b" ".join(words) + b"\r\n" + rest


def compare(seed: int) -> None:
    """Tell the same to both."""
    rng = random.Random(seed)
    make: list[Callable[[random.Random], bytes]] = [calm_request, calm_request, calm_request, random_request]
    made = [with_a_path(rng, rng.choice(make)(rng)) for _ in range(rng.choice((1, 2, 3, 5)))]
    limits = None
    if rng.random() < 0.1:
        raw, limits = at_the_limits(rng)
        made = [raw]
    # As clients do, one after the other; or cut anywhere, or mangled.
    parts = made if rng.random() < 0.6 else pieces_of(rng, b"".join(made))
    if rng.random() < 0.3:
        parts = pieces_of(rng, mutated(rng, b"".join(made)))
    settings, hook, drains = rng.choice(SETTINGS), rng.random() < 0.2, rng.random() < 0.05
    sides = [Side(settings, hook, straight=straight, limits=limits) for straight in (True, False)]
    for part in [*parts, b""] if rng.random() < 0.2 else parts:
        seen = [fed(side, part, drains) for side in sides]
        assert seen[0] == seen[1], f"seed {seed}: {parts!r}"
        drains = drains and rng.random() < 0.5
    for number in range(len(sides[0].tokens)):
        seen = [completed(side, number) for side in sides]
        assert seen[0] == seen[1], f"seed {seed}, completed: {parts!r}"


def fed(side: Side, part: bytes, drains: bool) -> tuple[object, ...]:
    if drains:
        side.world.site.ending = side.world.site.draining = True
        side.connection.drain()
    if not side.connection.closed:
        side.feed(part)
    return side.seen()


def completed(side: Side, number: int) -> tuple[object, ...]:
    side.tokens[number].complete("at last")
    side.world.settle()
    side.settle()
    return side.seen()


@pytest.mark.parametrize("part", range(4))
def test_a_connection_fares_the_same_on_both_ways(part: int, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "microsock")
    for seed in range(part * 500, part * 500 + 500):
        compare(seed)


@pytest.mark.parametrize("hook", [False, True])
@pytest.mark.parametrize("path", PATHS)
def test_limits_say_the_same_on_both_ways_until_and_when_they_refuse(
    path: str, hook: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "microsock")
    for ask in (f"GET {path} HTTP/1.1\r\nHost: a\r\nX-Unique: b\r\n\r\n", posted(path)):
        sides = [Side({"rate_limit": "2/minute"}, hook, straight=straight) for straight in (True, False)]
        for _ in range(3):
            seen = [fed(side, ask.encode(), False) for side in sides]
            assert seen[0] == seen[1]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_requests_time_is_that_of_its_limits_too(method: str) -> None:
    times: list[list[float]] = []
    for straight in (True, False):
        side = Side({}, False, straight=straight)

        def slow(request: Request, side: Side = side) -> str:
            side.world.advance(0.25)
            return "somebody"

        app = side.world.site.app
        app.route("/slow-key", ["GET", "POST"])(app.limit("1/minute", key=slow)(lambda request: "x"))
        for _ in range(2):
            side.feed(posted("/slow-key").replace("POST", method).encode())
        times.append([entry.seconds for entry in side.log if isinstance(entry, Answered)])
    assert times == [[0.25, 0.25]] * 2


def posted(path: str) -> str:
    return f"POST {path} HTTP/1.1\r\nHost: a\r\nX-Unique: b\r\nContent-Length: 3\r\n\r\n123"


def test_a_plain_request_takes_the_straight_way(monkeypatch: pytest.MonkeyPatch) -> None:
    side = Side({}, hook=True, straight=True)
    monkeypatch.setattr(Connection, "turn", None)
    for path in (b"/", b"/users/7", b"/bytes", b"/cookie", b"/raise", b"/tuple"):
        side.feed(b"GET " + path + b" HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
    side.feed(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
    assert side.connection.is_idle
    assert [entry.status for entry in side.log if isinstance(entry, Answered)] == [200, 200, 200, 201, 500, 202, 200]


if __name__ == "__main__":
    logging.getLogger("microsock").setLevel(logging.CRITICAL)
    count = int(sys.argv[1])
    for seed in range(10_000, 10_000 + count):
        compare(seed)
        if seed % 10_000 == 0:
            print(f"{seed - 10_000} of {count}", flush=True)  # noqa: T201
    print(f"{count} connections, no difference")  # noqa: T201
