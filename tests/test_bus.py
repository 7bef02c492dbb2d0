"""A worker's end of the bus: what it says to the relay and what it makes of the answers."""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microsock import Overloaded, envelope
from microsock.bus import LocalBus
from microsock.envelope import MAX_MESSAGE_BYTES
from microsock.history import Record
from microsock.server.timers import Timer, Timers
from microsock.topics import Topics
from microsock.worker_bus import WorkerBus


class Hall:
    """An audience that writes down what reaches it. Calls are made by ``settle``."""

    def __init__(self) -> None:
        self.topics: Topics[str] = Topics()
        self.heard: list[tuple[object, ...]] = []
        self.sent: list[bytes] = []
        self.has_room = True
        self.on_the_loop = True
        self.clock = 0.0
        self.timers = Timers(self.now)
        self._calls: deque[Callable[[], None]] = deque()
        self.bus = WorkerBus(self, self.send, birth="birth", epoch=100.0)

    def send(self, message: bytes) -> bool:
        if self.has_room:
            self.sent.append(message)
        return self.has_room

    def deliver(self, record: Record, exclude: str | None) -> None:
        self.heard.append((record.number, record.topic, record.data, exclude))

    def end_topic(self, topic: str, code: int, reason: str) -> None:
        self.heard.append(("end", topic, code, reason))

    def count_here(self, topic: str) -> int:
        return self.topics.count(topic)

    def watch_counts(self, changed: Callable[[str], None]) -> None:
        self.topics.changed = changed

    def now(self) -> float:
        return self.clock

    def call_soon(self, callback: Callable[[], None], /) -> None:
        self._calls.append(callback)

    def call_at(self, when: float, callback: Callable[[], None], /) -> Timer:
        return self.timers.call_at(when, callback)

    post = call_soon

    def on_loop(self) -> bool:
        return self.on_the_loop

    def settle(self) -> None:
        while self._calls:
            self._calls.popleft()()
        self.timers.run_due()

    def told(self) -> list[tuple[str, int]]:
        """The counts that were sent since the last time."""
        messages = [envelope.read_subscribers(each) for each in self.sent if each[:1] == envelope.SUBSCRIBERS]
        self.sent.clear()
        return [pair for message in messages for pair in message]


@pytest.fixture
def hall() -> Hall:
    hall = Hall()
    hall.bus.start()
    hall.sent.clear()
    return hall


def record(number: int, topic: str, data: str | bytes, exclude: str | None = None, retain: bool = False) -> bytes:
    return envelope.record_message(number, envelope.publish_message(topic, data, exclude, retain)[1:])


# Alone.


def test_alone_everything_comes_back_behind_the_current_step() -> None:
    hall = Hall()
    bus = LocalBus(hall, "birth")
    hall.topics.subscribe("a", "ann")
    bus.publish("a", "one", "ws1", False)
    bus.close_topic("a", 4000, "over")
    assert hall.heard == []
    hall.settle()
    assert hall.heard == [(1, "a", "one", "ws1"), ("end", "a", 4000, "over")]
    assert (bus.count("a"), bus.leads(5.0), bus.epoch) == (1, True, None)


def test_alone_it_is_ready_at_once() -> None:
    called: list[int] = []
    LocalBus(Hall(), "birth").when_ready(lambda: called.append(1))
    assert called == [1]


# Publishing.


def test_what_is_published_goes_to_the_relay_and_nowhere_else(hall: Hall) -> None:
    hall.bus.publish("a", "one", "ws1", True)
    hall.bus.close_topic("a", 4000, "over")
    hall.settle()
    assert hall.heard == []
    assert hall.sent == [envelope.publish_message("a", "one", "ws1", True), envelope.close_message("a", 4000, "over")]


def test_what_the_relay_numbers_is_delivered(hall: Hall) -> None:
    hall.bus.receive(record(7, "a", b"\xff", "ws1"))
    hall.bus.receive(envelope.close_message("a", 4000, "over"))
    assert hall.heard == [(7, "a", b"\xff", "ws1"), ("end", "a", 4000, "over")]


def test_another_thread_says_it_on_the_loop(hall: Hall) -> None:
    hall.on_the_loop = False
    hall.bus.publish("a", "one", None, False)
    assert hall.sent == []
    hall.settle()
    assert len(hall.sent) == 1


def test_without_room_the_handler_is_told_and_another_threads_message_is_counted_as_lost(
    hall: Hall, caplog: pytest.LogCaptureFixture
) -> None:
    hall.has_room = False
    with pytest.raises(Overloaded, match="still waits"):
        hall.bus.publish("a", "one", None, False)
    with pytest.raises(Overloaded):
        hall.bus.close_topic("a", 1000, "")
    hall.on_the_loop = False
    hall.bus.publish("a", "one", None, False)
    hall.settle()
    assert hall.bus.lost == 1
    assert [entry.levelname for entry in caplog.records] == ["ERROR"]


def test_what_is_too_large_for_the_workers_queues_is_refused_where_it_is_published(hall: Hall) -> None:
    hall.bus.publish("a", b"x" * (MAX_MESSAGE_BYTES - 100), None, False)
    with pytest.raises(ValueError, match="too many to publish over several workers"):
        hall.bus.publish("a", b"x" * MAX_MESSAGE_BYTES, None, False)
    assert len(hall.sent) == 1


@pytest.mark.parametrize("message", [b"", b"P", b"X", b"R123", b"J" + bytes(8), b"r"])
def test_nonsense_is_refused(hall: Hall, message: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        hall.bus.receive(message)
    assert hall.heard == []


# History.


def test_a_new_worker_asks_for_what_was_before_until_it_has_all() -> None:
    hall, ready = Hall(), list[str]()
    hall.bus.when_ready(lambda: ready.append("early"))
    hall.bus.start()
    assert hall.sent == [envelope.join_message(0)]
    hall.bus.receive(envelope.keep_message("a", 10))
    hall.bus.receive(envelope.history_message(3, False, envelope.publish_message("a", "three", None, True)[1:]))
    hall.bus.receive(envelope.MORE)
    assert hall.sent[1:] == [envelope.join_message(3)]
    hall.bus.receive(envelope.history_message(5, True, envelope.publish_message("a", "five")[1:]))
    assert ready == []
    hall.bus.receive(envelope.WELCOME)
    hall.bus.when_ready(lambda: ready.append("late"))
    assert ready == ["early", "late"]
    assert [each.number for each in hall.bus.history.missed("birth-2", ["a"])] == [3, 5]
    value = hall.bus.history.retained("a")
    assert value is not None
    assert value.data == "five"


def retained(number: int, content: bytes) -> bytes:
    return envelope.history_message(number, True, content)


UNREADABLE = [b"", b"\xff" * 9, envelope.publish_message("a", b"\xff")[1:].replace(b"\2", b"\0", 1)]


@pytest.mark.parametrize("content", UNREADABLE)
def test_a_worker_never_asks_again_for_what_it_cannot_read(content: bytes) -> None:
    hall, ready = Hall(), list[bool]()
    hall.bus.when_ready(lambda: ready.append(True))
    hall.bus.start()
    for number in (3, 9):
        with pytest.raises(ValueError, match=r"."):
            hall.bus.receive(retained(number, content))
        hall.bus.receive(envelope.MORE)
    with pytest.raises(ValueError, match=r"."):
        hall.bus.receive(b"H12")
    hall.bus.receive(envelope.MORE)
    hall.bus.receive(envelope.more_message(20))
    hall.bus.receive(envelope.more_message(20))
    assert hall.sent == [envelope.join_message(number) for number in (0, 3, 9, 10, 20, 20)]
    hall.bus.receive(envelope.WELCOME)
    hall.bus.receive(record(21, "a", "live"))
    assert ready == [True]
    assert hall.heard == [(21, "a", "live", None)]


def test_a_page_without_a_record_skips_none(hall: Hall) -> None:
    hall.bus.receive(envelope.keep_message("a", 10))
    hall.bus.receive(envelope.more_message(0))
    hall.bus.receive(retained(1, envelope.publish_message("a", "first")[1:]))
    assert hall.heard == [(1, "a", "first", None)]


def test_a_record_that_comes_twice_or_too_late_is_refused(hall: Hall) -> None:
    hall.bus.keep("a", 5)
    for number in (5, 5, 4, 6):
        with contextlib.suppress(ValueError):
            hall.bus.receive(record(number, "a", str(number)))
    assert [data for _, _, data, _ in hall.heard] == ["5", "6"]
    for number in range(7, 20):
        hall.bus.receive(record(number, "a", str(number)))
    assert len(hall.bus.history.missed("birth-1", ["a"])) == 5


KINDS = st.sampled_from([b"P", b"R", b"H", b"M", b"W", b"J", b"C", b"K", b"S", b"L", b"x", b""])


@given(st.lists(st.builds(bytes.__add__, KINDS, st.binary(max_size=40)), max_size=30))
def test_nothing_that_comes_in_place_of_the_relays_words_breaks_a_bus(said: list[bytes]) -> None:
    hall = Hall()
    hall.bus.start()
    for message in said:
        with contextlib.suppress(ValueError):
            hall.bus.receive(message)
    hall.settle()
    hall.heard.clear()
    if hall.bus._known < (1 << 64) - 1:
        hall.bus.receive(record((1 << 64) - 1, "a", "last"))
        assert hall.heard == [((1 << 64) - 1, "a", "last", None)]


def test_a_retained_value_reaches_those_who_were_quicker_than_it(hall: Hall) -> None:
    hall.bus.receive(envelope.history_message(3, False, envelope.publish_message("a", "passing")[1:]))
    hall.bus.receive(envelope.history_message(5, True, envelope.publish_message("a", "state")[1:]))
    assert hall.heard == [(5, "a", "state", None)]


def test_records_are_kept_by_the_relays_numbers_for_those_who_come_back(hall: Hall) -> None:
    hall.bus.keep("a", 2)
    hall.bus.keep("a", 0)
    assert hall.sent == [envelope.keep_message("a", 2)]
    for number in (4, 8, 9):
        hall.bus.receive(record(number, "a", str(number), retain=number == 8))
    assert [each.data for each in hall.bus.history.missed("birth-4", ["a"])] == ["8", "9"]
    assert hall.bus.history.missed("birth-4", ["a"])[0].event("birth") == b"id: birth-8\ndata: 8\n\n"
    assert [each.data for each in hall.bus.history.missed(None, ["a"])] == ["8"]


# Counts.


def test_who_follows_what_is_told_once_a_turn(hall: Hall) -> None:
    for name in ("ann", "bob"):
        hall.topics.subscribe("a", name)
        hall.topics.subscribe("b", name)
    hall.topics.unsubscribe("b", "ann")
    hall.topics.subscribe("c", "ann")
    hall.topics.unsubscribe("c", "ann")
    assert hall.sent == []
    hall.settle()
    assert hall.told() == [("a", 2), ("b", 1)]
    hall.topics.subscribe("a", "cid")
    hall.topics.discard("ann")
    hall.settle()
    assert hall.told() == []
    hall.topics.discard("bob")
    hall.topics.discard("cid")
    hall.settle()
    assert hall.told() == [("a", 0), ("b", 0)]
    assert hall.bus._told == {}


def test_a_count_is_the_own_ones_now_and_the_others_as_told_last(hall: Hall) -> None:
    hall.topics.subscribe("a", "ann")
    hall.bus.receive(envelope.subscribers_message([("a", 4), ("b", 2)]))
    assert (hall.bus.count("a"), hall.bus.count("b"), hall.bus.count("c")) == (5, 2, 0)
    hall.bus.receive(envelope.subscribers_message([("b", 0)]))
    assert hall.bus.count("b") == 0
    assert hall.bus.others() == {"a": 4}


def test_many_counts_are_told_in_pieces_each_short_enough_to_be_taken(hall: Hall) -> None:
    topics = [f"{number:05}" + "x" * 1000 for number in range(3000)]
    for topic in topics:
        hall.topics.subscribe(topic, "ann")
    hall.settle()
    assert all(len(message) < envelope.MAX_COUNTS_BYTES for message in hall.sent)
    assert hall.told() == [(topic, 1) for topic in topics]


def test_counts_without_room_are_told_later(hall: Hall) -> None:
    hall.has_room = False
    hall.topics.subscribe("a", "ann")
    hall.settle()
    hall.topics.subscribe("a", "bob")
    hall.settle()
    hall.has_room = True
    hall.settle()
    assert hall.sent == []
    hall.clock = 0.2
    hall.settle()
    assert hall.told() == [("a", 2)]


def test_what_must_be_said_is_said_again_where_there_was_no_room() -> None:
    hall = Hall()
    hall.has_room = False
    hall.bus.start()
    hall.bus.receive(envelope.LEADS_NOT)
    hall.bus.keep("a", 3)
    hall.has_room = True
    hall.clock = 0.2
    hall.settle()
    assert hall.sent == [envelope.join_message(0), envelope.LEADS_NOT, envelope.keep_message("a", 3)]


# Who leads.


def test_a_worker_leads_from_when_it_is_told_until_it_is_told_otherwise(hall: Hall) -> None:
    assert not hall.bus.leads(50.0)
    hall.clock = 10.0
    hall.bus.receive(envelope.LEADS)
    # What was due before was the earlier one's.
    assert not hall.bus.leads(9.9)
    assert hall.bus.leads(10.0)
    hall.bus.receive(envelope.LEADS_NOT)
    assert not hall.bus.leads(11.0)
    assert hall.sent == [envelope.LEADS_NOT]
    assert hall.bus.epoch == 100.0
