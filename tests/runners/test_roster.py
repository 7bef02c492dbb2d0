from __future__ import annotations

import pytest

from microsock.runners.roster import Fate, Member, Roster


def staffed(wanted: int = 3, now: float = 0.0) -> Roster:
    """A roster whose workers are all ready."""
    roster = Roster(wanted, capacity=20)
    begin(roster, now)
    return roster


def begin(roster: Roster, now: float, ready: bool = True) -> list[Member]:
    """Fork what the plan says; gives the new ones."""
    begun = [roster.born(1000 + len(roster.members), now) for _ in range(roster.plan(now).begin)]
    for member in begun if ready else []:
        roster.ready(member, now)
    return begun


def test_all_workers_begin_at_once_in_the_lowest_seats() -> None:
    roster = Roster(3, capacity=20)
    assert roster.plan(0.0).begin == 3
    assert [member.number for member in begin(roster, 0.0)] == [1, 2, 3]
    assert roster.plan(0.0) == (0, [], None)


def test_one_that_dies_is_replaced_at_once_and_its_seat_is_free_again() -> None:
    roster = staffed()
    assert roster.died(roster.members[2], 100.0) is Fate.LOST
    assert roster.plan(100.0).begin == 1
    assert roster.next_number() == 2


def test_one_that_dies_within_a_second_of_being_ready_is_replaced_later_and_later() -> None:
    roster, now, delays = staffed(1), 0.0, []
    for _ in range(8):
        assert roster.died(roster.members[1], now) is Fate.LOST
        plan = roster.plan(now)
        assert plan.begin == 0
        assert plan.again_at is not None
        delays.append(round(plan.again_at - now, 3))
        now = plan.again_at
        begin(roster, now)
    assert delays == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


def test_workers_that_die_young_together_are_put_off_once() -> None:
    roster = staffed(4)
    for number in (1, 2, 3, 4):
        roster.died(roster.members[number], 0.5)
    assert roster.plan(0.5).again_at == pytest.approx(0.6)
    assert roster.plan(0.6).begin == 4


def test_one_that_has_lived_makes_an_end_of_putting_off() -> None:
    roster = staffed(1)
    roster.died(roster.members[1], 0.5)
    begin(roster, 0.6)
    roster.died(roster.members[1], 2.0)
    assert roster.plan(2.0).begin == 1


def test_if_no_worker_ever_gets_ready_there_is_no_hope_once_the_last_has_died() -> None:
    roster = Roster(2, capacity=20)
    first, second = begin(roster, 0.0, ready=False)
    assert roster.died(first, 0.1) is Fate.LOST
    assert roster.plan(0.1).begin == 0
    assert roster.died(second, 0.2) is Fate.HOPELESS


def test_if_only_some_die_at_boot_they_are_begun_again() -> None:
    roster = Roster(2, capacity=20)
    first, second = begin(roster, 0.0, ready=False)
    roster.died(first, 0.1)
    roster.ready(second, 0.2)
    assert roster.plan(0.2).begin == 1


def test_a_reload_begins_a_new_worker_before_it_dismisses_an_old_one() -> None:
    roster = staffed(2)
    old = list(roster.members.values())
    roster.reload()
    for count in (1, 2):
        (fresh,) = begin(roster, 10.0, ready=False)
        assert roster.plan(10.0) == (0, [], None)
        roster.ready(fresh, 11.0)
        assert roster.plan(11.0).dismiss == [old[count - 1]]
        assert not roster.is_settled or count == 2
    assert roster.is_settled
    assert roster.died(old[0], 12.0) is Fate.LEFT
    assert roster.plan(12.0) == (0, [], None)


def test_a_new_app_that_does_not_come_up_leaves_the_old_workers_where_they_are() -> None:
    roster = staffed(2)
    roster.reload()
    (broken,) = begin(roster, 10.0, ready=False)
    assert roster.died(broken, 10.1) is Fate.ABANDONED
    assert roster.plan(10.1) == (0, [], None)
    assert roster.is_settled
    roster.reload()
    assert roster.plan(20.0).begin == 1


def test_once_one_new_worker_was_ready_the_reload_goes_on() -> None:
    roster = staffed(2)
    roster.reload()
    begin(roster, 10.0)
    roster.plan(10.0)
    (second,) = begin(roster, 10.1, ready=False)
    assert roster.died(second, 10.2) is Fate.LOST
    assert roster.plan(10.2).again_at == pytest.approx(10.3)
    assert roster.plan(10.3).begin == 1


def test_old_workers_that_die_during_a_reload_are_made_up_for_at_once() -> None:
    roster = staffed(3)
    roster.reload()
    begin(roster, 10.0, ready=False)
    for number in (1, 2):
        roster.died(roster.members[number], 10.0)
    assert roster.plan(10.0).begin == 1


def test_workers_that_were_still_starting_when_the_reload_came_are_dismissed() -> None:
    roster = Roster(2, capacity=20)
    early = begin(roster, 0.0, ready=False)
    roster.reload()
    plan = roster.plan(0.1)
    assert plan.dismiss == early
    assert plan.begin == 2


def test_one_that_has_done_its_share_of_requests_is_replaced_like_an_old_one() -> None:
    roster = staffed(2)
    tired = roster.members[1]
    roster.retire(tired)
    (fresh,) = begin(roster, 50.0, ready=False)
    assert roster.plan(50.0) == (0, [], None)
    roster.ready(fresh, 51.0)
    assert roster.plan(51.0).dismiss == [tired]


def test_more_and_fewer_workers() -> None:
    roster = staffed(2)
    roster.wanted = 3
    (third,) = begin(roster, 1.0)
    roster.wanted = 2
    assert roster.plan(2.0) == (0, [third], None)
    assert third.leaving


def test_there_are_never_more_processes_than_seats() -> None:
    roster = Roster(2, capacity=3)
    begin(roster, 0.0)
    roster.reload()
    begin(roster, 1.0)
    assert len(roster.plan(1.0).dismiss) == 1
    assert roster.plan(1.0).begin == 0


def test_where_no_process_is_to_be_had_it_is_tried_again_later() -> None:
    roster = staffed(2)
    roster.wanted = 3
    roster.not_forked(5.0)
    assert roster.plan(5.0).again_at == pytest.approx(5.1)


def test_one_that_is_forked_was_heard_of_just_now() -> None:
    member = Roster(1, capacity=4).born(501, 7.0)
    assert (member.number, member.pid, member.born, member.heard_at, member.ready_at) == (1, 501, 7.0, 7.0, None)


def test_one_that_has_lived_for_a_second_is_replaced_at_once() -> None:
    roster = staffed(1)
    roster.died(roster.members[1], 1.0)
    assert roster.plan(1.0) == (1, [], None)


def test_after_one_that_has_lived_the_next_that_does_not_is_put_off_for_a_moment_again() -> None:
    roster, now = staffed(1), 0.0
    for _ in range(4):
        roster.died(roster.members[1], now)
        now = roster.plan(now).again_at or now
        begin(roster, now)
    roster.died(roster.members[1], now + 60)
    begin(roster, now + 60)
    roster.died(roster.members[1], now + 60.5)
    begun, dismissed, again_at = roster.plan(now + 60.5)
    assert (begun, dismissed) == (0, [])
    assert again_at == pytest.approx(now + 60.6)


def test_each_reload_replaces_all_workers_again() -> None:
    roster = staffed(1)
    for now in (10.0, 20.0, 30.0):
        (old,) = roster.members.values()
        roster.reload()
        assert not roster.is_settled
        begin(roster, now)
        assert roster.plan(now).dismiss == [old]
        assert roster.died(old, now) is Fate.LEFT
        assert roster.is_settled


def test_a_reload_within_another_that_does_not_come_up_leaves_that_one_to_go_on() -> None:
    roster = staffed(2)
    oldest = list(roster.members.values())
    roster.reload()
    begin(roster, 10.0)
    (left,) = roster.plan(10.0).dismiss
    roster.died(left, 10.1)
    roster.reload()
    (broken,) = begin(roster, 10.2, ready=False)
    assert roster.died(broken, 10.3) is Fate.ABANDONED
    # The first of the two had come up: the one from before it is still to be replaced, and one that dies is no sign.
    assert not roster.is_settled
    (next_one,) = begin(roster, 10.4, ready=False)
    assert roster.died(next_one, 10.5) is Fate.LOST
    begin(roster, 10.7)
    assert roster.plan(10.7).dismiss == [member for member in oldest if member is not left]
    assert roster.is_settled


def test_of_too_many_those_go_first_that_are_to_be_replaced() -> None:
    roster = staffed(3)
    first, second, third = roster.members.values()
    roster.retire(first)
    roster.wanted = 1
    assert roster.plan(5.0).dismiss == [first, third]
    assert [member.leaving for member in (first, second, third)] == [True, False, True]
