"""Records: to their users they are frozen dataclasses."""

from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError, asdict, dataclass, field, fields, replace
from typing import Any

import pytest

from fleet_tasks.record import record


@record
class Point:
    """A record like any other; ``note`` does not count, ``key`` is not shown, ``more`` may be a list."""

    x: int
    y: int = 2
    key: str = field(default="k", repr=False)
    note: str = field(default="", compare=False)
    more: Any = field(default=(), hash=False)


@record
class Named(Point):
    """One that has more."""

    name: str = "origin"


@record
class Empty:
    """One that has nothing."""


@record
class Own:
    """One that has methods of its own."""

    x: int

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 7

    def __repr__(self) -> str:
        return "own"


@dataclass(frozen=True)
class Twin:
    """What Python makes of the same fields."""

    x: int
    y: int = 2
    key: str = field(default="k", repr=False)
    note: str = field(default="", compare=False)
    more: Any = field(default=(), hash=False)


@pytest.mark.parametrize("given", [(1,), (1, 3), (1, 2, "other"), (1, 2, "k", "a note"), (1, 2, "k", "", []), (0, ())])
@pytest.mark.parametrize("other", [(1,), (1, 2, "k", "another"), (1, 3)])
def test_equal_alike_and_shown_as_a_dataclass_is(given: tuple[Any, ...], other: tuple[Any, ...]) -> None:
    ours, theirs = Point(*given), Twin(*given)
    assert repr(ours) == repr(theirs).replace("Twin", "Point")
    assert (ours == Point(*other)) == (theirs == Twin(*other))
    assert (hash(ours) == hash(Point(*other))) == (hash(theirs) == hash(Twin(*other)))
    assert ours != object()
    assert len({ours, Point(*given)}) == 1


def test_what_is_in_it_stays() -> None:
    point = Point(1)
    with pytest.raises(FrozenInstanceError):
        point.x = 2  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        del point.x
    assert replace(point, x=5) == Point(5)
    assert asdict(point) == {"x": 1, "y": 2, "key": "k", "note": "", "more": ()}
    assert [each.name for each in fields(Point)] == ["x", "y", "key", "note", "more"]
    assert copy.deepcopy(point) == pickle.loads(pickle.dumps(point)) == point


def test_one_that_has_more_is_another() -> None:
    assert Named(1) == Named(1) != Named(1, name="other")
    assert Named(1) != Point(1)
    assert Point(1) != Named(1)
    assert repr(Named(1)) == "Named(x=1, y=2, note='', more=(), name='origin')"
    assert Empty() == Empty()
    assert (hash(Empty()), repr(Empty())) == (hash(Empty()), "Empty()")


def test_a_dataclass_may_have_more_than_a_record_when_it_is_frozen() -> None:
    @dataclass(frozen=True)
    class More(Point):
        name: str = "origin"

    assert More(1) == More(1, name="origin") != More(1, name="other")
    with pytest.raises(FrozenInstanceError):
        More(1).x = 2  # type: ignore[misc]
    with pytest.raises(TypeError, match="cannot inherit non-frozen"):

        @dataclass
        class Open(Point):  # type: ignore[misc]
            name: str = "origin"


def test_methods_of_its_own_are_kept() -> None:
    assert (Own(1) == Own(2), hash(Own(1)), repr(Own(1))) == (True, 7, "own")


@record
class Made:
    """One with a value that is made anew for each."""

    x: int
    self: str = ""
    seen: list[int] = field(default_factory=list)


def test_what_is_not_given_is_the_default_or_made_anew() -> None:
    one, other = Made(1), Made(x=1)
    one.seen.append(3)
    assert other.seen == []
    assert Made(1, "me", [4]) == Made(seen=[4], self="me", x=1)
    assert list(vars(other)) == ["x", "self", "seen"]


@pytest.mark.parametrize(
    ("given", "named", "said"),
    [
        ((), {}, "Made wants x."),
        ((1, "", [], 4), {}, "Made has 3 fields, and 4 values were given."),
        ((1,), {"x": 1}, "Made was given 'x' twice."),
        ((1,), {"y": 1}, "Made has no field 'y'; it has x, self, seen."),
        ((), {"y": 1}, "Made has no field 'y'; it has x, self, seen."),
    ],
)
def test_values_that_do_not_fit_are_told(given: tuple[Any, ...], named: dict[str, Any], said: str) -> None:
    with pytest.raises(TypeError) as told:
        Made(*given, **named)
    assert str(told.value) == said
