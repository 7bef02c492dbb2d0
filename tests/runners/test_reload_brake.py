"""When a change may lead to a reload."""

from __future__ import annotations

import pytest

from microsock.runners.reload_brake import ReloadBrake


class Brake(ReloadBrake):
    """One that notes what it says."""

    def __init__(self) -> None:
        self.said: list[str] = []
        super().__init__(self.said.append, lambda path: path)


def test_what_the_app_writes_itself_is_passed_over_and_said_once() -> None:
    brake = Brake()
    for _ in range(3):
        assert brake.by_others(["a.py", "v.py"], {"v.py"}) == ["a.py"]
    assert brake.said == ["v.py is written by the app itself: that starts no reload"]
    assert brake.by_others(["v.py"], set()) == ["v.py"]


def test_a_file_that_changes_at_every_start_is_waited_for_ever_longer() -> None:
    brake = Brake()
    waits = [brake_wait(brake, now) for now in range(0, 80, 10)]
    assert waits == [0.0, 0.0, 0.5, 1.0, 2.0, 4.0, 4.0, 4.0]
    assert len(brake.said) == 1
    assert "v.py changes whenever the app starts" in brake.said[0]
    assert "--reload-dir" in brake.said[0]


def test_where_the_app_starts_no_programs_a_quick_hand_may_save_ten_times() -> None:
    brake = Brake()
    waits = [brake_wait(brake, now, programs=False) for now in range(0, 120, 10)]
    assert waits == [0.0] * 10 + [0.5, 1.0]


def brake_wait(brake: Brake, now: float, path: str = "v.py", age: float = 0.1, programs: bool = True) -> float:
    wait = brake.wait([path], age, now, programs)
    if wait:
        assert brake.wait([path], age, now + wait / 2, programs) == pytest.approx(wait / 2)
        assert brake.wait([path], age, now + wait, programs) == 0.0
    return wait


def test_changes_of_somebody_who_looks_in_between_never_wait() -> None:
    brake = Brake()
    assert [brake_wait(brake, now, age=2.5) for now in range(0, 100, 3)] == [0.0] * 34
    assert brake.said == []


def test_changes_of_other_files_never_wait() -> None:
    brake = Brake()
    assert [brake_wait(brake, now, f"{now}.py") for now in range(10)] == [0.0] * 10


def test_after_a_pause_it_begins_anew() -> None:
    brake = Brake()
    assert [brake_wait(brake, now) for now in range(0, 50, 10)][-1] == 2.0
    assert [brake_wait(brake, 60, age=5.0), brake_wait(brake, 61), brake_wait(brake, 62)] == [0.0, 0.0, 0.5]
