"""The connection in memory behaves to the server as a socket does."""

from __future__ import annotations

import pytest

from microsock.testing.memory import MemoryTransport


def make(capacity: int = 10) -> tuple[MemoryTransport, list[tuple[str, bytes | str]]]:
    notes: list[tuple[str, bytes | str]] = []
    return MemoryTransport(capacity, lambda who, what: notes.append((who, what))), notes


def test_the_server_reads_what_the_client_sent_in_pieces_of_its_choice() -> None:
    transport, _ = make()
    assert transport.recv(10) is None
    transport.deliver(b"hello")
    assert (transport.recv(3), transport.recv(3), transport.recv(3)) == (b"hel", b"lo", None)


def test_the_end_of_the_clients_stream_comes_after_its_bytes_and_stays() -> None:
    transport, _ = make()
    transport.deliver(b"bye")
    transport.half_close()
    transport.half_close()
    assert [transport.recv(9), transport.recv(9), transport.recv(9)] == [b"bye", b"", b""]
    with pytest.raises(BrokenPipeError):
        transport.deliver(b"more")


def test_two_pieces_go_one_behind_the_other_as_far_as_they_fit() -> None:
    transport, _ = make(capacity=4)
    assert [transport.send_two(b"abc", b"def"), transport.send_two(b"ef", b"g")] == [4, 0]
    assert transport.take() == b"abcd"
    assert transport.send_two(b"e", b"f") == 2
    assert transport.take() == b"ef"


def test_the_server_sends_no_more_than_fits_until_the_client_takes_some() -> None:
    transport, _ = make(capacity=4)
    assert (transport.send(b"abc"), transport.send(memoryview(b"def")), transport.send(b"g")) == (3, 1, 0)
    assert transport.unacknowledged() == 4
    assert transport.take(2) == b"ab"
    assert (transport.send(b"ef"), transport.unacknowledged()) == (2, 4)
    assert (transport.take(), transport.take()) == (b"cdef", None)


def test_the_end_of_the_servers_stream_comes_after_its_bytes() -> None:
    transport, _ = make()
    assert not transport.has_output
    transport.send(b"bye")
    transport.shutdown_write()
    transport.shutdown_write()
    assert (transport.take(), transport.take(), transport.has_output) == (b"bye", b"", True)
    with pytest.raises(BrokenPipeError, match="after the end"):
        transport.send(b"more")


def test_it_is_ready_only_for_what_the_server_watches() -> None:
    transport, _ = make(capacity=1)
    transport.deliver(b"x")
    assert transport.ready() == (False, False)
    transport.watch(True, True)
    assert transport.ready() == (True, True)
    transport.recv(1)
    transport.send(b"y")
    assert transport.ready() == (False, False)
    transport.half_close()
    assert transport.ready() == (True, False)


def test_a_client_that_has_left_shows_first_as_an_end_and_only_at_the_second_write_as_an_error() -> None:
    transport, _ = make()
    transport.watch(True, True)
    transport.hang_up()
    transport.hang_up()
    assert transport.recv(1) == b""
    assert transport.send(b"first") == 5
    assert transport.unacknowledged() == 0
    with pytest.raises(BrokenPipeError):
        transport.send(b"second")
    with pytest.raises(ConnectionResetError):
        transport.recv(1)
    assert transport.ready() == (True, True)


@pytest.mark.parametrize("reset", [True, False])
def test_a_client_that_leaves_by_reset_or_with_output_untaken_shows_as_an_error(reset: bool) -> None:
    transport, _ = make()
    transport.send(b"" if reset else b"untaken")
    transport.hang_up(reset=reset)
    with pytest.raises(ConnectionResetError):
        transport.recv(1)


def test_a_server_that_closes_watches_nothing_and_hears_nothing() -> None:
    transport, _ = make()
    transport.watch(True, True)
    transport.close()
    transport.deliver(b"into the void")
    assert (transport.closed, transport.was_reset, transport.ready()) == (True, False, (False, False))
    assert transport.take() == b""


def test_a_server_that_closes_with_input_unread_resets() -> None:
    transport, notes = make()
    transport.deliver(b"unread")
    transport.close()
    transport.close()
    assert transport.was_reset
    assert notes == [("client", b"unread"), ("server", "closes with input unread: a reset")]


def test_everything_that_happens_is_noted_with_who_did_it() -> None:
    transport, notes = make(capacity=2)
    transport.deliver(b"")
    transport.deliver(b"hi")
    transport.recv(9)
    transport.send(b"yes")
    transport.send(b"full")
    transport.shutdown_write()
    transport.half_close()
    transport.hang_up()
    transport.close()
    assert notes == [
        ("client", b"hi"),
        ("server", b"ye"),
        ("server", "half-closes"),
        ("client", "half-closes"),
        ("client", "closes"),
        ("server", "closes"),
    ]
