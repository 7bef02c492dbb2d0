"""How those share a loop who have more to do than others should wait for, and what happens to too much news."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from functools import partial

import pytest

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


def test_those_who_ask_for_the_next_turn_share_eight_milliseconds_of_each(loop: Loop, clock: Clock) -> None:
    order: list[int] = []

    def work(number: int) -> None:
        order.append(number)
        clock.now += 0.003
        loop.call_next_turn(partial(work, number))

    for number in range(5):
        loop.call_next_turn(partial(work, number))
    assert loop.next_timeout() == 0
    assert loop.step(timeout=None) == 3
    assert order == [0, 1, 2]
    loop.step(timeout=None)
    loop.step(timeout=None)
    assert order == [0, 1, 2, 3, 4, 0, 1, 2, 3]


def test_each_has_one_turn_of_a_turn_however_short_it_is(loop: Loop) -> None:
    order: list[int] = []

    def work(number: int) -> None:
        order.append(number)
        loop.call_next_turn(partial(work, number))

    for number in range(3):
        loop.call_next_turn(partial(work, number))
    loop.step(timeout=None)
    loop.step(timeout=None)
    assert order == [0, 1, 2] * 2


def test_news_timers_and_calls_come_before_those_who_have_more_to_do(loop: Loop, pair: Pair) -> None:
    order: list[str] = []

    def more() -> None:
        order.append("more")
        loop.call_next_turn(more)

    watch = loop.watch(pair[0].fileno(), lambda *ready: order.append("socket"))
    watch.want(False, True)
    loop.call_next_turn(more)
    loop.call_soon(partial(order.append, "soon"))
    loop.timers.call_at(0, partial(order.append, "timer"))
    loop.step(timeout=None)
    loop.step(timeout=None)
    assert order == ["socket", "timer", "soon", "more", "socket", "more"]
    watch.close()


def test_one_of_them_that_raises_is_logged_and_the_others_are_called(
    loop: Loop, caplog: pytest.LogCaptureFixture
) -> None:
    called: list[str] = []
    loop.call_next_turn(lambda: int("none"))
    loop.call_next_turn(partial(called.append, "next"))
    loop.step(timeout=None)
    assert called == ["next"]
    assert "ValueError" in str(caplog.records[0].exc_text)


@pytest.mark.parametrize("count", [1, 15, 16, 17, 40, 100])
def test_news_that_takes_long_is_left_for_the_next_turn_and_comes_first_there(
    loop: Loop, clock: Clock, count: int
) -> None:
    pairs = [socket.socketpair() for _ in range(count)]
    heard: list[int] = []
    beats: list[int] = []

    def hear(number: int, readable: bool, writable: bool) -> None:
        pairs[number][0].recv(1)
        heard.append(number)
        clock.now += 0.002

    watches = [loop.watch(ours.fileno(), partial(hear, number)) for number, (ours, _) in enumerate(pairs)]
    for watch in watches:
        watch.want(True, False)
    for _, theirs in pairs:
        theirs.send(b"x")
    turns = 0
    while len(heard) < count:
        loop.timers.call_at(clock.now, lambda: beats.append(len(heard)))
        loop.step(timeout=None)
        turns += 1
        if turns == 1:
            # Who has news again does not come before those who were left.
            again = heard[0]
            pairs[again][1].send(b"x")
    assert sorted(heard[:count]) == list(range(count))
    assert len(beats) == turns == -(-count // 16)
    loop.step()
    assert heard[count:] == [again]
    for watch in watches:
        watch.close()
    for ours, theirs in pairs:
        ours.close()
        theirs.close()


def test_news_that_was_left_is_forgotten_where_it_is_not_wanted_any_more(loop: Loop, clock: Clock) -> None:
    pairs = [socket.socketpair() for _ in range(40)]
    heard: list[int] = []

    def hear(number: int, readable: bool, writable: bool) -> None:
        heard.append(number)
        clock.now += 0.002
        for watch in watches:
            watch.want(False, False)

    watches = [loop.watch(ours.fileno(), partial(hear, number)) for number, (ours, _) in enumerate(pairs)]
    for watch in watches:
        watch.want(False, True)
    for _ in range(4):
        loop.step()
    assert len(heard) == 1
    for ours, theirs in pairs:
        ours.close()
        theirs.close()
