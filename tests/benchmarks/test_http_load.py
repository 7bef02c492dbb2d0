"""The HTTP load takes no wrong answer for a right one, however the right one is written and cut."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator, Sequence

import h11
import pytest

from benchmarks.http.answers import AnswerReader
from benchmarks.http.load import Client
from benchmarks.http.messages import (
    BROWSER,
    CLOSE,
    HELLO,
    Exchange,
    bare,
    bodies,
    documents,
    json_answers,
    unique,
    users,
)
from benchmarks.turn import WrongAnswer


def answer(body: bytes, *lines: str) -> bytes:
    return "\r\n".join(["HTTP/1.1 200 OK", *lines, f"Content-Length: {len(body)}", "", ""]).encode() + body


RIGHT = {
    "with its length": answer(HELLO),
    "with names in lower case": b"HTTP/1.1 200 OK\r\ncontent-length:13\r\n\r\n" + HELLO,
    "without a reason": b"HTTP/1.1 200 \r\nContent-Length: 13\r\n\r\n" + HELLO,
    "in one chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nd\r\n" + HELLO + b"\r\n0\r\n\r\n",
    "in chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;x=y\r\nH\r\nC\r\nello, world!\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("data", RIGHT.values(), ids=RIGHT.keys())
def test_an_answer_is_read_in_any_form_and_wherever_it_is_cut(data: bytes) -> None:
    for cut in range(1, len(data)):
        reader = AnswerReader({})
        assert reader.feed(data[:cut]) == []
        assert reader.feed(data[cut:]) == [HELLO]
        assert reader.feed(data + data) == [HELLO, HELLO]


def test_an_answer_is_read_byte_by_byte_between_others() -> None:
    reader, found = AnswerReader({}), []
    for byte in b"".join(RIGHT.values()):
        found += reader.feed(bytes([byte]))
    assert found == [HELLO] * len(RIGHT)


WRONG = {
    "another status": b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    "another protocol": b"SSH-2.0 200\r\n\r\n",
    "no length": b"HTTP/1.1 200 OK\r\n\r\n",
    "a length that is none": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "a chunk of no size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhello\r\n",
}


@pytest.mark.parametrize("data", WRONG.values(), ids=WRONG.keys())
def test_what_cannot_be_followed_is_found_out(data: bytes) -> None:
    with pytest.raises(WrongAnswer):
        AnswerReader({}).feed(data)


@pytest.mark.parametrize(
    ("data", "closes"),
    [
        (answer(HELLO), False),
        (answer(HELLO, "Connection: keep-alive"), False),
        (answer(HELLO, "connection: Close"), True),
        (answer(HELLO).replace(b"1.1", b"1.0", 1), True),
        (answer(HELLO, "Connection: keep-alive").replace(b"1.1", b"1.0", 1), False),
    ],
)
def test_the_reader_knows_whether_the_server_ends_the_connection(data: bytes, closes: bool) -> None:
    reader = AnswerReader({})
    reader.feed(data)
    assert reader.closes is closes


def test_json_may_be_spelt_in_another_way_but_text_may_not() -> None:
    due = next(json_answers())
    assert due.allows(due.body)
    assert due.allows(json.dumps(json.loads(due.body), indent=2).encode())
    assert not due.allows(b'{"message": "Hello, World!"}')
    assert not due.allows(b"{")
    assert not Exchange(b"", b"1").allows(b"1 ")


KINDS: Sequence[tuple[Callable[[], Iterator[Exchange]], int]] = [
    (bare, 1),
    (lambda: bare(BROWSER), 13),
    (lambda: bare(CLOSE), 2),
    (unique, 14),
    (json_answers, 1),
    (users, 1),
    (documents, 3),
    (lambda: bodies(64 << 10), 3),
]


@pytest.mark.parametrize(("kind", "lines"), KINDS)
def test_another_library_reads_the_requests_as_they_are_meant(
    kind: Callable[[], Iterator[Exchange]], lines: int
) -> None:
    made = kind()
    for exchange in (next(made) for _ in range(3)):
        reader = h11.Connection(h11.SERVER)
        reader.receive_data(exchange.sent)
        request = reader.next_event()
        assert isinstance(request, h11.Request)
        assert len(request.headers) == lines
        body = b""
        while isinstance(event := reader.next_event(), h11.Data):
            body += event.data
        assert isinstance(event, h11.EndOfMessage)
        assert body == (exchange.body if request.method == b"POST" else b"")


def test_a_unique_header_is_never_sent_twice() -> None:
    made = unique()
    assert len({next(made).sent for _ in range(1000)}) == 1000


def test_json_there_and_back_is_about_a_kibibyte() -> None:
    made = documents()
    assert all(900 < len(next(made).body) < 1200 for _ in range(61))


@pytest.mark.server
def test_a_client_takes_its_answers_in_order_and_opens_another_connection_when_it_is_told_that_this_one_ends() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        received: list[bytes] = []

        def serve() -> None:
            for lines in (["Connection: close"], []):
                sock, _ = listener.accept()
                with sock:
                    sock.settimeout(10)
                    while received[-1:] != [b"/users/1"]:
                        received.extend(line.split()[1] for line in sock.recv(4096).splitlines() if b"GET" in line)
                    sock.sendall(_user(0) + _user(1, *lines))
                received.append(b"closed")

        server = threading.Thread(target=serve)
        server.start()
        asked = users()
        first, second = next(asked), next(asked)
        client = Client(listener.getsockname()[1], iter([first, second, first, second]), depth=2)
        client.ask()
        ended = [client.ended]
        client.reopen()
        client.sock.settimeout(10)
        while client.take() is None:
            pass
        assert [*ended, client.ended] == [True, False]
        client.close()
        server.join()
    assert received == [b"/users/0", b"/users/1", b"closed"] * 2


def _user(number: int, *lines: str) -> bytes:
    return answer(json.dumps({"id": number, "name": f"user {number}"}).encode(), *lines)
