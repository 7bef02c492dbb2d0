"""Topics: who is subscribed to what."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from microsock.topics import Topics


def test_members_come_in_order_of_subscription() -> None:
    topics: Topics[str] = Topics()
    for name in ("ann", "bob", "cid"):
        topics.subscribe("room", name)
    topics.subscribe("room", "ann")
    assert topics.members("room") == ("ann", "bob", "cid")
    assert topics.count("room") == 3


def test_nobody_is_on_a_topic_that_nobody_subscribed_to() -> None:
    topics: Topics[str] = Topics()
    topics.unsubscribe("room", "ann")
    topics.discard("ann")
    assert topics.members("room") == ()
    assert topics.count("room") == 0


def test_who_unsubscribes_leaves_one_topic_only() -> None:
    topics: Topics[str] = Topics()
    topics.subscribe("room", "ann")
    topics.subscribe("hall", "ann")
    topics.unsubscribe("room", "ann")
    topics.unsubscribe("room", "ann")
    assert (topics.count("room"), topics.count("hall")) == (0, 1)


def test_who_is_gone_leaves_all_topics() -> None:
    topics: Topics[str] = Topics()
    for topic in ("room", "hall"):
        topics.subscribe(topic, "ann")
        topics.subscribe(topic, "bob")
    topics.discard("ann")
    assert topics.members("room") == topics.members("hall") == ("bob",)


def test_members_do_not_change_while_they_are_walked() -> None:
    topics: Topics[str] = Topics()
    topics.subscribe("room", "ann")
    topics.subscribe("room", "bob")
    for member in topics.members("room"):
        topics.discard(member)
    assert topics.count("room") == 0


def test_each_change_of_a_topic_is_told_and_nothing_else() -> None:
    topics: Topics[str] = Topics()
    told: list[str] = []
    topics.changed = told.append
    topics.subscribe("room", "ann")
    topics.subscribe("room", "ann")
    topics.subscribe("hall", "ann")
    topics.unsubscribe("attic", "ann")
    topics.unsubscribe("hall", "ann")
    topics.subscribe("hall", "ann")
    topics.discard("ann")
    topics.discard("ann")
    assert told == ["room", "hall", "hall", "hall", "room", "hall"]
    assert topics.counts() == {}


class TopicsMachine(RuleBasedStateMachine):
    """Whatever happens, topics and members agree with a plain set of pairs, and nothing empty is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.topics: Topics[int] = Topics()
        self.pairs: set[tuple[str, int]] = set()

    @rule(topic=st.sampled_from("abc"), member=st.integers(0, 3))
    def subscribe(self, topic: str, member: int) -> None:
        self.topics.subscribe(topic, member)
        self.pairs.add((topic, member))

    @rule(topic=st.sampled_from("abc"), member=st.integers(0, 3))
    def unsubscribe(self, topic: str, member: int) -> None:
        self.topics.unsubscribe(topic, member)
        self.pairs.discard((topic, member))

    @rule(member=st.integers(0, 3))
    def discard(self, member: int) -> None:
        self.topics.discard(member)
        self.pairs = {pair for pair in self.pairs if pair[1] != member}

    @invariant()
    def they_agree(self) -> None:
        assert {(topic, member) for topic in "abc" for member in self.topics.members(topic)} == self.pairs

    @invariant()
    def nothing_empty_is_kept(self) -> None:
        assert all(self.topics._members.values())
        assert all(self.topics._topics.values())


TestTopicsMachine = TopicsMachine.TestCase
