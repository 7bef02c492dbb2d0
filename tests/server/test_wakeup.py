from __future__ import annotations

import select
import signal

import pytest

from microsock.errors import Overloaded
from microsock.server.wakeup import Mailbox, Wakeup


def is_readable(wakeup: Wakeup) -> bool:
    return bool(select.select([wakeup], [], [], 0)[0])


def test_a_wake_up_makes_it_readable_until_it_is_drained() -> None:
    wakeup = Wakeup()
    assert not is_readable(wakeup)
    wakeup.wake()
    wakeup.wake()
    assert is_readable(wakeup)
    wakeup.drain()
    assert not is_readable(wakeup)
    wakeup.close()


def test_any_number_of_wake_ups_without_a_reader_never_blocks() -> None:
    wakeup = Wakeup()
    for _ in range(100_000):
        wakeup.wake()
    assert is_readable(wakeup)
    wakeup.close()


def test_waking_a_closed_loop_is_no_error() -> None:
    wakeup = Wakeup()
    wakeup.close()
    wakeup.wake()


def test_a_wake_up_that_fails_on_an_open_socket_is_an_error() -> None:
    wakeup = Wakeup()
    wakeup._receiver.close()
    with pytest.raises(BrokenPipeError):
        wakeup.wake()
    wakeup.close()


def test_a_mailbox_gives_its_calls_in_order_and_once() -> None:
    mailbox = Mailbox()
    mailbox.put(list)
    mailbox.put(dict)
    assert len(mailbox) == 2
    assert mailbox.drain() == [list, dict]
    assert mailbox.drain() == []


def test_a_full_mailbox_refuses_and_keeps_what_it_has() -> None:
    mailbox = Mailbox(limit=2)
    mailbox.put(list)
    mailbox.put(dict)
    with pytest.raises(Overloaded, match="2 calls wait for the loop already"):
        mailbox.put(set)
    assert mailbox.drain() == [list, dict]
    mailbox.put(set)


def test_a_signal_that_comes_while_it_is_closed_is_no_error() -> None:
    wakeup = Wakeup()
    before = signal.set_wakeup_fd(wakeup.signal_fileno(), warn_on_full_buffer=False)
    wakeup.close()
    assert signal.set_wakeup_fd(before) == -1
    wakeup.wake()
