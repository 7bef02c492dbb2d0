"""The load takes no wrong answer for a right one, however the right one is framed and cut."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator

import pytest
from wsproto.connection import Connection as WsProto
from wsproto.connection import ConnectionType
from wsproto.events import BytesMessage, Pong, TextMessage

from benchmarks.websocket.connection import Connection, WrongAnswer
from benchmarks.websocket.frames import BINARY, CLOSE, PING, PONG, TEXT, exchanges, frame

MESSAGE, OTHER = exchanges(TEXT, 32, 2)


class Wire:
    """A connection of the load, and the server's end of it."""

    def __init__(self, ours: socket.socket, server: socket.socket) -> None:
        self.connection = Connection(ours, len(MESSAGE.answer))
        self.server = server

    def answers(self, data: bytes) -> int:
        """How many times these bytes, which the server sends, complete the answer that is due."""
        self.server.sendall(data)
        taken = 0
        while select.select([self.connection.sock], [], [], 0)[0]:
            taken += self.connection.take(MESSAGE)
        return taken


@pytest.fixture
def wire() -> Iterator[Wire]:
    ours, server = socket.socketpair()
    with ours, server:
        ours.settimeout(10)
        yield Wire(ours, server)


@pytest.mark.parametrize(("opcode", "size"), [(TEXT, 32), (BINARY, 200), (BINARY, 64 << 10)])
def test_another_library_sees_the_message_that_is_due_in_what_is_sent_and_in_the_answer(opcode: int, size: int) -> None:
    made = exchanges(opcode, size, 3)
    server, client = WsProto(ConnectionType.SERVER), WsProto(ConnectionType.CLIENT)
    for exchange in made:
        server.receive_data(exchange.sent)
        client.receive_data(exchange.answer)
        assert payloads(server) == payloads(client) == [exchange.message.payload]
    assert len({exchange.sent for exchange in made}) == len({exchange.answer for exchange in made}) == 3


def payloads(reader: WsProto) -> list[bytes]:
    events = list(reader.events())
    assert all(isinstance(event, TextMessage | BytesMessage) and event.message_finished for event in events)
    messages = [event.data for event in events if isinstance(event, TextMessage | BytesMessage)]
    return [data.encode() if isinstance(data, str) else bytes(data) for data in messages]


def test_the_right_answer_is_taken_whole_or_in_pieces(wire: Wire) -> None:
    assert wire.answers(MESSAGE.answer) == 1
    assert wire.answers(MESSAGE.answer[:10]) == 0
    assert wire.answers(MESSAGE.answer[10:]) == 1


PAYLOAD = MESSAGE.message.payload
UNUSUAL = {
    "in fragments": bytes([TEXT, 12]) + PAYLOAD[:12] + bytes([0x80, 20]) + PAYLOAD[12:],
    "with its length written the long way": bytes([0x80 | TEXT, 126, 0, 32]) + PAYLOAD,
    "behind a ping": frame(PING, b"are you there?") + MESSAGE.answer,
    "behind a pong": frame(PONG, b"nobody asked for this one, but it is legal") + MESSAGE.answer,
}


@pytest.mark.parametrize("data", UNUSUAL.values(), ids=UNUSUAL.keys())
@pytest.mark.parametrize("cut", [1, 20, 35])
def test_the_right_answer_is_known_in_any_legal_form(wire: Wire, data: bytes, cut: int) -> None:
    assert wire.answers(data[:cut]) == 0
    assert wire.answers(data[cut:]) == 1
    assert wire.answers(MESSAGE.answer) == 1


def test_a_ping_is_answered(wire: Wire) -> None:
    wire.answers(UNUSUAL["behind a ping"])
    reader = WsProto(ConnectionType.SERVER)
    reader.receive_data(wire.server.recv(100))
    assert [event.payload for event in reader.events() if isinstance(event, Pong)] == [b"are you there?"]


WRONG = {
    "another message": OTHER.answer,
    "one byte of another": MESSAGE.answer[:-1] + b"\0",
    "the same bytes as binary": frame(BINARY, PAYLOAD),
    "the same message twice in unusual frames": UNUSUAL["in fragments"] * 2,
    "one more at once": MESSAGE.answer + OTHER.answer,
    "a close": frame(CLOSE, b"\x03\xe8 enough for one answer, in bytes"),
}


@pytest.mark.parametrize("data", WRONG.values(), ids=WRONG.keys())
def test_a_wrong_answer_is_found_out(wire: Wire, data: bytes) -> None:
    with pytest.raises(WrongAnswer):
        wire.answers(data)


def test_a_server_that_leaves_is_found_out(wire: Wire) -> None:
    wire.server.close()
    with pytest.raises(WrongAnswer, match="closed the connection"):
        wire.connection.take(MESSAGE)
