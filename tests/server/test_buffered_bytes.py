"""What all connections of a worker hold together is bounded, costs nobody else anything, and comes back to nothing."""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest
from wire import HANDSHAKE, ask, body_of, handshake, statuses

from microsock import App, Pending, Request, WebSocket, sleep
from microsock.buffered import AT_EASE
from microsock.request import Address
from microsock.tally import Cell
from microsock.testing import build_frame
from microsock.testing.world import Wire, World

MOST = 1_000_000
SOME = 300_000


class Crowd:
    """A world with a small bound, and clients of it."""

    def __init__(self, most: int = MOST, **settings: Any) -> None:
        self.app = app = App()
        self.polls: list[Pending] = []
        self.texts: list[int] = []

        @app.get("/")
        def hello(request: Request) -> str:
            return "hello"

        @app.post("/")
        def take(request: Request) -> str:
            return str(len(request.body))

        @app.post("/poll")
        def poll(request: Request) -> Pending:
            self.polls.append(Pending(finite=True))
            return self.polls[-1]

        @app.get("/large")
        def large(request: Request) -> bytes:
            return bytes(500_000)

        @app.get("/pieces")
        def pieces(request: Request) -> Iterator[bytes]:
            for _ in range(100):
                yield bytes(30_000)

        @app.websocket("/ws", max_message_size=2 * MOST)
        def count(ws: WebSocket, data: str | bytes) -> str:
            self.texts.append(len(data))
            ws.subscribe("all")
            return str(len(data))

        @app.websocket("/naps")
        def nap(ws: WebSocket) -> Generator[Any, Any, None]:
            yield from sleep(3600)

        self.world = World(app, {"max_buffered_bytes": most, **settings})

    @property
    def total(self) -> int:
        site = self.world.site
        assert site.tally.cells[Cell.BUFFERED] == site.buffered.total
        return site.buffered.total

    def client(self, data: bytes = b"") -> Wire:
        wire = self.world.connect(Address("1.2.3.4", 5))
        self.send(wire, data)
        return wire

    def send(self, wire: Wire, data: bytes) -> None:
        wire.transport.deliver(data)
        self.world.settle()

    def taken(self, wire: Wire) -> bytes:
        taken = bytearray()
        while piece := wire.transport.take():
            taken += piece
            self.world.settle()
        return bytes(taken)

    def asks(self, data: bytes) -> bytes:
        wire = self.client(data)
        answer = self.taken(wire)
        wire.transport.hang_up()
        self.world.settle()
        return answer


def post(size: int, sent: int, path: str = "/") -> bytes:
    return ask(path, f"Content-Length: {size}", method="POST") + bytes(sent)


def chunk(size: int) -> bytes:
    return b"%x\r\n%b\r\n" % (size, bytes(size))


CHUNKED = ask("/", "Transfer-Encoding: chunked", method="POST")


def test_what_waits_for_more_is_counted_and_no_more_once_it_is_answered() -> None:
    crowd = Crowd()
    wire = crowd.client(post(SOME, SOME - 1))
    assert crowd.total == SOME - 1
    crowd.send(wire, b"x")
    assert body_of(crowd.taken(wire)) == b"%d" % SOME
    assert crowd.total == 0


@pytest.mark.parametrize("size", [0, 1, AT_EASE])
def test_what_is_small_costs_no_account(size: int) -> None:
    crowd = Crowd()
    crowd.client(post(SOME, size))
    assert crowd.total == 0


def test_a_body_that_is_announced_and_does_not_fit_is_refused_before_it_comes() -> None:
    crowd = Crowd()
    holding = [crowd.client(post(SOME, SOME - 1)) for _ in range(3)]
    answer = crowd.asks(post(SOME, 0))
    assert statuses(answer) == [503]
    assert b"\r\nretry-after: 1\r\n" in answer.lower()
    assert b"\r\nConnection: close\r\n" in answer
    assert crowd.world.site.tally.cells[Cell.BODIES_REFUSED] == 1
    for wire in holding:
        crowd.send(wire, b"x")
        assert statuses(crowd.taken(wire)) == [200]
    assert statuses(crowd.asks(post(SOME, SOME))) == [200]
    assert crowd.total == 0


def test_a_body_that_is_too_large_anyway_is_a_413() -> None:
    crowd = Crowd(max_body_size=SOME)
    crowd.client(post(SOME, SOME - 1))
    crowd.client(post(SOME, SOME - 1))
    for here in (0, 60_000):
        assert statuses(crowd.asks(post(10 * MOST, here))) == [413]


def test_with_expect_the_503_comes_in_place_of_the_100() -> None:
    crowd = Crowd()
    crowd.client(post(MOST, MOST - 1))
    answer = crowd.asks(ask("/", f"Content-Length: {SOME}", "Expect: 100-continue", method="POST"))
    assert answer.startswith(b"HTTP/1.1 503 ")


@pytest.mark.parametrize("start", [post(SOME, 0), CHUNKED], ids=["known", "chunked"])
def test_of_bodies_that_grow_together_those_that_no_longer_fit_are_refused_and_the_others_arrive(start: bytes) -> None:
    crowd = Crowd()
    chunked = start is CHUNKED
    wires = [crowd.client(start) for _ in range(10)]
    for _ in range(3):
        for wire in wires:
            if not wire.transport.has_output:
                crowd.send(wire, chunk(SOME // 3) if chunked else bytes(SOME // 3))
            assert crowd.total <= MOST
    for wire in wires:
        if chunked and not wire.transport.has_output:
            crowd.send(wire, b"0\r\n\r\n")
    found = [statuses(crowd.taken(wire))[0] for wire in wires]
    assert set(found) == {200, 503}
    assert found.count(200) >= 3
    for wire in wires:
        wire.transport.hang_up()
    crowd.world.settle()
    assert crowd.total == 0


def test_a_refused_body_is_given_up_at_once() -> None:
    crowd = Crowd(100_000)
    wire = crowd.client(CHUNKED + chunk(60_000))
    assert crowd.total == 60_000
    crowd.send(wire, chunk(60_000))
    assert crowd.total == 0
    assert statuses(crowd.taken(wire)) == [503]


def test_quiet_clients_are_served_as_ever_while_there_is_no_room() -> None:
    crowd = Crowd()
    crowd.client(post(MOST + 1, MOST, "/poll"))
    assert crowd.total == MOST
    assert statuses(crowd.asks(ask())) == [200]
    small = crowd.client(post(1000, 500))
    crowd.send(small, bytes(500))
    assert body_of(crowd.taken(small)) == b"1000"
    assert statuses(crowd.asks(post(60_000, 60_000))) == [200]  # here at once
    quiet = crowd.client(HANDSHAKE)
    crowd.send(quiet, build_frame(1, "hello"))
    assert crowd.taken(quiet).endswith(b"\x81\x015")


def test_a_body_counts_until_its_answer_is_given() -> None:
    crowd = Crowd()
    wire = crowd.client(post(SOME, SOME, "/poll"))
    assert crowd.total == SOME
    crowd.polls[0].complete("now")
    crowd.world.settle()
    assert statuses(crowd.taken(wire)) == [200]
    assert crowd.total == 0


def test_what_a_slow_reader_leaves_in_the_queue_counts_too() -> None:
    crowd = Crowd()
    wires = [crowd.client(ask("/large")) for _ in range(3)]
    assert 3 * 200_000 < crowd.total < 3 * 250_000  # a quarter of a megabyte of each has left
    assert statuses(crowd.asks(post(SOME, 0))) == [503]
    assert len(crowd.taken(wires[0])) > 500_000
    assert statuses(crowd.asks(post(SOME, SOME))) == [200]


# WebSockets cannot refuse a message: they wait.

PARTS: dict[str, Callable[[bytes], bytes]] = {
    "a binary frame": lambda data: build_frame(2, data),
    "a text frame": lambda data: build_frame(1, data),
    "fragments": lambda data: b"".join(
        build_frame(0 if start else 2, data[start : start + 1000], fin=start + 1000 >= len(data))
        for start in range(0, len(data), 1000)
    ),
}


@pytest.mark.parametrize("form", PARTS)
def test_messages_that_do_not_fit_together_wait_for_each_other_and_all_arrive(form: str) -> None:
    crowd = Crowd()
    frame = PARTS[form](b"a" * 800_000)
    wires = [crowd.client(HANDSHAKE) for _ in range(6)]
    highest = 0
    for start in range(0, len(frame), 50_000):
        for wire in wires:
            crowd.send(wire, frame[start : start + 50_000])
            highest = max(highest, crowd.total)
    assert crowd.texts == [800_000] * 6
    assert highest < MOST + 800_000 + 6 * 131_072
    assert crowd.total == 0
    crowd.world.advance(15)
    assert all(not wire.connection.closed for wire in wires)


# A ping is a turn, which gives nobody more time.
@pytest.mark.parametrize("ping_interval", [None, 3])
def test_halves_of_messages_do_not_hold_the_room_for_ever(ping_interval: int | None) -> None:
    crowd = Crowd(ping_interval=ping_interval, ping_timeout=60)
    frame = build_frame(2, bytes(500_000))
    wires = [crowd.client(HANDSHAKE + frame[:-1]) for _ in range(4)]
    assert crowd.total > MOST
    crowd.world.advance(9)
    assert statuses(crowd.asks(post(SOME, 0))) == [503]
    crowd.world.advance(20)
    assert crowd.total == 0
    assert all(b"\x03\xf5the server has no room" in crowd.taken(wire) for wire in wires)
    assert statuses(crowd.asks(post(SOME, SOME))) == [200]


def test_an_idle_half_of_a_message_gives_way_when_others_need_the_room() -> None:
    crowd = Crowd(ping_interval=None)
    idle = crowd.client(HANDSHAKE + build_frame(2, bytes(900_000))[:-1])
    crowd.world.advance(3600)
    assert crowd.total == 900_013
    other = crowd.client(HANDSHAKE + build_frame(2, bytes(900_000))[:500_000])
    assert crowd.total > MOST
    crowd.world.advance(16)
    assert [wire.connection.closed for wire in (idle, other)] == [True, True]  # neither said any more


def test_what_a_generator_does_not_ask_for_counts() -> None:
    crowd = Crowd()
    crowd.client(handshake("/naps") + build_frame(2, bytes(30_000)) * 3)
    assert crowd.total >= 60_000


# A body that trickles.


def test_a_body_that_trickles_at_the_least_rate_has_ten_minutes() -> None:
    crowd = Crowd()
    wire = crowd.client(post(MOST, 0))
    for _ in range(119):
        crowd.send(wire, bytes(2600))
        crowd.world.advance(5)
    assert not wire.transport.has_output
    for _ in range(2):
        crowd.send(wire, bytes(2600))
        crowd.world.advance(5)
    assert statuses(crowd.taken(wire)) == [408]


def test_a_large_body_that_comes_at_a_decent_rate_has_as_long_as_it_takes() -> None:
    crowd = Crowd(200_000_000, max_body_size=100_000_000)
    wire = crowd.client(post(99_000_000, 0))
    for _ in range(330):
        crowd.send(wire, bytes(300_000))
        crowd.world.advance(5)
    assert statuses(crowd.taken(wire)) == [200]


# Whatever they do, and however they end.

DEEDS = (
    ask(), ask("/large"), ask("/pieces"), post(SOME, SOME), post(SOME, SOME // 2), post(SOME, SOME, "/poll"),
    CHUNKED, chunk(50_000), b"0\r\n\r\n", bytes(40_000), HANDSHAKE, handshake("/naps"), build_frame(2, bytes(SOME)),
    build_frame(1, b"x" * 100_000)[:70_000], build_frame(2, bytes(50_000), fin=False), build_frame(0, bytes(50_000)),
    build_frame(8, b"\x03\xe8"), b"GET / HTT",
)  # fmt: skip


@pytest.mark.parametrize("seed", range(12))
def test_the_account_is_empty_when_all_have_gone(seed: int) -> None:
    chance = random.Random(seed)
    crowd = Crowd(chance.choice((50_000, 500_000, 5_000_000)))
    wires: list[Wire] = []
    for _ in range(60):
        if not wires or chance.random() < 0.3:
            wires.append(crowd.client())
        wire = chance.choice(wires)
        step(crowd, wire, chance)
        assert crowd.total == sum(crowd.world.site.buffered.holders.values())
    for wire in wires:
        end(crowd, wire, chance)
    for poll in crowd.polls:
        poll.complete("late")
    crowd.world.settle()
    crowd.world.advance(100)
    assert all(wire.connection.closed for wire in wires)
    assert (crowd.total, crowd.world.site.buffered.holders) == (0, {})


def step(crowd: Crowd, wire: Wire, chance: random.Random) -> None:
    deed = chance.randrange(6)
    if deed < 3 and not wire.transport.closed and not wire.transport._inbound_ended:
        crowd.send(wire, chance.choice(DEEDS))
    elif deed == 3:
        wire.transport.take(chance.randrange(1, 200_000))
    elif deed == 4:
        crowd.app.publish("all", "x" * chance.choice((10, 100_000)))
    else:
        crowd.world.advance(chance.choice((0.1, 1.0, 12.0)))
    crowd.world.settle()


def end(crowd: Crowd, wire: Wire, chance: random.Random) -> None:
    choice = chance.randrange(4)
    if choice == 0:
        wire.transport.hang_up()
    elif choice == 1:
        wire.transport.hang_up(reset=True)
    elif choice == 2:
        wire.transport.half_close()
    else:
        wire.tell(wire.connection.abort)
    crowd.world.settle()
    if choice == 2:
        crowd.taken(wire)
