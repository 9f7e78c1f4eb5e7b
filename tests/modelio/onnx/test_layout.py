"""Where axes lie: against numpy, on shapes drawn at random."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecv.modelio.onnx.layout import CHANNELS_LAST, columns, last, moved, reshaped, same_order, transposed, without

SIZES = st.sampled_from([1, 2, 3, 4, 6])


@st.composite
def lying(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """A shape with a batch of 1, another of as many values, and an order in which the batch is first."""
    before = (1, *draw(st.lists(SIZES, min_size=1, max_size=4)))
    rest, after = math.prod(before), [1]
    while rest > 1 and len(after) < 5:
        after.append(draw(st.sampled_from([n for n in range(1, rest + 1) if rest % n == 0])))
        rest //= after[-1]
    return before, (*after, rest), (0, *draw(st.permutations(range(1, len(before)))))


@given(lying())
@settings(max_examples=200, deadline=None)
def test_a_reshape_in_place_gives_what_numpy_gives(case: tuple[tuple[int, ...], ...]) -> None:
    before, after, perm = case
    values = np.arange(math.prod(before)).reshape(before)
    how = reshaped(before, after, perm)
    physical = values.transpose(how.first).reshape(moved(after, how.perm))
    assert (physical.transpose(np.argsort(how.perm)) == values.reshape(after)).all()
    assert how.first[0] == 0
    assert how.perm[0] == 0 or moved(after, how.perm)[0] == 1


def test_by_hand() -> None:
    # Groups of a channel shuffle stay behind height and width, and so do they when their places change.
    grouped = reshaped((1, 6, 4, 5), (1, 2, 3, 4, 5), CHANNELS_LAST)
    assert grouped.first == CHANNELS_LAST
    assert grouped.perm == (0, 3, 4, 1, 2)
    assert transposed(grouped.perm, (0, 2, 1, 3, 4)) == (0, 3, 4, 2, 1)
    # Patches of a vision transformer: rows of pixels follow each other already.
    patches = reshaped((1, 6, 4, 5), (1, 6, 20), CHANNELS_LAST)
    assert (patches.first, patches.perm) == (CHANNELS_LAST, (0, 2, 1))
    assert transposed(patches.perm, (0, 2, 1)) == (0, 1, 2)
    # A map of several pixels as a vector has to move, one of a single pixel has not.
    assert reshaped((1, 6, 4, 5), (1, 120), CHANNELS_LAST).first == (0, 1, 2, 3)
    assert reshaped((1, 6, 1, 1), (1, 6), CHANNELS_LAST).first == CHANNELS_LAST


def test_columns_of_a_flattened_map() -> None:
    values = np.arange(24).reshape(1, 2, 3, 4)
    assert (
        values.reshape(-1)[columns((1, 2, 3, 4), CHANNELS_LAST)] == values.transpose(CHANNELS_LAST).reshape(-1)
    ).all()


def test_axes_that_go_and_axes_that_come_last() -> None:
    assert without(CHANNELS_LAST, [2]) == (0, 2, 1)
    assert last((0, 1, 2), 1) == (0, 2, 1)
    assert same_order((1, 6, 1, 1), CHANNELS_LAST, (0, 1, 2, 3))
    assert not same_order((1, 6, 2, 1), CHANNELS_LAST, (0, 1, 2, 3))
