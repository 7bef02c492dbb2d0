"""Buses and their relay, with every message between them on its way for as long as chance will have it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from microsock.history import Record
from microsock.relay import Relay
from microsock.server.timers import Timer, Timers
from microsock.topics import Topics
from microsock.worker_bus import WorkerBus

TOPICS = st.sampled_from("ab")
CHANCE = st.integers(0, 100)


class Hall:
    """A worker's audience and both directions of its channel."""

    def __init__(self, timers: Timers) -> None:
        self.topics: Topics[int] = Topics()
        self.heard: list[tuple[int, str, str | bytes]] = []
        self.to_relay: deque[bytes] = deque()
        self.from_relay: deque[bytes] = deque()
        self.ready_at: int | None = None
        self.calls: deque[Callable[[], None]] = deque()
        self._timers = timers
        self.bus = WorkerBus(self, self.send, birth="birth")
        self.bus.when_ready(self.note_ready)
        self.bus.start()

    def send(self, message: bytes) -> bool:
        self.to_relay.append(message)
        return True

    def note_ready(self) -> None:
        self.ready_at = len(self.heard)

    def deliver(self, record: Record, exclude: str | None) -> None:
        if self.ready_at is not None:
            self.heard.append((record.number, record.topic, record.data))

    def end_topic(self, topic: str, code: int, reason: str) -> None: ...

    def count_here(self, topic: str) -> int:
        return self.topics.count(topic)

    def watch_counts(self, changed: Callable[[str], None]) -> None:
        self.topics.changed = changed

    def now(self) -> float:
        return self._timers.now()

    def call_soon(self, callback: Callable[[], None], /) -> None:
        self.calls.append(callback)

    post = call_soon

    def call_at(self, when: float, callback: Callable[[], None], /) -> Timer:
        return self._timers.call_at(when, callback)

    def on_loop(self) -> bool:
        return True


class BusMachine(RuleBasedStateMachine):
    """Workers come, publish, follow, retire and die."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = 0.0
        self.timers = Timers(lambda: self.clock)
        self.halls: dict[int, Hall] = {}
        self.retired: set[int] = set()
        self.relay = Relay("birth", self.send)
        self.published = self.members = self.numbers = 0

    def send(self, worker: int, message: bytes) -> bool:
        self.halls[worker].from_relay.append(message)
        return True

    def one(self, chance: int) -> int | None:
        numbers = sorted(self.halls)
        return numbers[chance % len(numbers)] if numbers else None

    @rule()
    def start(self) -> None:
        if len(self.halls) < 4:
            self.numbers += 1
            self.halls[self.numbers] = Hall(self.timers)

    @rule(chance=CHANCE)
    def die(self, chance: int) -> None:
        if (worker := self.one(chance)) is not None:
            del self.halls[worker]
            self.relay.leave(worker)

    @rule(chance=CHANCE)
    def retire(self, chance: int) -> None:
        if (worker := self.one(chance)) is not None:
            self.retired.add(worker)
            self.relay.retire(worker)

    @rule(chance=CHANCE, topic=TOPICS, retain=st.booleans())
    def publish(self, chance: int, topic: str, retain: bool) -> None:
        if (worker := self.one(chance)) is not None:
            self.published += 1
            self.halls[worker].bus.publish(topic, str(self.published), None, retain)

    @rule(chance=CHANCE, topic=TOPICS)
    def follow(self, chance: int, topic: str) -> None:
        if (worker := self.one(chance)) is not None:
            self.members += 1
            self.halls[worker].topics.subscribe(topic, self.members)

    @rule(chance=CHANCE, topic=TOPICS)
    def unfollow(self, chance: int, topic: str) -> None:
        if (worker := self.one(chance)) is not None:
            for member in self.halls[worker].topics.members(topic)[:1]:
                self.halls[worker].topics.discard(member)

    @rule(chance=CHANCE)
    def keep(self, chance: int) -> None:
        if (worker := self.one(chance)) is not None:
            self.halls[worker].bus.keep("a", 3)

    @rule(chance=CHANCE, count=st.integers(1, 5))
    def let_the_relay_read(self, chance: int, count: int) -> None:
        worker = self.one(chance)
        for _ in range(count if worker is not None else 0):
            if worker is not None and self.halls[worker].to_relay:
                self.relay.receive(worker, self.halls[worker].to_relay.popleft())

    @rule(chance=CHANCE, count=st.integers(1, 5))
    def let_a_worker_run(self, chance: int, count: int) -> None:
        if (worker := self.one(chance)) is not None:
            self.clock += 1.0
            hall = self.halls[worker]
            for _ in range(count):
                if hall.from_relay:
                    hall.bus.receive(hall.from_relay.popleft())
            while hall.calls:
                hall.calls.popleft()()

    @invariant()
    def at_most_one_leads(self) -> None:
        assert sum(hall.bus.leads(self.clock) for hall in self.halls.values()) <= 1

    @invariant()
    def each_hears_all_from_when_it_is_ready_in_one_order(self) -> None:
        longest: dict[int, tuple[int, str, str | bytes]] = {}
        for hall in self.halls.values():
            numbers = [number for number, _, _ in hall.heard]
            assert numbers == list(range(numbers[0], numbers[0] + len(numbers))) if numbers else True
            for record in hall.heard:
                assert longest.setdefault(record[0], record) == record

    @rule()
    def let_everything_arrive(self) -> None:
        while any(hall.to_relay or hall.from_relay or hall.calls for hall in self.halls.values()):
            for chance in range(len(self.halls)):
                self.let_the_relay_read(chance, 5)
                self.let_a_worker_run(chance, 5)
            self.at_most_one_leads()

    def teardown(self) -> None:
        """When all has arrived, all agree."""
        self.let_everything_arrive()
        for topic in "ab":
            total = sum(hall.count_here(topic) for hall in self.halls.values())
            assert all(hall.bus.count(topic) == total for hall in self.halls.values())
            assert self.relay.counts().get(topic, 0) == total
            values = [hall.bus.history.retained(topic) for hall in self.halls.values()]
            assert len({None if value is None else value.number for value in values}) <= 1
        fit = self.halls.keys() - self.retired
        leading = [worker for worker, hall in self.halls.items() if hall.bus.leads(self.clock)]
        assert leading == ([self.relay.leader] if fit else [])
        assert all(hall.ready_at is not None for hall in self.halls.values())


BusMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
TestBusMachine = BusMachine.TestCase
