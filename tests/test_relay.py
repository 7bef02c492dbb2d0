"""The relay between workers, with workers that only listen."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from microsock import envelope
from microsock.follower_counts import MAX_FOLLOWERS
from microsock.history import Record
from microsock.relay import Relay


class Parent:
    """A relay, and what each of its workers was sent."""

    def __init__(self, *, overrun: Callable[[int], None] | None = None, **options: Callable[[bytes], bool]) -> None:
        self.sent: dict[int, list[bytes]] = {}
        self.full: set[int] = set()
        self.relay = Relay("birth", self.send, overrun=overrun, **options)

    def send(self, worker: int, message: bytes) -> bool:
        if worker in self.full:
            return False
        self.sent.setdefault(worker, []).append(message)
        return True

    def join(self, *workers: int) -> None:
        """Let workers join, and forget what they were told."""
        for worker in workers:
            self.relay.receive(worker, envelope.join_message(0))
        self.sent.clear()

    def publish(self, worker: int, topic: str, data: str | bytes, retain: bool = False) -> None:
        self.relay.receive(worker, envelope.publish_message(topic, data, None, retain))

    def count(self, worker: int, **counts: int) -> None:
        self.relay.receive(worker, envelope.subscribers_message(counts.items()))

    def records(self, worker: int) -> list[tuple[int, str, str | bytes]]:
        found = [envelope.read_record(each) for each in self.sent.get(worker, []) if each[:1] == envelope.RECORD]
        return [(number, content.topic, content.data) for number, content in found]

    def kinds(self, worker: int) -> str:
        return b"".join(message[:1] for message in self.sent.get(worker, [])).decode()


@pytest.fixture
def parent() -> Parent:
    parent = Parent()
    parent.join(1, 2, 3)
    return parent


# Records.


def test_of_workers_that_offer_the_same_one_is_heard(parent: Parent) -> None:
    for worker in (1, 2, 3):
        parent.relay.receive(worker, envelope.offer_message("version", "v1"))
        parent.relay.receive(worker, envelope.offer_message("count", b"0"))
    assert parent.records(2) == [(1, "version", "v1"), (2, "count", b"0")]
    parent.publish(1, "version", "v7", retain=True)
    parent.relay.leave(3)
    parent.join(4)
    parent.relay.receive(4, envelope.offer_message("version", "v1"))
    assert parent.records(4) == []
    parent.relay.receive(4, envelope.offer_message("version", "of new code"))
    assert parent.records(4) == [(4, "version", "of new code")]
    assert parent.relay.has_retained(envelope.publish_message("version", "of new code", None, retain=True))


def test_what_workers_have_offered_is_known_of_so_many_topics(parent: Parent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("microsock.relay._MAX_OFFERED", 2)
    for topic in "abc":
        parent.relay.receive(1, envelope.offer_message(topic, "1"))
    for topic in "cba":
        parent.relay.receive(2, envelope.offer_message(topic, "1"))
    assert [topic for _, topic, _ in parent.records(1)] == ["a", "b", "c", "a"]


def test_all_workers_get_all_records_in_one_order_the_sender_too(parent: Parent) -> None:
    parent.publish(2, "a", "one")
    parent.publish(1, "b", b"two")
    parent.relay.publish("a", "three")
    expected = [(1, "a", "one"), (2, "b", b"two"), (3, "a", "three")]
    assert [parent.records(worker) for worker in (1, 2, 3)] == [expected] * 3


def as_text(payload: bytes) -> bytes:
    """A message that says that this is a text."""
    message = bytearray(envelope.publish_message("a", payload, None, True))
    message[1] &= ~2
    return bytes(message)


def test_a_text_that_is_no_utf_8_goes_to_nobody_and_is_not_kept(parent: Parent) -> None:
    out: list[bytes] = []
    parent.relay.outward = lambda message: out.append(message) or True  # type: ignore[func-returns-value]
    with pytest.raises(ValueError, match="utf-8"):
        parent.relay.receive(1, as_text(b"\xff"))
    assert not parent.relay.deliver(as_text(b"\xff" * 2_000_000))
    with pytest.raises(ValueError, match="utf-8"):
        parent.relay.has_retained(as_text(b"\xff"))
    assert (parent.sent, out) == ({}, [])
    parent.join(9)
    parent.relay.receive(8, envelope.join_message(0))
    assert parent.kinds(8) == "SW"


def test_the_closing_of_a_topic_keeps_its_place_among_the_records(parent: Parent) -> None:
    parent.publish(1, "a", "one")
    parent.relay.receive(2, envelope.close_message("a", 4000, "over"))
    parent.publish(1, "a", "two")
    parent.relay.close_topic("b", 1000, "")
    assert parent.kinds(3) == "RCRC"
    assert envelope.read_close(parent.sent[3][1]) == ("a", 4000, "over")


@pytest.mark.parametrize(
    "message", [b"", b"P", b"X", b"r{}", b"R" + bytes(30), b"C\0", b"K", b"S\0", b"J", b"L", b"L\1", b"L\0\0"]
)
def test_nonsense_is_refused_and_goes_to_nobody(parent: Parent, message: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parent.relay.receive(1, message)
    assert parent.sent == {}


def test_what_would_not_fit_into_a_workers_queue_four_times_is_refused(parent: Parent) -> None:
    with pytest.raises(ValueError, match="too many to publish over several workers"):
        parent.relay.publish("a", b"x" * envelope.MAX_MESSAGE_BYTES)
    assert parent.sent == {}


# Joining.


def test_who_joins_gets_what_was_retained_and_kept_in_order(parent: Parent) -> None:
    parent.relay.receive(1, envelope.keep_message("kept", 2))
    for number in range(4):
        parent.publish(1, "kept", f"k{number}")
        parent.publish(2, "state", f"s{number}", retain=True)
    parent.sent.clear()
    parent.relay.receive(9, envelope.join_message(0))
    assert parent.kinds(9)[0] == "K"
    assert parent.kinds(9)[-2:] == "SW"
    found = [envelope.read_history(each) for each in parent.sent[9] if each[:1] == envelope.HISTORY]
    assert [number for number, _ in found] == sorted(number for number, _ in found)
    said = [(content.data, content.retain) for _, content in found]
    # The last records of a topic that nobody keeps are there too, for those who follow it soon.
    assert [data for data, _ in said] == ["s0", "s1", "k2", "s2", "k3", "s3"]
    assert [data for data, retain in said if retain] == ["s3"]


def test_a_large_history_comes_in_pieces_that_are_asked_for() -> None:
    parent = Parent()
    parent.join(1)
    parent.relay.receive(1, envelope.keep_message("a", 1000))
    for number in range(40):
        parent.publish(1, "a", f"{number:02}" + "x" * 100_000)
    known, rounds, got = 0, 0, list[int]()
    while "W" not in parent.kinds(2):
        parent.sent.clear()
        parent.relay.receive(2, envelope.join_message(known))
        assert sum(map(len, parent.sent[2])) < 1_300_000
        got += [envelope.read_history(each)[0] for each in parent.sent[2] if each[:1] == envelope.HISTORY]
        known, rounds = got[-1], rounds + 1
        if rounds == 2:
            parent.publish(1, "a", "meanwhile")
            parent.relay.receive(1, envelope.keep_message("b", 5))
            assert parent.kinds(2)[-1] == "K"
    assert got == list(range(1, 42))
    assert rounds == 4


@pytest.mark.parametrize("asks", [0, 1, 7, (1 << 64) - 1])
def test_a_worker_that_asks_on_for_the_wrong_record_has_all_in_the_end(asks: int) -> None:
    parent = Parent()
    parent.join(1)
    parent.relay.receive(1, envelope.keep_message("a", 1000))
    for number in range(40):
        parent.publish(1, "a", f"{number:02}" + "x" * 100_000)
    parent.relay.receive(2, envelope.join_message(0))
    for _ in range(5):
        parent.relay.receive(2, envelope.join_message(asks))
    assert parent.kinds(2).count("H") == 40
    assert parent.kinds(2)[-2:] == "SW"


def test_topics_with_long_names_come_in_pieces_too() -> None:
    parent = Parent()
    parent.join(1)
    topics = [f"{number:04}" + "x" * 1000 for number in range(5000)]
    for topic in topics:
        parent.relay.receive(1, envelope.keep_message(topic, 1))
    for start in range(0, 5000, 500):
        counts = [(topic, 3) for topic in topics[start : start + 500]]
        parent.relay.receive(1, envelope.subscribers_message(counts))
    got = b""
    while "W" not in parent.kinds(2):
        parent.sent.clear()
        parent.relay.receive(2, envelope.join_message(0))
        assert sum(map(len, parent.sent[2])) < 1_500_000
        got += parent.kinds(2).encode()
    assert got.count(b"K") == 5000
    assert got.count(b"M") >= 8
    # Behind the counts of a topic, those that have changed meanwhile.
    parent.sent.clear()
    parent.relay.receive(3, envelope.join_message(0))
    parent.count(1, **{topics[0]: 1})
    assert envelope.read_subscribers(parent.sent[3][-1]) == [(topics[0], 1)]


def test_what_is_published_while_a_worker_joins_reaches_it_whatever_it_is_being_told() -> None:
    parent = Parent()
    parent.join(1)
    for number in range(2000):
        parent.relay.receive(1, envelope.keep_message(f"{number:04}" + "x" * 1000, 1))
        parent.count(1, **{f"{number:04}" + "x" * 1000: 1})
    published = 0
    while "W" not in parent.kinds(2):
        parent.relay.receive(2, envelope.join_message(0))
        if "W" not in parent.kinds(2):
            published += 1
            parent.publish(1, "news", str(published))
    found = [envelope.read_history(each)[1].data for each in parent.sent[2] if each[:1] == envelope.HISTORY]
    assert found == [str(number) for number in range(1, published + 1)]
    assert published >= 3


def test_a_worker_that_is_given_up_while_it_joins_does_not_take_part() -> None:
    relays: list[Relay] = []
    parent = Parent(overrun=lambda worker: relays[0].leave(worker))
    relays.append(parent.relay)
    parent.join(1)
    parent.full = {2}
    parent.relay.receive(2, envelope.join_message(0))
    parent.relay.leave(1)
    assert parent.relay.leader is None


def test_who_has_not_joined_is_sent_nothing(parent: Parent) -> None:
    parent.publish(1, "a", "one")
    parent.relay.leave(3)
    parent.publish(1, "a", "two")
    assert parent.records(9) == []
    assert [data for _, _, data in parent.records(3)] == ["one"]
    parent.relay.leave(3)
    parent.relay.leave(9)


def test_joining_twice_is_joining_once(parent: Parent) -> None:
    parent.join(1)
    parent.relay.join(1)
    parent.publish(1, "a", "one")
    assert parent.kinds(1) == "R"


def test_all_workers_keep_what_one_asks_for_and_hear_of_it_once(parent: Parent) -> None:
    parent.relay.receive(1, envelope.keep_message("a", 5))
    parent.relay.receive(2, envelope.keep_message("a", 5))
    parent.relay.receive(2, envelope.keep_message("a", 3))
    assert [parent.kinds(worker) for worker in (1, 2, 3)] == ["K"] * 3
    parent.relay.receive(2, envelope.keep_message("a", 6))
    assert parent.kinds(3) == "KK"


# Workers that do not keep up.


def test_a_worker_without_room_is_given_up_and_the_loss_is_counted(caplog: pytest.LogCaptureFixture) -> None:
    given_up: list[int] = []
    parent = Parent(overrun=given_up.append)
    parent.join(1, 2)
    parent.full = {2}
    for _ in range(3):
        parent.publish(1, "a", "x")
    parent.full = set()
    parent.publish(1, "a", "x")
    # Nothing comes behind a gap.
    assert parent.records(2) == []
    assert given_up == [2]
    assert parent.relay.lost == 4
    assert len(parent.records(1)) == 4
    assert [record.message for record in caplog.records] == [
        "worker 2 is too far behind to take what is published; it is to be replaced"
    ]


def test_a_worker_may_leave_while_it_is_told_of() -> None:
    parent = Parent(overrun=lambda worker: here.relay.leave(worker))
    here = parent
    parent.join(1, 2, 3)
    parent.count(2, a=1)
    parent.full = {2}
    parent.publish(1, "a", "x")
    assert (len(parent.records(1)), len(parent.records(3))) == (1, 1)
    assert parent.relay.counts() == {}
    parent.full = set()
    parent.join(2)
    parent.publish(1, "a", "y")
    assert len(parent.records(2)) == 1


# Counts.


def test_each_worker_is_told_what_all_others_have() -> None:
    parent = Parent()
    parent.join(1, 2)
    parent.count(1, a=2, b=1)
    parent.count(2, a=3)
    assert envelope.read_subscribers(parent.sent[1][-1]) == [("a", 3)]
    assert envelope.read_subscribers(parent.sent[2][-1]) == [("a", 2), ("b", 1)]
    assert parent.relay.counts() == {"a": 5, "b": 1}
    parent.relay.receive(3, envelope.join_message(0))
    assert envelope.read_subscribers(parent.sent[3][0]) == [("a", 5), ("b", 1)]


def test_what_nobody_follows_any_more_is_forgotten(parent: Parent) -> None:
    parent.count(1, a=1)
    parent.count(2, a=1)
    parent.count(1, a=0)
    parent.count(2, a=0)
    assert parent.relay.counts() == {}
    assert parent.relay.counts_here() == {}


def test_who_has_gone_counts_no_longer_and_the_others_are_told(parent: Parent) -> None:
    parent.count(1, a=2)
    parent.count(2, a=1)
    parent.sent.clear()
    parent.relay.leave(1)
    assert parent.relay.counts() == {"a": 1}
    assert envelope.read_subscribers(parent.sent[3][0]) == [("a", 1)]
    assert envelope.read_subscribers(parent.sent[2][0]) == [("a", 0)]
    parent.count(1, a=7)
    assert parent.relay.counts() == {"a": 1}


def test_other_hosts_count_as_they_said_last(parent: Parent) -> None:
    parent.count(1, a=2)
    parent.relay.elsewhere("other", {"a": 5, "b": 1})
    parent.relay.elsewhere("other", {"a": 4})
    assert parent.relay.counts() == {"a": 6}
    assert parent.relay.counts_here() == {"a": 2}
    assert envelope.read_subscribers(parent.sent[2][-1]) == [("a", 6), ("b", 0)]
    parent.relay.elsewhere("other", {})
    assert parent.relay.counts() == {"a": 2}


@pytest.mark.parametrize("count", [-1, 1 << 32, 1 << 80, True, 1.5, "3", None])
def test_a_count_that_is_none_is_passed_over_and_the_others_hold(parent: Parent, count: int) -> None:
    parent.relay.elsewhere("other", {"a": count, "b": 2})
    assert parent.relay.counts() == {"b": 2}
    parent.relay.receive(4, envelope.join_message(0))
    assert parent.kinds(4) == "SW"


def test_counts_that_are_more_together_than_can_be_said_are_said_as_the_most(parent: Parent) -> None:
    for number in range(100):
        parent.relay.elsewhere(f"host{number}", {"a": MAX_FOLLOWERS})
    parent.relay.receive(4, envelope.join_message(0))
    assert envelope.read_subscribers(parent.sent[4][0]) == [("a", (1 << 32) - 1)]
    for number in range(100):
        parent.relay.elsewhere(f"host{number}", {})
    assert parent.relay.counts() == {}


def test_topics_without_end_are_not_all_counted(parent: Parent) -> None:
    for number in range(20):
        parent.relay.elsewhere(f"host{number}", {f"{number}-{topic:04}" + "x" * 1000: 1 for topic in range(1000)})
        parent.sent.clear()
    parent.relay.elsewhere("last", {"a": 1})
    assert 5_000_000 < sum(map(len, parent.relay.counts())) < 9_000_000
    for number in range(20):
        parent.relay.elsewhere(f"host{number}", {})
    parent.relay.elsewhere("last", {"a": 1})
    assert parent.relay.counts() == {"a": 1}


# Who leads.


def leads(parent: Parent, worker: int) -> list[bool]:
    return [message == envelope.LEADS for message in parent.sent.get(worker, []) if message[:1] == envelope.LEAD]


def test_one_worker_leads_and_the_next_when_it_has_gone() -> None:
    parent = Parent()
    for worker in (5, 6, 7):
        parent.relay.receive(worker, envelope.join_message(0))
    assert [leads(parent, worker) for worker in (5, 6, 7)] == [[True], [], []]
    parent.relay.leave(6)
    parent.relay.leave(5)
    assert leads(parent, 7) == [True]
    assert parent.relay.leader == 7
    parent.relay.leave(7)
    assert parent.relay.leader is None


def test_who_retires_says_that_it_leads_no_more_before_another_does(parent: Parent) -> None:
    parent.relay.retire(1)
    assert (leads(parent, 1), leads(parent, 2)) == ([False], [])
    parent.publish(2, "a", "still")
    assert len(parent.records(1)) == 1
    parent.relay.receive(1, envelope.LEADS_NOT)
    assert leads(parent, 2) == [True]
    parent.relay.leave(1)
    assert parent.relay.leader == 2


def test_who_retires_and_dies_is_not_waited_for(parent: Parent) -> None:
    parent.relay.retire(1)
    parent.relay.leave(1)
    assert leads(parent, 2) == [True]


def test_nobody_leads_where_all_retire(parent: Parent) -> None:
    for worker in (2, 3, 1):
        parent.relay.retire(worker)
    parent.relay.receive(1, envelope.LEADS_NOT)
    assert parent.relay.leader is None
    parent.join(4)
    assert parent.relay.leader == 4


def test_a_worker_that_hears_nothing_does_not_begin_to_lead(parent: Parent) -> None:
    parent.full = {2}
    parent.publish(1, "a", "x")
    parent.relay.leave(1)
    assert parent.relay.leader == 3


def test_another_host_may_lead_instead(parent: Parent) -> None:
    parent.relay.lead(False)
    parent.relay.receive(1, envelope.LEADS_NOT)
    assert parent.relay.leader is None
    parent.relay.lead(True)
    assert leads(parent, 1) == [False, True]


# Beyond this host.


def test_what_goes_out_comes_back_and_is_numbered_then() -> None:
    out: list[bytes] = []

    def outward(message: bytes) -> bool:
        out.append(message)
        return True

    parent = Parent(outward=outward)
    parent.join(1, 2)
    parent.publish(1, "a", "one")
    parent.relay.publish("a", "two")
    parent.relay.receive(2, envelope.close_message("a", 1000, ""))
    assert parent.sent == {}
    for message in reversed(out):
        parent.relay.deliver(message)
    assert parent.kinds(1) == "CRR"
    assert parent.records(1) == [(1, "a", "two"), (2, "a", "one")]


def test_what_cannot_go_out_is_delivered_here_at_once() -> None:
    parent = Parent(outward=lambda message: False)
    parent.join(1)
    parent.publish(1, "a", "one")
    assert parent.records(1) == [(1, "a", "one")]


@pytest.mark.parametrize("message", [b"", b"nonsense", b"P\0", b"C\0", envelope.LEADS, envelope.WELCOME])
def test_nonsense_from_outside_is_refused(parent: Parent, message: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parent.relay.deliver(message)
    assert parent.sent == {}


# Whatever a worker says.

KINDS = st.sampled_from([b"P", b"R", b"H", b"M", b"W", b"J", b"C", b"K", b"S", b"L", b"x", b""])
MESSAGES = st.builds(bytes.__add__, KINDS, st.binary(max_size=40)) | st.sampled_from(
    [
        envelope.join_message(0),
        envelope.join_message((1 << 64) - 1),
        envelope.publish_message("a", "\U0001f600", None, True),
        as_text(b"\xff"),
        envelope.keep_message("a", (1 << 32) - 1),
        envelope.subscribers_message([("a", (1 << 32) - 1), ("b", 1 << 28), ("b", 1)]),
        envelope.close_message("a", 0, "x" * 500),
    ]
)


@given(st.lists(st.tuples(st.integers(1, 2), MESSAGES), max_size=30))
def test_no_worker_that_has_gone_bad_breaks_the_relay_for_others(said: list[tuple[int, bytes]]) -> None:
    parent = Parent()
    parent.join(3)
    for worker, message in said:
        with contextlib.suppress(ValueError):
            parent.relay.receive(worker, message)
        with contextlib.suppress(ValueError):
            parent.relay.deliver(message)
    for message in parent.sent.get(3, []):
        if message[:1] == envelope.RECORD:
            envelope.read_record(message)
        elif message[:1] == envelope.SUBSCRIBERS:
            envelope.read_subscribers(message)
    parent.sent.clear()
    parent.relay.receive(4, envelope.join_message(0))
    assert parent.kinds(4)[-1:] in ("W", "L")
    parent.publish(3, "news", "fine")
    assert [data for _, _, data in parent.records(4)] == ["fine"]


@pytest.mark.parametrize("message", [b"", b"nonsense", envelope.LEADS])
def test_what_is_refused_is_shown(parent: Parent, message: bytes) -> None:
    with pytest.raises(ValueError, match=re.escape(f"neither published nor closed: {message!r}")):
        parent.relay.deliver(message)
    with pytest.raises(ValueError, match=re.escape(f"no message of a worker's bus: {message!r}")):
        parent.relay.receive(1, message)


# What is retained.


def test_what_is_published_from_outside_is_retained_where_that_is_said(parent: Parent) -> None:
    parent.relay.publish("a", "passing")
    parent.relay.publish("b", "lasting", retain=True)
    said = [(topic, flag) for topic, data in (("a", "passing"), ("b", "lasting")) for flag in (False, True)
            if parent.relay.has_retained(envelope.publish_message(topic, data, None, retain=flag))]  # fmt: skip
    assert said == [("b", True)]


def test_what_another_host_has_published_is_told_apart_from_what_nobody_can_read(parent: Parent) -> None:
    assert parent.relay.deliver(envelope.publish_message("a", "text", None)) is True
    assert parent.relay.deliver(as_text(b"\xff")) is False


def test_the_closing_of_a_topic_is_nothing_that_is_retained(parent: Parent) -> None:
    parent.relay.publish("a", "lasting", retain=True)
    assert not parent.relay.has_retained(envelope.close_message("a", 1000, ""))


@pytest.mark.parametrize(
    ("topic", "data", "retained"), [("a", "two", True), ("a", "one", False), ("b", "two", False), ("c", "two", False)]
)
def test_a_value_is_a_topics_own_as_it_was_published_last(
    parent: Parent, topic: str, data: str, retained: bool
) -> None:
    for each in ("one", "two"):
        parent.publish(1, "a", each, retain=True)
    parent.publish(1, "b", "other", retain=True)
    assert parent.relay.has_retained(envelope.publish_message(topic, data, None, retain=True)) is retained


# Small things.


def test_a_relay_tells_its_birth() -> None:
    assert Parent().relay.birth == "birth"


def test_who_joins_without_a_word_knows_nothing_yet(parent: Parent) -> None:
    parent.publish(1, "a", "one", retain=True)
    parent.relay.join(9)
    assert [envelope.read_history(each)[0] for each in parent.sent[9] if each[:1] == envelope.HISTORY] == [1]


def test_one_piece_of_a_history_ends_behind_the_record_that_fills_it() -> None:
    keep, empty = envelope.keep_message("a", 10), Record("a", envelope.publish_message("a", b"")[1:], 1).size
    left = (1 << 20) - len(keep)
    # As large as what is left of a piece, or a byte less; and another record behind it.
    for size, kinds in ((left, "KHM"), (left - 1, "KHHM")):
        parent = Parent()
        parent.join(1)
        parent.relay.receive(1, keep)
        parent.publish(1, "a", bytes(size - empty))
        parent.publish(1, "a", b"y")
        parent.relay.join(2)
        assert parent.kinds(2) == kinds


def test_who_leaves_in_the_middle_of_its_pieces_is_told_nothing_more() -> None:
    parent = Parent()
    parent.join(1)
    parent.relay.receive(1, envelope.keep_message("a", 10))
    for _ in range(3):
        parent.publish(1, "a", bytes(600_000))
    parent.relay.receive(2, envelope.join_message(0))
    parent.relay.leave(2)
    parent.sent.clear()
    parent.count(1, a=2)
    parent.relay.receive(1, envelope.keep_message("b", 10))
    assert parent.kinds(2) == ""
    # Another of that number begins anew.
    parent.relay.receive(2, envelope.join_message(0))
    assert parent.kinds(2) == "KKHHM"


def test_who_is_told_in_pieces_counts_before_the_last_and_does_not_hear_of_itself() -> None:
    parent = Parent()
    parent.join(1)
    parent.count(1, a=2)
    parent.relay.receive(1, envelope.keep_message("a", 10))
    for _ in range(3):
        parent.publish(1, "a", bytes(600_000))
    parent.relay.receive(2, envelope.join_message(0))
    assert parent.kinds(2) == "KHHM"
    parent.count(2, a=5)
    parent.relay.receive(2, envelope.join_message(2))
    assert parent.kinds(2) == "KHHMHSW"
    assert envelope.read_subscribers(parent.sent[2][-2]) == [("a", 2)]


def test_the_counts_of_this_host_are_the_sums_of_its_workers(parent: Parent) -> None:
    parent.count(1, a=2, b=1)
    parent.count(2, a=3)
    parent.relay.elsewhere("one", {"a": 10})
    parent.relay.elsewhere("other", {"a": 100})
    assert parent.relay.counts_here() == {"a": 5, "b": 1}
    assert parent.relay.counts() == {"a": 115, "b": 1}
    parent.relay.elsewhere("one", {})
    assert parent.relay.counts() == {"a": 105, "b": 1}


def test_that_nobody_follows_what_nobody_has_followed_is_no_news(parent: Parent) -> None:
    parent.count(1, a=0)
    assert parent.relay.counts() == {}
