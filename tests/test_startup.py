from __future__ import annotations

import copy
import gc
import pickle
import types
from typing import Generic, TypeVar, get_type_hints

import pytest

from microsock.startup import NamedTuple, uncollected

T = TypeVar("T")


class Point(NamedTuple):
    """Somewhere."""

    x: int
    y: int = 2

    @property
    def total(self) -> int:
        return self.x + self.y


class Empty(NamedTuple):
    """Nothing."""


class Box(NamedTuple, Generic[T]):
    held: T
    name: str = ""


def test_a_named_tuple_is_as_that_of_typing() -> None:
    point = Point(1)
    assert point == (1, 2) == Point(x=1, y=2)
    assert repr(point) == "Point(x=1, y=2)"
    assert point._replace(y=5).total == 6
    assert type(point._replace(y=5)) is Point
    assert point._asdict() == {"x": 1, "y": 2}
    assert Point._fields == ("x", "y")
    assert Point.__doc__ == "Somewhere."
    assert get_type_hints(Point) == {"x": int, "y": int}
    assert pickle.loads(pickle.dumps(point)) == point
    assert not hasattr(point, "__dict__")
    match point:
        case Point(x, y):
            assert (x, y) == (1, 2)
    with pytest.raises(TypeError, match=r"Point\.__new__\(\) missing 1 required positional argument: 'x'"):
        Point()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="unexpected keyword argument 'z'"):
        point._replace(z=1)  # type: ignore[call-arg]
    assert Point._make([3, 4]) == (3, 4)
    with pytest.raises(TypeError, match="expected 2 values, got 1"):
        Point._make([3])
    assert Point._field_defaults == {"y": 2}
    assert copy.copy(point) == point
    with pytest.raises(AttributeError):
        point.x = 3  # type: ignore[misc]


def test_a_field_without_a_default_cannot_stand_behind_one_that_has_one() -> None:
    annotations = {"x": "int", "y": "int"}
    with pytest.raises(TypeError, match="Wrong has a field without a default"):
        types.new_class("Wrong", (NamedTuple,), {}, lambda body: body.update(__annotations__=annotations, x=1))


def test_one_may_have_no_fields_or_be_generic() -> None:
    assert Empty() == ()
    assert Box[int](3) == (3, "")
    assert Box("a", "b").held == "a"


def test_what_was_made_without_collecting_is_not_looked_through_right_afterwards() -> None:
    young: list[int] = []
    with uncollected():
        made = [[number] for number in range(10_000)]
        young.append(gc.get_count()[0])
    young.append(gc.get_count()[0])
    assert young[0] > 10_000
    assert young[1] < 500
    assert len(made) == 10_000


@pytest.mark.parametrize("collects", [True, False])
def test_what_collects_garbage_does_so_afterwards(collects: bool) -> None:
    before = gc.isenabled()
    (gc.enable if collects else gc.disable)()
    try:
        with pytest.raises(KeyError), uncollected():
            assert not gc.isenabled()
            raise KeyError
        assert gc.isenabled() is collects
    finally:
        (gc.enable if before else gc.disable)()
