"""What is pushed to WebSockets, and how much of anything is queued for one that does not read."""

from __future__ import annotations

from typing import Any

from wire import HANDSHAKE, asked, message, opened, received

from microsock import App, WebSocket
from microsock.testing import build_frame
from microsock.testing.frames import CLOSE
from microsock.testing.memory import CAPACITY


class Topic:
    """An app where every WebSocket follows one topic and says nothing, and a client of it that does not read."""

    def __init__(self, **settings: Any) -> None:
        self.app = App(**settings)
        self.sockets: list[WebSocket] = []

        @self.app.websocket("/ws")
        def listen(ws: WebSocket, message: str) -> None:
            ws.unsubscribe("news")

        @listen.on_open
        def follow(ws: WebSocket) -> None:
            self.sockets.append(ws)
            ws.subscribe("news")

        self.client, self.ws = opened(self.app)

    def publish(self, data: Any, times: int = 1) -> None:
        for _ in range(times):
            self.app.publish("news", data)
            self.client.world.settle()


def test_a_published_message_reaches_all_who_follow_but_the_excluded() -> None:
    topic = Topic()
    other = topic.client.websocket("/ws")
    topic.publish({"a": 1})
    topic.app.publish("news", b"for one", exclude=topic.sockets[0])
    topic.app.publish("other news", "for none")
    assert (received(topic.ws), received(other)) == (['{"a":1}'], ['{"a":1}', b"for one"])
    other.send("unsubscribe")
    assert topic.app.topic("news").count() == 1
    topic.ws.drop()
    assert topic.app.topic("news").count() == 0


def test_a_topic_can_be_closed() -> None:
    topic = Topic()
    topic.app.topic("news").close(4000, "over")
    topic.client.world.settle()
    assert topic.ws.closed == (4000, "over")


def test_a_reader_that_is_too_slow_for_what_is_pushed_is_closed_with_1013() -> None:
    topic = Topic(max_queued_bytes=10_000)
    topic.ws.pause()
    topic.publish("x" * 1000, times=400)
    assert topic.sockets[0].close_code == 1013
    assert topic.sockets[0].queued_bytes < 12_000
    topic.ws.resume()
    assert topic.ws.closed == (1013, "too slow a reader")
    # What the kernel holds, and what may be queued behind it.
    assert 260 < len(received(topic.ws)) < 280


def test_or_misses_what_does_not_fit_as_the_app_says() -> None:
    topic = Topic(max_queued_bytes=10_000, slow_reader="drop")
    topic.ws.pause()
    topic.publish("x" * 1000, times=400)
    topic.ws.resume()
    got = len(received(topic.ws))
    assert 260 < got < 280
    assert topic.client.world.site.dropped == 400 - got
    topic.publish("again")
    assert received(topic.ws) == ["again"]


def test_one_message_always_fits_however_large() -> None:
    topic = Topic(max_queued_bytes=10)
    topic.publish(bytes(1 << 20))
    assert received(topic.ws) == [bytes(1 << 20)]


def test_what_others_send_to_a_socket_counts_as_pushed() -> None:
    topic = Topic(max_queued_bytes=10_000)
    topic.ws.pause()
    for _ in range(400):
        if topic.sockets[0].close_code is None:
            topic.sockets[0].send("x" * 1000)
            topic.client.world.settle()
    assert topic.sockets[0].close_code == 1013


# What is answered.


def test_what_a_handler_answers_is_never_dropped() -> None:
    app = App()

    @app.websocket("/ws")
    def burst(ws: WebSocket, message: str) -> None:
        for _ in range(300):
            ws.send(bytes(10_000))

    _, ws = opened(app, max_queued_bytes=1000)
    ws.send("go")
    assert received(ws) == [bytes(10_000)] * 300


def test_a_peer_that_does_not_take_its_answers_is_not_read_from() -> None:
    app, handled = App(), [0]

    @app.websocket("/ws")
    def echo(ws: WebSocket, message: bytes) -> bytes:
        handled[0] += 1
        return message

    client, connection = asked(app, HANDSHAKE + message(bytes(10_000)) * 100)
    # What the transport holds, the 64 KiB that may be queued, and the one that went over it.
    assert handled[0] <= (CAPACITY + 65536) // 10_000 + 1
    assert len(connection.receive()) > 1_000_000
    assert handled[0] == 100
    connection.send(build_frame(CLOSE, b""))
    assert connection.receive() == b"\x88\x00"
    client.close()
