"""What a peer's turn may hold before others have theirs. Nothing that came is lost by that, or waits for news."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import pytest
from wire import ask, handshake, message, statuses

from microsock import App, WebSocket
from microsock.testing import build_frame, read_frames

from .line import Line

pytestmark = pytest.mark.usefixtures("untraced")

TEXT, CLOSE, PING = 1, 8, 9


def an_app() -> App:
    app = App(max_control_frames=None, max_message_size=8 << 20, compression=True)
    app.route("/", methods="GET|POST")(lambda request: "ok")

    @app.websocket("/ws")
    def echo(ws: WebSocket, message: str | bytes) -> str | bytes:
        return message if len(message) < 100 else str(len(message))

    @app.websocket("/left")
    def left(ws: WebSocket, message: str | bytes) -> None:
        ws.close(4000)

    return app


def websocket(path: str = "/ws", app: App | None = None) -> Line:
    """An open one."""
    line = Line(app or an_app())
    extension = "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover"
    line.send(handshake(path, extension))
    assert b" 101 " in line.take()
    return line


def rest(line: Line) -> None:
    """All turns that are due, and what follows from news."""
    line.world.settle()
    line.go_on()


def is_read(line: Line) -> bool:
    return line.transport.watched[0]


def came(line: Line) -> list[str | bytes]:
    """The payloads of all frames that were sent."""
    buffer = bytearray(line.transport.take() or b"")
    return [frame.payload.decode() for frame in read_frames(buffer)]


def fragmented(text: str, count: int) -> bytes:
    middle = build_frame(0, b"", fin=False) * count
    return build_frame(TEXT, text, fin=False) + middle + build_frame(0, b"")


def deflated(text: str) -> bytes:
    """A message's payload as permessage-deflate sends it where nothing is taken over."""
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (deflater.compress(text.encode()) + deflater.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\0\0\xff\xff")


# A turn.


def test_a_turn_answers_sixteen_messages() -> None:
    line = websocket()
    line.transport.deliver(b"".join(message(f"{number}") for number in range(100)))
    line.connection.handle(True, False)
    assert came(line) == [f"{number}" for number in range(16)]


@pytest.mark.parametrize("path", ["/ws", "/left"])
def test_a_turn_reads_few_fragments_though_they_bring_about_nothing(path: str) -> None:
    line = websocket(path)
    if path == "/left":
        line.send(message("go"))
    line.transport.deliver(build_frame(TEXT, "", fin=False) + build_frame(0, b"", fin=False) * 1000)
    phase = line.connection._exchange.session.phase
    line.connection.handle(True, False)
    left = phase.buffered
    assert left > 4000
    line.world._turn()
    assert left - 2000 < phase.buffered < left


def test_a_turn_reads_few_of_the_tiny_chunks_of_a_body() -> None:
    line = Line(an_app())
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    line.transport.deliver(head + b"1\r\nx\r\n" * 8000)
    line.connection.handle(True, False)
    phase = line.connection._exchange.session.phase
    assert phase.buffered > 40_000
    rest(line)
    assert phase.buffered == 0
    line.send(b"0\r\n\r\n")
    assert statuses(line.transport.take() or b"") == [200]


def test_a_turn_ends_when_the_handlers_have_taken_a_millisecond() -> None:
    app = App()

    @app.websocket("/ws")
    def slow(ws: WebSocket, message: str) -> str:
        line.world._clock += 0.0006
        return message

    line = websocket("/ws", app)
    line.transport.deliver(message("x") * 10)
    line.connection.handle(True, False)
    assert came(line) == ["x"] * 2
    rest(line)
    assert came(line) == ["x"] * 8


def test_requests_that_take_a_millisecond_are_answered_one_a_turn() -> None:
    app = App()

    @app.get("/")
    def slow(request: object) -> str:
        line.world._clock += 0.002
        return "ok"

    line = Line(app)
    line.transport.deliver(ask() * 10)
    line.connection.handle(True, False)
    assert statuses(line.transport.take() or b"") == [200]
    rest(line)
    assert statuses(line.transport.take() or b"") == [200] * 9


def test_news_is_no_way_to_get_more_turns_than_others() -> None:
    line = websocket()
    line.transport.deliver(b"".join(message(f"{number}") for number in range(40)))
    line.connection.handle(True, False)
    assert len(came(line)) == 16
    for number in range(40, 44):
        line.transport.deliver(message(f"{number}"))
        line.connection.handle(True, False)
    assert came(line) == []
    rest(line)
    assert came(line) == [f"{number}" for number in range(16, 44)]


def test_it_stops_reading_while_64_kib_are_not_parsed_and_goes_on_behind_them() -> None:
    line = websocket()
    data = fragmented("x", 1000) * 100
    line.transport.deliver(data)
    while is_read(line):
        line.connection.handle(True, False)
    assert 65536 <= line.connection._exchange.session.buffered <= 3 * 65536
    rest(line)
    assert is_read(line)
    assert came(line) == ["x"] * 100


def test_the_end_of_the_peers_stream_is_seen_behind_all_that_it_sent() -> None:
    line = websocket()
    line.transport.deliver(fragmented("x", 1000) * 5)
    line.transport.half_close()
    rest(line)
    assert came(line) == ["x"] * 5
    assert line.ended == 1


@pytest.mark.parametrize("path", ["/ws", "/left"])
def test_a_connection_that_is_cut_between_its_turns_stays_cut(path: str) -> None:
    line = websocket(path)
    line.transport.deliver(message("x") + fragmented("x", 1000))
    line.connection.handle(True, False)
    line.connection.abort()
    line.world.settle()
    assert line.ended == 1


# None is lost, and none waits for news that does not come.

# Each gives some frames, and what is answered.
BURSTS: dict[str, Callable[[int], tuple[bytes, list[str]]]] = {
    "messages": lambda number: (message(str(number)), [str(number)]),
    "fragments": lambda number: (fragmented(str(number), number % 40), [str(number)]),
    "pings between": lambda number: (build_frame(PING, "p") + message(str(number)), ["p", str(number)]),
    "large ones": lambda number: (message(bytes(30_000 * (number % 7) + 100)), [str(30_000 * (number % 7) + 100)]),
    "compressed": lambda number: (build_frame(TEXT, deflated(str(number)), rsv=4), [str(number)]),
    "bombs": lambda number: (build_frame(2, deflated("x" * 100_000 * (number + 1)), rsv=4), [f"{number + 1}00000"]),
}


@pytest.mark.parametrize("name", BURSTS)
@pytest.mark.parametrize("count", [1, 2, 3, 9, 10, 11, 15, 16, 17, 31, 32, 33, 70])
@pytest.mark.parametrize("size", [1 << 30, 5001])
def test_every_message_of_a_burst_is_answered_in_order(name: str, count: int, size: int) -> None:
    if name == "bombs" and count > 17:
        return
    bursts = [BURSTS[name](number) for number in range(count)]
    data, answers = b"".join(data for data, _ in bursts), [answer for _, told in bursts for answer in told]
    line = websocket("/ws")
    seen: list[str | bytes] = []
    for at in range(0, len(data), size):
        line.send(data[at : at + size])
        seen += came(line)
    assert seen == answers


@pytest.mark.parametrize("unit", [ask(), ask("/missing"), ask("/", "X-A: \xff"), ask(method="POST", body=b"x" * 100)])
@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 15, 16, 17, 33, 200])
def test_every_request_of_a_burst_is_answered(unit: bytes, count: int) -> None:
    line = Line(an_app())
    line.send(unit * count)
    assert len(statuses(line.take())) == count
    line.send(ask())
    assert statuses(line.take()) == [200]


@pytest.mark.parametrize("count", [1, 15, 16, 17, 1000])
def test_a_close_behind_a_burst_is_answered(count: int) -> None:
    line = websocket("/left")
    line.send(message("x") * count + build_frame(0, b"", fin=False) * count + build_frame(CLOSE, b"\x0f\xa0"))
    line.take()
    assert line.connection.waiting is None
