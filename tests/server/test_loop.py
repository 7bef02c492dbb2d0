from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Iterator
from functools import partial

import pytest

from microsock.errors import Overloaded
from microsock.server.loop import Loop

from .clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def loop(clock: Clock) -> Iterator[Loop]:
    loop = Loop(clock)
    yield loop
    loop.close()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


Pair = tuple[socket.socket, socket.socket]


def test_news_is_handed_to_who_watches(loop: Loop, pair: Pair) -> None:
    news: list[tuple[bool, bool]] = []
    watch = loop.watch(pair[0].fileno(), lambda *ready: news.append(ready))
    watch.want(True, False)
    assert loop.step() == 0
    pair[1].send(b"hello")
    assert loop.step() == 1
    watch.want(True, True)
    loop.step()
    watch.want(False, True)
    loop.step()
    assert news == [(True, False), (True, True), (False, True)]


def test_who_wants_nothing_hears_nothing(loop: Loop, pair: Pair) -> None:
    watch = loop.watch(pair[0].fileno(), lambda *ready: pytest.fail("called"))
    watch.want(True, True)
    watch.want(False, False)
    pair[1].close()
    assert loop.step() == 0


def test_a_closed_watch_cannot_catch_the_next_descriptor_of_that_number(loop: Loop, pair: Pair) -> None:
    watch = loop.watch(pair[0].fileno(), lambda *ready: None)
    watch.want(True, False)
    watch.close()
    watch.close()
    with pytest.raises(ValueError):
        watch.want(True, False)


def test_a_descriptor_closed_and_reused_within_one_batch_is_not_taken_for_the_old_one(loop: Loop) -> None:
    ours, theirs = zip(*(socket.socketpair() for _ in range(2)), strict=True)
    numbers = [sock.fileno() for sock in ours]
    fresh: list[socket.socket] = []
    heard: list[str] = []

    def close_the_other(mine: int, readable: bool, writable: bool) -> None:
        heard.append("old")
        other = 1 - mine
        watches[other].close()
        ours[other].close()
        fresh.extend(socket.socketpair())
        assert fresh[0].fileno() == numbers[other]
        loop.watch(numbers[other], lambda *ready: heard.append("new")).want(True, False)

    watches = [loop.watch(numbers[index], partial(close_the_other, index)) for index in range(2)]
    for index in range(2):
        watches[index].want(True, False)
        theirs[index].send(b"x")
    loop.step()
    assert heard == ["old"]
    for sock in (*ours, *theirs, *fresh):
        sock.close()


def test_a_callback_that_raises_is_logged_and_the_others_are_called(
    loop: Loop, pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    called: list[str] = []

    def fail(*ready: bool) -> None:
        raise RuntimeError("broken callback")

    watch = loop.watch(pair[0].fileno(), fail)
    watch.want(False, True)
    loop.timers.call_at(0, fail)
    loop.timers.call_at(0, partial(called.append, "timer"))
    loop.call_soon(fail)
    loop.call_soon(partial(called.append, "soon"))
    loop.step()
    loop.step()
    assert called == ["soon", "timer"]
    assert sum("broken callback" in (record.exc_text or "") for record in caplog.records) == 4
    watch.close()


def test_a_call_soon_that_asks_for_another_lets_the_sockets_have_their_turn_first(loop: Loop, pair: Pair) -> None:
    order: list[str] = []

    def again() -> None:
        order.append("soon")
        if len(order) < 3:
            loop.call_soon(again)

    watch = loop.watch(pair[0].fileno(), lambda *ready: order.append("socket"))
    watch.want(False, True)
    loop.call_soon(again)
    loop.step(timeout=None)
    loop.step(timeout=None)
    assert order == ["socket", "soon", "socket", "soon"]
    watch.close()


def test_the_wait_ends_with_the_next_timer(loop: Loop, clock: Clock) -> None:
    assert loop.next_timeout() is None
    loop.timers.call_at(5, list)
    assert loop.next_timeout() == 5
    clock.now = 6
    assert loop.next_timeout() == 0
    assert loop.step(timeout=None) == 1


def test_a_call_soon_ends_the_wait_at_once(loop: Loop) -> None:
    loop.timers.call_at(5, list)
    loop.call_soon(list)
    assert loop.next_timeout() == 0
    assert loop.step(timeout=None) == 1


def test_a_timer_in_a_thousand_years_is_no_overflow(loop: Loop) -> None:
    loop.timers.call_at(1000 * 365 * 86400.0, list)
    loop.wake()
    assert loop.step(timeout=None) == 1


def test_another_thread_ends_the_wait_and_its_call_runs_on_the_loops_thread(loop: Loop) -> None:
    threads: list[threading.Thread] = []
    other = threading.Thread(target=loop.post, args=(lambda: threads.append(threading.current_thread()),))
    other.start()
    loop.step(timeout=None)
    other.join()
    assert threads == [threading.current_thread()]


def test_a_loop_that_is_too_far_behind_refuses_posts(loop: Loop) -> None:
    for _ in range(10_000):
        loop.post(list)
    with pytest.raises(Overloaded):
        loop.post(list)
    loop.step()
    loop.post(list)


def test_an_outside_selector_sees_news_in_the_loops_own_descriptor(loop: Loop) -> None:
    called: list[str] = []
    with selectors.DefaultSelector() as outside:
        outside.register(loop.fileno(), selectors.EVENT_READ)
        assert outside.select(0) == []
        loop.post(lambda: called.append("posted"))
        assert len(outside.select(0)) == 1
        loop.step()
        assert outside.select(0) == []
    assert called == ["posted"]


def test_an_interrupt_leaves_the_other_calls_for_the_next_turn(loop: Loop) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    called: list[str] = []
    loop.post(interrupt)
    loop.post(lambda: called.append("posted"))
    with pytest.raises(KeyboardInterrupt):
        loop.step()
    loop.step()
    assert called == ["posted"]


def test_a_closed_loop_takes_posts_and_wake_ups_without_effect() -> None:
    loop = Loop()
    loop.call_soon(lambda: pytest.fail("called"))
    loop.close()
    loop.post(lambda: pytest.fail("called"))
    loop.wake()
    assert loop.closed


def test_closing_in_the_midst_of_a_turn_ends_the_turn(loop: Loop, pair: Pair) -> None:
    loop.call_soon(lambda: pytest.fail("called"))
    loop.wake()
    watch = loop.watch(pair[0].fileno(), lambda *ready: loop.close())
    watch.want(False, True)
    assert loop.step() == 2
    assert loop.closed


def test_a_post_within_a_turn_needs_no_mailbox_and_runs_in_the_same_turn(loop: Loop) -> None:
    calls: list[str] = []

    def post_many() -> None:
        for number in range(20_000):
            loop.post(partial(calls.append, str(number)))

    loop.call_soon(post_many)
    loop.step()
    assert calls == []
    loop.step()
    assert len(calls) == 20_000


def test_only_within_a_turn_is_the_caller_on_the_loop(loop: Loop) -> None:
    seen: list[bool] = []

    def look() -> None:
        seen.append(loop.in_turn())
        thread = threading.Thread(target=lambda: seen.append(loop.in_turn()))
        thread.start()
        thread.join()

    loop.call_soon(look)
    loop.step()
    assert seen == [True, False]
    assert not loop.in_turn()


def test_a_post_between_turns_wakes_an_outside_loop(loop: Loop) -> None:
    loop.step()
    loop.post(lambda: None)
    with selectors.DefaultSelector() as outside:
        outside.register(loop.fileno(), selectors.EVENT_READ)
        assert outside.select(5)


def test_what_is_delivered_is_never_refused(loop: Loop) -> None:
    calls: list[str] = []
    with pytest.raises(Overloaded):
        while True:
            loop.post(lambda: None)
    loop.deliver(partial(calls.append, "result"))
    loop.step()
    assert calls == ["result"]


# What is made while there is other news may wait for the end of it.


def test_nothing_may_be_deferred_but_among_the_news_of_several(loop: Loop, pair: Pair) -> None:
    ours, theirs = pair
    allowed: list[tuple[str, bool]] = []

    def note(what: str) -> None:
        allowed.append((what, loop.may_defer))

    def news(*ready: bool) -> None:
        ours.recv(1)
        note("news")
        loop.call_soon(partial(note, "soon"))
        loop.timers.call_at(0.0, partial(note, "timer"))

    loop.watch(ours.fileno(), news).want(True, False)
    theirs.send(b"a")
    loop.step()
    assert allowed == [("news", False), ("timer", False), ("soon", False)]
    allowed.clear()
    theirs.send(b"a")
    loop.wake()
    loop.step()
    assert allowed == [("news", True), ("timer", False), ("soon", False)]


def test_nothing_may_be_deferred_behind_news_whose_callback_left_the_turn(loop: Loop, pair: Pair) -> None:
    ours, theirs = pair

    def leave(*ready: bool) -> None:
        raise KeyboardInterrupt

    loop.watch(ours.fileno(), leave).want(True, False)
    theirs.send(b"a")
    loop.wake()
    with pytest.raises(KeyboardInterrupt):
        loop.step()
    assert not loop.may_defer
