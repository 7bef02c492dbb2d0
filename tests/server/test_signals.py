from __future__ import annotations

import os
import select
import signal
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from microsock.server.signals import StoppedAtOnce, stop_signals


@pytest.fixture
def wakeup() -> Iterator[tuple[socket.socket, socket.socket]]:
    receiver, sender = socket.socketpair()
    sender.setblocking(False)
    with receiver, sender:
        yield receiver, sender


Pair = tuple[socket.socket, socket.socket]
BOTH = pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])


@BOTH
def test_the_first_signal_asks_to_stop_and_wakes_the_loop(signum: signal.Signals, wakeup: Pair) -> None:
    asked: list[str] = []
    with stop_signals(lambda: asked.append("stop"), wakeup[1].fileno()):
        os.kill(os.getpid(), signum)
        select.select([wakeup[0]], [], [])
        assert wakeup[0].recv(10) == bytes([signum])
    assert asked == ["stop"]


@BOTH
def test_a_second_signal_leaves_whatever_runs(signum: signal.Signals, wakeup: Pair) -> None:
    with pytest.raises(StoppedAtOnce, match=signum.name) as stopped, stop_signals(list, wakeup[1].fileno()):
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signum)
        threading.Event().wait()
    assert stopped.value.signum == signum
    assert isinstance(stopped.value, KeyboardInterrupt)


def test_what_handled_the_signals_before_does_so_again(wakeup: Pair) -> None:
    before = [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(RuntimeError, match="served enough"), stop_signals(list, wakeup[1].fileno()):
        assert [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)] != before
        raise RuntimeError("served enough")
    assert [signal.getsignal(signum) for signum in (signal.SIGINT, signal.SIGTERM)] == before
    assert signal.set_wakeup_fd(-1) == -1


def test_an_earlier_wake_up_descriptor_is_put_back(wakeup: Pair) -> None:
    outer_receiver, outer = socket.socketpair()
    outer.setblocking(False)
    with outer_receiver, outer:
        signal.set_wakeup_fd(outer.fileno())
        with stop_signals(list, wakeup[1].fileno()):
            pass
        assert signal.set_wakeup_fd(-1) == outer.fileno()


def test_a_handler_that_was_not_set_from_python_gives_way_to_the_default(
    wakeup: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    real: Callable[..., object] = signal.signal
    before = signal.getsignal(signal.SIGTERM)

    def unknown_before(signum: int, handler: object) -> object:
        real(signum, handler)
        return None if signum == signal.SIGTERM else signal.default_int_handler

    monkeypatch.setattr(signal, "signal", unknown_before)
    with stop_signals(list, wakeup[1].fileno()):
        pass
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    real(signal.SIGTERM, before)


def test_in_another_thread_the_signals_are_left_alone(wakeup: Pair) -> None:
    seen: list[object] = []

    def serve() -> None:
        with stop_signals(list, wakeup[1].fileno()):
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=serve)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGTERM)]
