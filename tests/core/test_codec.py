"""Strict decoding: what is unknown, missing or of the wrong type is refused by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Mapping, Optional, Tuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecv.core import codec
from edgecv.core.errors import ConfigError


@dataclass(frozen=True)
class Inner:
    size: int
    name: str = "x"


@dataclass(frozen=True)
class Outer:
    ratio: float
    inner: Inner
    mode: Literal["fast", "slow"] = "fast"
    many: Tuple[Inner, ...] = ()
    pair: Optional[Tuple[float, float]] = None
    table: Optional[Mapping[str, Inner]] = None


inners = st.builds(Inner, size=st.integers(), name=st.text())
outers = st.builds(
    Outer,
    ratio=st.floats(allow_nan=False, allow_infinity=False),
    inner=inners,
    mode=st.sampled_from(["fast", "slow"]),
    many=st.lists(inners, max_size=3).map(tuple),
    pair=st.none() | st.tuples(*[st.floats(allow_nan=False, allow_infinity=False)] * 2),
    table=st.none() | st.dictionaries(st.text(), inners, max_size=3),
)


@given(outers)
def test_decoding_what_was_encoded_gives_it_back(value: Outer) -> None:
    assert codec.decode(Outer, codec.encode(value), where="test") == value


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"raito": 1.0}, "did you mean 'ratio'"),
        ({"ratio": "1"}, "expected a float, got '1'"),
        ({"ratio": True}, "expected a float, got True"),
        ({"mode": "fats"}, "did you mean 'fast'"),
        ({"inner": {"size": 1.5}}, "inner: size: expected a int"),
        ({"inner": {}}, "'size' is missing"),
        ({"inner": 3}, "expected a table"),
        ({"pair": [1.0]}, "a list of 2"),
        ({"many": [{"size": 1}, {"size": None}]}, r"many\[1\]"),
    ],
)
def test_bad_data_is_refused_by_name(change: dict[str, object], message: str) -> None:
    data = {"ratio": 1.0, "inner": {"size": 1}, **change}
    with pytest.raises(ConfigError, match=message):
        codec.decode(Outer, data, where="test")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {"a": {1, 2}}])
def test_what_json_cannot_hold_is_refused(value: object) -> None:
    with pytest.raises(ConfigError, match="cannot write"):
        codec.encode(value)


def test_an_integer_serves_where_a_float_is_asked() -> None:
    decoded = codec.decode(Outer, {"ratio": 2, "inner": {"size": 1}}, where="test")
    assert isinstance(decoded.ratio, float)
