"""A WebSocket as its handler sees it, over a link that only writes down what it is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from microsock.errors import WebSocketClosed
from microsock.request import Request
from microsock.waits import Flushed, Receive, Waiting
from microsock.websocket import WebSocket


class Notes:
    """A link that notes each call."""

    id = "w1-7"
    queued_bytes = 12

    def __init__(self) -> None:
        self.close_code: int | None = None
        self.calls: list[tuple[object, ...]] = []

    def send(self, data: str | bytes) -> None:
        self.calls.append(("send", data))

    def close(self, code: int, reason: str) -> None:
        self.calls.append(("close", code, reason))

    def ping(self, payload: bytes) -> None:
        self.calls.append(("ping", payload))

    def subscribe(self, topic: str) -> None:
        self.calls.append(("subscribe", topic))

    def unsubscribe(self, topic: str) -> None:
        self.calls.append(("unsubscribe", topic))


@pytest.fixture
def link() -> Notes:
    return Notes()


@pytest.fixture
def ws(link: Notes) -> WebSocket:
    return WebSocket(link, Request("GET", "/chat/a"), {"room": "a"}, "chat")


def test_it_knows_where_it_comes_from(ws: WebSocket) -> None:
    assert (ws.id, ws.request.path, ws.params, ws.subprotocol) == ("w1-7", "/chat/a", {"room": "a"}, "chat")
    assert (ws.queued_bytes, ws.close_code, ws.user) == (12, None, None)
    assert repr(ws) == "<WebSocket w1-7 /chat/a>"


def test_what_the_upgrade_left_on_the_request_is_there(ws: WebSocket) -> None:
    ws.request.state.user = "ann"
    assert ws.state.user == "ann"


def test_each_call_goes_to_the_link(ws: WebSocket, link: Notes) -> None:
    ws.send("text")
    ws.send(b"bytes")
    ws.send({"a": 1})
    ws.ping()
    ws.ping(b"now")
    ws.subscribe("room")
    ws.unsubscribe("room")
    ws.close(1001, "bye")
    assert link.calls == [
        ("send", "text"),
        ("send", b"bytes"),
        ("send", '{"a":1}'),
        ("ping", b""),
        ("ping", b"now"),
        ("subscribe", "room"),
        ("unsubscribe", "room"),
        ("close", 1001, "bye"),
    ]


def test_closing_again_does_nothing(ws: WebSocket, link: Notes) -> None:
    ws.close()
    ws.close(1001, "again")
    assert link.calls == [("close", 1000, "")]
    assert ws.close_code == 1000


def test_closing_does_nothing_once_the_peer_has_closed(ws: WebSocket, link: Notes) -> None:
    link.close_code = 1001
    ws.close()
    assert not link.calls


def test_the_code_of_the_link_counts_before_the_one_we_asked_for(ws: WebSocket, link: Notes) -> None:
    ws.close(1000)
    link.close_code = 1006
    assert ws.close_code == 1006


OUTGOING: list[Callable[[WebSocket], None]] = [
    lambda ws: ws.send("late"),
    lambda ws: ws.ping(),
    lambda ws: ws.subscribe("room"),
]


@pytest.mark.parametrize("call", OUTGOING)
def test_nothing_goes_out_after_our_close(ws: WebSocket, link: Notes, call: Callable[[WebSocket], None]) -> None:
    ws.close(4000, "enough")
    with pytest.raises(WebSocketClosed) as caught:
        call(ws)
    assert (caught.value.code, caught.value.reason, caught.value.by_peer) == (4000, "enough", False)
    assert len(link.calls) == 1


@pytest.mark.parametrize("call", OUTGOING)
def test_nothing_goes_out_after_the_peers_close(ws: WebSocket, link: Notes, call: Callable[[WebSocket], None]) -> None:
    link.close_code = 1001
    with pytest.raises(WebSocketClosed) as caught:
        call(ws)
    assert (caught.value.code, caught.value.by_peer) == (1001, True)
    assert not link.calls


def test_a_topic_may_be_left_after_the_end(ws: WebSocket, link: Notes) -> None:
    ws.close()
    ws.unsubscribe("room")
    assert link.calls[-1] == ("unsubscribe", "room")


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1011, 1014, 3000, 3999, 4000, 4999])
def test_a_close_code_of_the_registry_or_of_your_own_is_taken(ws: WebSocket, link: Notes, code: int) -> None:
    ws.close(code, "x" * 123)
    assert link.calls == [("close", code, "x" * 123)]


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, "1000", None])
def test_a_close_code_that_must_not_be_sent_is_refused(ws: WebSocket, link: Notes, code: Any) -> None:
    with pytest.raises(ValueError) as caught:
        ws.close(code)
    assert str(caught.value) == f"a close code is 1000 to 1003, 1007 to 1014 or 3000 to 4999, not {code!r}"
    assert (link.calls, ws.close_code) == ([], None)


@pytest.mark.parametrize("reason", ["x" * 124, "ü" * 62])
def test_a_close_reason_over_123_bytes_is_refused(ws: WebSocket, reason: str) -> None:
    with pytest.raises(ValueError, match="a close reason is at most 123 bytes of UTF-8, not"):
        ws.close(1000, reason)


def test_a_close_reason_that_utf_8_cannot_say_is_refused(ws: WebSocket) -> None:
    with pytest.raises(ValueError, match="lone surrogate"):
        ws.close(1000, "\ud800")


def test_a_close_reason_that_is_no_text_is_refused(ws: WebSocket) -> None:
    with pytest.raises(TypeError, match="a close reason is a str, not b'bye'"):
        ws.close(1000, b"bye")  # type: ignore[arg-type]


@pytest.mark.parametrize("payload", [b"x" * 126, "now", None])
def test_a_pings_payload_is_at_most_125_bytes(ws: WebSocket, payload: Any) -> None:
    with pytest.raises(ValueError, match=r"a ping's payload is at most 125 bytes \(RFC 6455 section 5.5\), not"):
        ws.ping(payload)


def test_a_topic_is_a_text(ws: WebSocket) -> None:
    with pytest.raises(TypeError, match="a topic is a str, not 7"):
        ws.subscribe(7)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="a topic is a str, not None"):
        ws.unsubscribe(None)  # type: ignore[arg-type]


@pytest.mark.parametrize("topic", ["t" * 1024, "\U0001f600" * 256, "\ud800" * 341])
def test_a_topic_has_1024_bytes_at_most(ws: WebSocket, topic: str) -> None:
    ws.subscribe(topic)
    with pytest.raises(ValueError, match="a topic has at most 1024 bytes of UTF-8, not"):
        ws.subscribe(topic + "tt")


def test_what_cannot_be_sent_is_refused_before_anything_else(ws: WebSocket, link: Notes) -> None:
    with pytest.raises(TypeError):
        ws.send(None)  # type: ignore[arg-type]
    assert not link.calls


def answered(waiting: Waiting[Any], *messages: object) -> object:
    """Run a verb to its end, with what the driver would send."""
    next(waiting)
    with pytest.raises(StopIteration) as over:
        for message in messages:
            waiting.send(message)
    return over.value.value


def test_each_verb_waits_for_its_message(ws: WebSocket) -> None:
    assert answered(iter(ws.receive()), b"x") == b"x"
    assert answered(iter(ws.receive()), "x") == "x"
    assert answered(iter(ws.text()), "x") == "x"
    assert answered(iter(ws.binary()), b"x") == b"x"
    assert answered(iter(ws.json()), "[1]") == [1]


@pytest.mark.parametrize("verb", ["receive", "text", "binary", "json"])
def test_a_verb_tells_its_driver_how_long_to_wait(ws: WebSocket, verb: str) -> None:
    assert next(iter(getattr(ws, verb)())) == Receive(None)
    assert next(iter(getattr(ws, verb)(timeout=2))) == Receive(2.0)
    with pytest.raises(ValueError, match="receive takes a number of seconds from 0 up, not -1"):
        getattr(ws, verb)(-1)


def test_a_timeout_comes_out_of_the_verb(ws: WebSocket) -> None:
    waiting = iter(ws.text(timeout=1))
    next(waiting)
    with pytest.raises(TimeoutError):
        waiting.throw(TimeoutError())


def test_flushed_waits_for_the_queue(ws: WebSocket) -> None:
    waiting = iter(ws.flushed())
    assert next(waiting) == Flushed()
    with pytest.raises(StopIteration):
        waiting.send(None)


@pytest.mark.parametrize(
    ("verb", "message", "code", "reason"),
    [
        ("text", b"x", 1003, "a text message is expected"),
        ("binary", "x", 1003, "a binary message is expected"),
        ("json", b"{}", 1003, "a text message is expected"),
        ("json", "{", 1007, "JSON is expected"),
    ],
)
def test_a_message_of_the_wrong_kind_closes(
    ws: WebSocket, link: Notes, verb: str, message: str | bytes, code: int, reason: str
) -> None:
    waiting = iter(getattr(ws, verb)())
    next(waiting)
    with pytest.raises(WebSocketClosed) as caught:
        waiting.send(message)
    assert (caught.value.code, caught.value.reason, caught.value.by_peer) == (code, reason, False)
    assert link.calls == [("close", code, reason)]
