"""The numbered past of what was published."""

from __future__ import annotations

import pytest

from microsock import history
from microsock.history import History, Record


@pytest.fixture
def past() -> History:
    return History("bus")


def numbers(records: list[Record]) -> list[int]:
    return [record.number for record in records]


def publish(past: History, topic: str, *data: str, retain: bool = False) -> None:
    for one in data:
        past.record(topic, one, retain)


def test_a_record_looks_the_same_to_all_and_is_made_once(past: History) -> None:
    record = past.record("a", "hello", False)
    assert record.frame == b"\x81\x05hello"
    assert record.frame is record.frame
    assert record.event("bus") == b"id: bus-1\ndata: hello\n\n"
    assert record.event("bus") is record.event("bus")


def test_binary_data_is_a_frame_and_no_event(past: History) -> None:
    record = past.record("a", b"\xff", False)
    assert (record.frame, record.event("bus")) == (b"\x82\x01\xff", b"")


def test_records_of_all_topics_are_numbered_in_one_order(past: History) -> None:
    assert [past.record(topic, "x", False).number for topic in "abab"] == [1, 2, 3, 4]


def test_who_comes_back_gets_what_came_behind_the_event_it_saw(past: History) -> None:
    past.keep("a", 10)
    past.keep("b", 10)
    publish(past, "a", "1")
    publish(past, "b", "2")
    publish(past, "c", "3")
    publish(past, "a", "4")
    assert numbers(past.missed("bus-1", ("a", "b"))) == [2, 4]
    assert numbers(past.missed("bus-1", ("a",))) == [4]
    assert past.missed("bus-4", ("a", "b")) == []


def test_the_last_records_of_each_topic_are_kept(past: History) -> None:
    past.keep("a", 2)
    publish(past, "a", "1", "2", "3")
    assert numbers(past.missed("bus-0", ("a",))) == [2, 3]
    past.keep("a", 1)
    publish(past, "a", "4")
    assert numbers(past.missed("bus-0", ("a",))) == [3, 4]
    past.keep("a", 3)
    publish(past, "a", "5")
    assert numbers(past.missed("bus-0", ("a",))) == [3, 4, 5]


def test_a_history_of_0_keeps_nothing(past: History) -> None:
    past.keep("a", 0)
    publish(past, "a", "1")
    assert past.missed("bus-0", ("a",)) == []


@pytest.mark.parametrize("last", ["other-2", "bus-99999999999999999999", "bus-", "nonsense", "bus-2\n", "2"])
def test_an_id_of_another_life_or_none_at_all_gets_what_there_is(past: History, last: str) -> None:
    past.keep("a", 10)
    publish(past, "a", "1", "2", "3")
    assert numbers(past.missed(last, ("a",))) == [1, 2, 3]


def test_what_was_published_just_before_the_topic_was_first_followed_is_not_lost(past: History) -> None:
    past.keep("b", 10)
    publish(past, "a", "1", "2")
    publish(past, "b", "3")
    publish(past, "c", "4")
    past.keep("a", 10)
    publish(past, "a", "5")
    assert numbers(past.missed("earlier-7", ("a", "b"))) == [1, 2, 3, 5]


def test_of_topics_that_nobody_follows_only_the_last_few_records_stay(past: History) -> None:
    for number in range(300):
        publish(past, f"topic {number}", "x")
    for number in range(300):
        past.keep(f"topic {number}", 1)
    kept = [number for number in range(300) if past.missed("bus-0", (f"topic {number}",))]
    assert kept == list(range(200, 300))


def test_a_new_one_gets_what_was_retained_and_nothing_else(past: History) -> None:
    past.keep("a", 10)
    publish(past, "a", "1")
    publish(past, "b", "2", "3", retain=True)
    publish(past, "a", "4", retain=True)
    publish(past, "a", "5")
    assert [record.data for record in past.missed(None, ("a", "b"))] == ["3", "4"]
    assert [record.data for record in past.missed("", ("a", "b"))] == ["3", "4"]
    retained = past.retained("b")
    assert retained is not None
    assert retained.data == "3"
    assert past.retained("c") is None


def test_who_comes_back_gets_a_retained_value_that_is_new_once(past: History) -> None:
    past.keep("a", 10)
    publish(past, "a", "1", retain=True)
    publish(past, "b", "2", retain=True)
    assert numbers(past.missed("bus-0", ("a", "b"))) == [1, 2]
    assert numbers(past.missed("bus-1", ("a", "b"))) == [2]


def test_the_bytes_are_bounded_and_the_oldest_go_first() -> None:
    past = History("bus", max_bytes=10_000)
    past.keep("a", 1000)
    past.keep("b", 1000)
    for _ in range(20):
        publish(past, "a", "x" * 500)
        publish(past, "b", "x" * 500)
    assert past.bytes <= 10_000
    kept = numbers(past.missed("bus-0", ("a", "b")))
    assert kept == list(range(41 - len(kept), 41))
    assert len(kept) > 5


def test_small_records_and_topics_count_for_what_they_cost() -> None:
    past = History("bus", max_bytes=100_000)
    for number in range(1000):
        past.keep(str(number), 5)
        publish(past, str(number), "")
    assert past.bytes <= 100_000
    assert len(past.missed("bus-0", [str(number) for number in range(1000)])) < 100


def test_retained_values_are_bounded_too_and_go_when_no_history_is_left() -> None:
    past = History("bus", max_bytes=10_000)
    past.keep("a", 100)
    publish(past, "a", "x" * 500, "y" * 500)
    for number in range(100):
        publish(past, f"user {number}", "x" * 100, retain=True)
        publish(past, f"user {number}", "z" * 100, retain=True)
    assert past.bytes <= 10_000
    assert past.missed("bus-0", ("a",)) == []
    assert past.retained("user 0") is None
    assert past.retained("user 99") is not None


def test_a_value_larger_than_the_bound_is_not_kept() -> None:
    past = History("bus", max_bytes=1000)
    publish(past, "a", "x" * 2000, retain=True)
    assert past.retained("a") is None
    assert past.bytes == 0


def test_topics_whose_history_is_wanted_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "_MAX_TOPICS", 3)
    past = History("bus")
    for topic in "abc":
        past.keep(topic, 1)
        publish(past, topic, "x")
    past.keep("a", 1)
    past.keep("d", 1)
    assert [topic for topic in "abcd" if past.missed("bus-0", (topic,))] == ["a", "c"]
    assert past.bytes == sum(record.size for record in past.missed("bus-0", "abcd")) + 2 * 1024


def test_records_that_were_numbered_elsewhere_are_kept_by_their_numbers(past: History) -> None:
    past.keep("a", 2)
    for number in (3, 7, 8):
        past.add(Record("a", str(number), number), retain=number == 3)
    assert numbers(past.missed("bus-3", ("a",))) == [7, 8]
    assert numbers(past.missed(None, ("a",))) == [3]


def test_whether_more_is_kept_than_before_is_told(past: History) -> None:
    assert [past.keep("a", count) for count in (3, 2, 4, 0)] == [True, False, True, False]
    past.keep("b", 1)
    past.keep("a", 1)
    assert past.wanted() == [("b", 1), ("a", 4)]


def test_all_that_is_here_is_told_in_order_with_what_is_retained_now(past: History) -> None:
    past.keep("a", 2)
    publish(past, "state", "1", "2", retain=True)
    publish(past, "a", "3", "4", "5")
    publish(past, "nobody", "6")
    publish(past, "a", "7", retain=True)
    assert [(record.data, retained) for record, retained in past.since(1)] == [
        ("2", True),
        ("5", False),
        ("6", False),
        ("7", True),
    ]
    assert past.since(7) == []
