from dataclasses import dataclass, field
from typing import Literal

import pytest

from sim.recipes.options import flat_options, options_from
from sorter.core.errors import InputError


@dataclass(frozen=True)
class Inner:
    width: float = 1.0
    sides: tuple[int, int] = (1, 2)
    on: bool = True


@dataclass(frozen=True)
class Outer:
    inner: Inner = field(default_factory=lambda: Inner(width=5.0))
    count: int = 3
    limit: float | None = None
    kind: Literal["a", "b"] = "a"
    shares: dict[str, float] = field(default_factory=dict)


def test_texts_and_values_become_options_and_defaults_of_the_place_stay():
    made = options_from(
        Outer, {"inner.sides": "3,4", "inner.on": "false", "count": "7", "limit": "2.5", "shares": "x=1,y=0.5"}
    )
    assert made == Outer(Inner(5.0, (3, 4), False), 7, 2.5, "a", {"x": 1.0, "y": 0.5})
    assert options_from(Outer, {"inner": {"width": 2}}).inner == Inner(2.0)
    assert options_from(Outer, {"limit": "null"}).limit is None
    assert options_from(Outer, None) == Outer()
    assert options_from(Outer, {"shares": '{"x": 2}'}).shares == {"x": 2.0}


def test_flat_options_name_everything():
    assert flat_options(Outer())["inner.width"] == 5.0


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"cout": 1}, "known are"),
        ({"inner.wdth": 1}, "inner.width"),
        ({"inner.width.more": 1}, "nothing lies below"),
        ({"count": "1.5"}, "must be int"),
        ({"count": "many"}, "must be int"),
        ({"inner.width": "wide"}, "must be float"),
        ({"inner.sides": "1,2,3"}, "2 values"),
        ({"inner.on": "perhaps"}, "must be bool"),
        ({"shares": "x,y"}, "NAME=SHARE"),
        ({"inner": 3}, "inner"),
    ],
)
def test_what_does_not_fit_is_refused(values, says):
    with pytest.raises(InputError, match=says):
        options_from(Outer, values)
