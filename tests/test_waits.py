"""What generator handlers wait for."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from microsock import sleep
from microsock.waits import Flushed, Receive, Sleep, Wait, Waiting, checked_seconds, expect_wait


def test_sleep_waits_for_seconds_and_returns_nothing() -> None:
    sleeping = sleep(2)
    assert next(sleeping) == Sleep(2.0)
    with pytest.raises(StopIteration) as over:
        sleeping.send(None)
    assert over.value.value is None


def test_a_helper_generator_passes_waits_through() -> None:
    def helper() -> Waiting[str]:
        yield from sleep(1)
        return "done"

    def handler() -> Waiting[str]:
        return (yield from helper()) + "!"

    running = handler()
    assert next(running) == Sleep(1.0)
    with pytest.raises(StopIteration) as over:
        next(running)
    assert over.value.value == "done!"


@pytest.mark.parametrize("seconds", [-1, float("nan"), float("inf"), "1", None, True])
def test_a_duration_that_is_none_is_refused(seconds: Any) -> None:
    with pytest.raises(ValueError) as caught:
        next(sleep(seconds))
    assert str(caught.value) == f"sleep takes a number of seconds from 0 up, not {seconds!r}"


def test_a_duration_is_a_float() -> None:
    assert repr(checked_seconds("sleep", 3)) == "3.0"


@pytest.mark.parametrize("wait", [Receive(), Receive(1.5), Sleep(0.0), Flushed()])
def test_a_wait_is_what_a_handler_may_yield(wait: Wait) -> None:
    assert expect_wait(wait, "quiz") is wait


def naps() -> Generator[Wait, Any, None]:
    yield from sleep(1)


@pytest.mark.parametrize(
    ("yielded", "message"),
    [
        (None, "handler 'quiz' has a bare 'yield'; write 'message = yield from ws.receive()'"),
        (naps(), "handler 'quiz' yielded naps(…); write 'yield from' in front of it"),
        (
            "hello",
            "handler 'quiz' yielded 'hello'; write 'ws.send(…)' to send and 'yield from ws.receive()' to wait",
        ),
    ],
)
def test_anything_else_is_refused_with_what_to_write(yielded: object, message: str) -> None:
    with pytest.raises(TypeError) as caught:
        expect_wait(yielded, "quiz")
    assert str(caught.value) == message
