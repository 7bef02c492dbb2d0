"""The pool of threads for blocking calls."""

from __future__ import annotations

import queue
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from microsock import Overloaded
from microsock.adapters.threads import ThreadPool

PATIENCE = 10.0


class Bench:
    """A pool whose results a test takes one by one, and a gate that its calls wait at."""

    def __init__(self, threads: int = 2, max_queued: int = 2) -> None:
        self.inbox: queue.Queue[Callable[[], None]] = queue.Queue()
        self.pool = ThreadPool(threads, max_queued, self.inbox.put)
        self.gate = threading.Event()
        self.entered: queue.Queue[str] = queue.Queue()
        self.results: list[tuple[Any, Exception | None]] = []

    def work(self, name: str) -> str:
        self.entered.put(name)
        assert self.gate.wait(PATIENCE)
        return f"{name} on {threading.current_thread().name}"

    def submit(self, name: str) -> Any:
        return self.pool.submit(lambda: self.work(name), self.done)

    def done(self, value: Any, error: Exception | None) -> None:
        self.results.append((value, error))

    def deliver(self, count: int = 1) -> None:
        """Do what the loop does with as many results."""
        for _ in range(count):
            self.inbox.get(timeout=PATIENCE)()


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.gate.set()
    bench.pool.stop()


def ours() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("microsock-")]


def test_what_a_call_returns_or_raises_comes_back_on_the_loop(bench: Bench) -> None:
    bench.pool.submit(lambda: threading.current_thread().name, bench.done)
    bench.deliver()
    bench.pool.submit(lambda: 1 // 0, bench.done)
    assert bench.results == [("microsock-1", None)]
    bench.deliver()
    value, error = bench.results[1]
    assert value is None
    assert isinstance(error, ZeroDivisionError)


def test_a_call_that_exits_ends_nothing_but_itself(bench: Bench) -> None:
    bench.pool.submit(sys.exit, bench.done)
    bench.deliver()
    _, error = bench.results[0]
    assert isinstance(error, RuntimeError)
    assert "raised SystemExit" in str(error)
    assert isinstance(error.__cause__, SystemExit)
    bench.pool.submit(lambda: "goes on", bench.done)
    bench.deliver()
    assert bench.results[1] == ("goes on", None)


def test_threads_are_made_when_they_are_needed_and_used_again(bench: Bench) -> None:
    bench.gate.set()
    for name in "abc":
        bench.submit(name)
        bench.deliver()
    assert {value.partition(" on ")[2] for value, _ in bench.results} == {"microsock-1"}


def test_as_many_calls_run_at_once_as_there_are_threads(bench: Bench) -> None:
    for name in "abcd":
        bench.submit(name)
    assert {bench.entered.get(timeout=PATIENCE) for _ in range(2)} == {"a", "b"}
    assert bench.entered.empty()
    bench.gate.set()
    bench.deliver(4)
    assert [value[0] for value, _ in bench.results[:2]] != ["c", "d"]
    assert sorted(value[0] for value, _ in bench.results) == ["a", "b", "c", "d"]


def test_one_more_than_may_wait_is_refused(bench: Bench) -> None:
    for name in "abcd":
        bench.submit(name)
    with pytest.raises(Overloaded, match=r"^2 blocking calls wait for one of 2 threads already$"):
        bench.submit("e")
    bench.gate.set()
    bench.deliver(4)
    bench.submit("f")
    bench.deliver()
    assert len(bench.results) == 5


def test_no_call_needs_to_wait_where_none_may(bench: Bench) -> None:
    strict = Bench(threads=1, max_queued=0)
    strict.submit("a")
    with pytest.raises(Overloaded):
        strict.submit("b")
    strict.gate.set()
    strict.deliver()
    strict.submit("c")
    strict.deliver()
    assert len(strict.results) == 2
    strict.pool.stop()


def test_a_call_that_is_cancelled_while_it_waits_is_not_made_and_leaves_its_place(bench: Bench) -> None:
    calls = [bench.submit(name) for name in "abcd"]
    calls[3].cancel()
    calls[3].cancel()
    bench.submit("e")
    bench.gate.set()
    bench.deliver(4)
    assert sorted(value[0] for value, _ in bench.results) == ["a", "b", "c", "e"]


def test_what_a_cancelled_call_gives_is_dropped(bench: Bench) -> None:
    call = bench.submit("a")
    bench.entered.get(timeout=PATIENCE)
    call.cancel()
    bench.gate.set()
    bench.deliver()
    assert bench.results == []


def test_a_stopped_pool_makes_no_calls_and_its_threads_end(bench: Bench) -> None:
    for name in "abc":
        bench.submit(name)
    for _ in range(2):
        bench.entered.get(timeout=PATIENCE)
    threads = ours()
    bench.pool.stop()
    bench.gate.set()
    for thread in threads:
        thread.join(PATIENCE)
    bench.deliver(2)
    assert sorted(value[0] for value, _ in bench.results) == ["a", "b"]
    with pytest.raises(Overloaded, match="stopped"):
        bench.submit("d")


def test_an_idle_thread_holds_nothing_of_what_it_worked_on(bench: Bench) -> None:
    class Large:
        def __call__(self) -> str:
            return "done"

    large = Large()
    gone = weakref.ref(large)
    bench.pool.submit(large, bench.done)
    del large
    bench.deliver()
    bench.submit("next")  # the thread has come back for more by the time it takes this
    bench.entered.get(timeout=PATIENCE)
    assert gone() is None


def test_a_call_that_never_ends_keeps_no_process_alive() -> None:
    script = (
        "import threading; from microsock.adapters.threads import ThreadPool; "
        "entered = threading.Event(); pool = ThreadPool(1, 1, print); "
        "pool.submit(lambda: (entered.set(), threading.Event().wait()), print); "
        "entered.wait(10); pool.stop(); print('over')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=20, check=True)
    assert done.stdout == "over\n"
