"""Connections for tests that write the bytes themselves."""

from __future__ import annotations

from microsock.testing import TestClient

GET = b"GET /echo HTTP/1.1\r\nHost: a\r\n\r\n"


def test_raw_gives_everything_that_comes_back_at_once(client: TestClient) -> None:
    answers = client.raw(GET + GET.replace(b"/echo", b"/none"))
    assert answers.count(b"HTTP/1.1 ") == 2
    assert answers.startswith(b"HTTP/1.1 200 OK\r\n")
    assert client.raw(GET[:10]) == b""


def test_bytes_may_come_one_by_one(client: TestClient) -> None:
    with client.raw_connection() as connection:
        for number in range(len(GET) - 1):
            connection.send(GET[number : number + 1])
            assert connection.receive() == b""
        connection.send(GET[-1:])
        assert connection.receive().startswith(b"HTTP/1.1 200")
        assert not connection.ended


def test_it_tells_an_ended_stream_from_a_closed_connection(client: TestClient) -> None:
    connection = client.raw_connection()
    connection.send(b"nonsense\r\n\r\n")
    assert connection.receive().startswith(b"HTTP/1.1 400")
    assert (connection.ended, connection.closed) == (True, False)
    client.advance(2)
    assert (connection.ended, connection.closed, connection.was_reset) == (True, True, False)


def test_a_half_closed_connection_is_still_answered(client: TestClient) -> None:
    with client.raw_connection() as connection:
        connection.send(GET)
        connection.half_close()
        assert connection.receive().startswith(b"HTTP/1.1 200")
        assert connection.receive() == b""
        assert connection.ended


def test_receive_may_take_a_few_bytes_only(client: TestClient) -> None:
    with client.raw_connection() as connection:
        connection.send(GET)
        assert connection.receive(4) == b"HTTP"
        assert connection.receive(4) == b"/1.1"
        connection.receive()
        assert connection.receive(4) == b""


def test_a_small_capacity_is_a_slow_reader(client: TestClient) -> None:
    with client.raw_connection(capacity=10) as connection:
        connection.send(b"GET /big?size=1000000 HTTP/1.1\r\nHost: a\r\n\r\n")
        assert connection.receive(4) == b"HTTP"
        client.advance(60)
        assert connection.closed
        assert len(connection.receive()) <= 20


def test_connections_come_from_where_they_say(client: TestClient) -> None:
    with client.raw_connection(client=("10.0.0.9", 9)) as connection:
        connection.send(GET)
        assert b"10.0.0.9:9" in connection.receive()


def test_a_reset_ends_it(client: TestClient) -> None:
    connection = client.raw_connection()
    connection.send(GET[:5])
    connection.close(reset=True)
    assert connection.closed
