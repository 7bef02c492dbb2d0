"""Records that processes share: exact under all of them at once, whole when one is killed."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import struct
import threading
import time
from collections.abc import Callable, Iterator
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microsock.adapters.shared_limits import SharedClients, SharedStore
from microsock.adapters.shared_table import SharedTable
from microsock.clients import Client
from microsock.rates import Rate
from microsock.request import Address

NUMBER = struct.Struct("<Q")
DEADLINE = 30.0


def number(payload: bytes) -> float:
    return float(NUMBER.unpack(payload)[0])


@pytest.fixture
def table() -> Iterator[SharedTable]:
    table = SharedTable(NUMBER.size, groups=16, ways=4, worth=number)
    yield table
    table.close()


def put(table: SharedTable, key: bytes, value: int) -> None:
    table.change(key, lambda old: NUMBER.pack(value))


def get(table: SharedTable, key: bytes) -> int | None:
    payload = table.read(key)
    return None if payload is None else int(NUMBER.unpack(payload)[0])


def add(old: bytes | None) -> bytes:
    return NUMBER.pack(1 + (0 if old is None else NUMBER.unpack(old)[0]))


def forked(work: Callable[[], object]) -> int:
    """The pid of a process that does some work and leaves."""
    pid = os.fork()
    if pid == 0:
        status = 1
        with contextlib.suppress(BaseException):
            work()
            status = 0
        os._exit(status)
    return pid


def ended(pid: int) -> int:
    """A process's exit status; past the deadline it is killed."""
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    raise AssertionError(f"process {pid} did not end in {DEADLINE} s")


# One process.


def test_a_record_is_kept_changed_and_taken_away(table: SharedTable) -> None:
    assert get(table, b"a") is None
    for value in (1, 2, 3):
        put(table, b"a", value)
        assert get(table, b"a") == value
    table.change(b"a", lambda old: None)
    assert get(table, b"a") is None
    table.change(b"a", lambda old: None)
    put(table, b"a", 9)
    assert get(table, b"a") == 9


def test_a_change_that_raises_changes_nothing_and_lets_the_lock_go(table: SharedTable) -> None:
    put(table, b"a", 1)
    with pytest.raises(ZeroDivisionError):
        table.change(b"a", lambda old: NUMBER.pack(1 // 0))
    put(table, b"a", 1 + (get(table, b"a") or 0))
    assert get(table, b"a") == 2


def test_records_are_found_among_many_and_all_can_be_had(table: SharedTable) -> None:
    keys = [b"key %d" % index for index in range(30)]
    for index, key in enumerate(keys):
        put(table, key, 1000 + index)
    kept = [get(table, key) for key in keys]
    assert sorted(value for value in kept if value is not None) == sorted(map(number, table.payloads()))
    assert kept.count(None) == table.evicted


def test_where_a_group_is_full_the_record_of_least_worth_goes() -> None:
    table = SharedTable(NUMBER.size, groups=1, ways=4, worth=number)
    for value in (5, 3, 7, 9):
        put(table, b"%d" % value, value)
    put(table, b"new", 1)
    assert [get(table, key) for key in (b"5", b"3", b"7", b"9", b"new")] == [5, None, 7, 9, 1]
    assert table.evicted == 1
    table.change(b"7", lambda old: None)
    put(table, b"8", 8)
    assert (get(table, b"new"), table.evicted) == (1, 1)
    table.close()


@pytest.mark.parametrize("whole", [0, 1, 4, 12, 20, 35])
def test_what_a_killed_process_left_half_written_is_passed_over(table: SharedTable, whole: int) -> None:
    put(table, b"a", 1)
    before = bytes(table._memory)
    put(table, b"a", 2)
    after = bytes(table._memory)
    first = next(index for index in range(len(after)) if before[index] != after[index])
    # The write stopped here: the rest of the half is as it was before.
    table._memory[first + whole : first + 40] = before[first + whole : first + 40]
    assert get(table, b"a") in ((1,) if whole < 35 else (1, 2))
    put(table, b"a", 3)
    assert get(table, b"a") == 3
    put(table, b"a", 4)
    assert get(table, b"a") == 4


def test_any_damage_is_told_from_a_record(table: SharedTable) -> None:
    chance = random.Random(7)
    for _ in range(300):
        put(table, b"a", 1)
        at = table._memory.find(NUMBER.pack(1))
        spot = at - chance.randrange(28)
        table._memory[spot] ^= 1 << chance.randrange(8)
        assert get(table, b"a") in (None, 1)
        table.change(b"a", lambda old: None)


def test_threads_do_not_lose_each_others_changes(table: SharedTable) -> None:
    def work() -> None:
        for _ in range(2000):
            table.change(b"a", add)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    assert get(table, b"a") == 8000


# Several processes.

processes = pytest.mark.server


@processes
def test_four_processes_do_not_lose_each_others_changes(table: SharedTable) -> None:
    def work() -> None:
        for turn in range(5000):
            table.change(b"key %d" % (turn % 5), add)

    assert [ended(pid) for pid in [forked(work) for _ in range(4)]] == [0] * 4
    assert [get(table, b"key %d" % index) for index in range(5)] == [4000] * 5


@processes
def test_of_what_four_processes_ask_for_exactly_the_limit_is_allowed() -> None:
    store, told = SharedStore(), SharedTable(NUMBER.size, 1, 1, number)
    rate = Rate(5000, 3600.0)

    def work() -> None:
        allowed = sum(store.hit(b"client", rate).allowed for _ in range(3000))
        told.change(b"allowed", lambda old: NUMBER.pack(allowed + (0 if old is None else NUMBER.unpack(old)[0])))

    assert [ended(pid) for pid in [forked(work) for _ in range(4)]] == [0] * 4
    assert get(told, b"allowed") == 5000
    assert not store.hit(b"client", rate).allowed
    store.close()
    told.close()


@processes
def test_a_process_killed_while_it_holds_a_record_holds_up_nobody(table: SharedTable) -> None:
    reader, writer = os.pipe()

    def hold(old: bytes | None) -> bytes:
        os.write(writer, b"held")
        time.sleep(DEADLINE)
        return NUMBER.pack(99)

    put(table, b"a", 1)
    holder = forked(lambda: table.change(b"a", hold))
    assert os.read(reader, 4) == b"held"
    waiter = forked(lambda: table.change(b"a", add))
    assert os.waitpid(waiter, os.WNOHANG) == (0, 0)
    os.kill(holder, signal.SIGKILL)
    assert (ended(holder), ended(waiter)) == (-signal.SIGKILL, 0)
    assert get(table, b"a") == 2
    os.close(reader)
    os.close(writer)


@processes
def test_processes_killed_at_any_moment_lose_at_most_the_change_they_were_making(table: SharedTable) -> None:
    reader, writer = os.pipe()

    def work() -> None:
        while True:
            table.change(b"a", add)
            os.write(writer, b".")

    told, killed = 0, 12
    for turn in range(1, killed + 1):
        pid = forked(work)
        while told < 50 * turn:
            told += len(os.read(reader, 1 << 16))
        os.kill(pid, signal.SIGKILL)
        ended(pid)
    os.close(writer)
    while rest := os.read(reader, 1 << 16):
        told += len(rest)
    os.close(reader)
    # One that was killed between the change and its word has made it all the same.
    assert told <= (get(table, b"a") or 0) <= told + killed


# A process that has gone bad may write anything there, checksums and all.


def half(key: bytes, age: int, payload: bytes) -> bytes:
    body = struct.pack("<16sQ", key, age) + payload
    return struct.pack("<I", crc32(body)) + body


@pytest.mark.parametrize("age", [(1 << 63) - 1, 1 << 63, (1 << 64) - 1])
def test_a_record_of_an_age_that_cannot_be_is_written_anew(age: int, table: SharedTable) -> None:
    put(table, b"key", 1)
    digest, group = table._place(b"key")
    start = group * table._group_size
    table._memory[start : start + table._way_size] = half(digest, age, NUMBER.pack(7)) * 2
    for value in (8, 9, 10):
        put(table, b"key", value)
        assert get(table, b"key") == value


@given(
    st.binary(min_size=12, max_size=12) | st.builds(struct.Struct("<dI").pack, st.floats(), st.integers(0, 2**32 - 1))
)
def test_whatever_count_stands_there_the_verdict_is_within_the_rate(payload: bytes) -> None:
    store = SharedStore(room=8, clock=lambda: 1000.0)
    store._table.change(b"ada", lambda old: payload)
    verdict = store.hit(b"ada", Rate(10, 60.0))
    assert 0 <= verdict.remaining <= 10
    assert 0 < verdict.reset_seconds <= 120.0
    store.close()


@given(st.binary(min_size=156, max_size=156))
def test_whatever_client_stands_there_the_others_are_listed(payload: bytes) -> None:
    clients = SharedClients(room=16)
    clients.add(Client("ada", Address("::1", 7)))
    clients._table.change(b"other", lambda old: payload)
    assert "ada" in {client.key for client in clients.all()}
    assert len(clients.all()) == 2
    clients.remove("other")
    assert [client.key for client in clients.all()] == ["ada"]
    clients.close()
