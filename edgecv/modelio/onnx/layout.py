"""Where the axes of an ONNX tensor lie in the tensor that stands for it.

A tensor is carried in whatever order its producer gives, and the order is remembered: `perm[place]` is the ONNX axis
that lies at `place`. A Transpose of ONNX changes what is remembered and moves nothing. A layer that needs an order asks
for it, and only then values move.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from edgecv.modelio.onnx.net import Shape

Perm = tuple[int, ...]
CHANNELS_LAST: Perm = (0, 2, 3, 1)


def identity(rank: int) -> Perm:
    """Return the order of ONNX."""
    return tuple(range(rank))


def transposed(perm: Perm, axes: Sequence[int]) -> Perm:
    """Return where the axes lie behind a Transpose that moves nothing; its new axis i is the old `axes[i]`."""
    place_of = {old: new for new, old in enumerate(axes)}
    return tuple(place_of[old] for old in perm)


def moved(shape: Shape, perm: Perm) -> Shape:
    """Return the sizes in the order in which they lie."""
    return tuple(shape[axis] for axis in perm)


def same_order(shape: Shape, one: Perm, other: Perm) -> bool:
    """Say whether values lie alike in two orders: only axes of size 1 differ in place."""
    return [axis for axis in one if shape[axis] != 1] == [axis for axis in other if shape[axis] != 1]


def last(perm: Perm, axis: int) -> Perm:
    """Return the order with one axis last and the others as they lie."""
    return (*(one for one in perm if one != axis), axis)


def without(perm: Perm, axes: Sequence[int]) -> Perm:
    """Return the order of a tensor that lost axes."""
    kept = sorted(set(perm) - set(axes))
    number = {axis: place for place, axis in enumerate(kept)}
    return tuple(number[axis] for axis in perm if axis in number)


@dataclass(frozen=True, slots=True)
class Reshaped:
    """How a reshape is done on a tensor as it lies.

    Attributes:
        first: The order that the tensor has to be brought to before; the one it has where nothing moves.
        perm: The order of the result.
    """

    first: Perm
    perm: Perm


def reshaped(before: Shape, after: Shape, perm: Perm) -> Reshaped:
    """Return how to reshape with as few moves as there can be.

    The sizes of both shapes fall into groups of equal product. A group whose axes lie side by side and in order can be
    reshaped where it is, so the groups keep their places.

    Args:
        before: Shape in ONNX.
        after: The new one, of as many values.
        perm: How the tensor lies.
    """
    groups = _groups(before, after)
    place = {axis: at for at, axis in enumerate(perm)}
    batch = perm[0]

    def key(group: tuple[list[int], list[int]]) -> tuple[int, int]:
        big = [place[axis] for axis in group[0] if before[axis] != 1] or [place[axis] for axis in group[0]]
        return (0 if batch in group[0] else 1, min(big, default=len(perm)))

    ordered = sorted(groups, key=key)
    first = [axis for given, _ in ordered for axis in given]
    # The batch stays in front of what it is grouped with.
    first.sort(key=lambda axis: axis != batch)
    made = [axis for _, given in ordered for axis in given]
    wanted = tuple(first)
    return Reshaped(perm if same_order(before, perm, wanted) else wanted, tuple(made))


def _groups(before: Shape, after: Shape) -> list[tuple[list[int], list[int]]]:
    """Return the smallest groups of axes of both shapes that have equal products, in order."""
    found: list[tuple[list[int], list[int]]] = []
    i = j = 0
    while i < len(before) and j < len(after):
        one, other = [i], [j]
        left, right = before[i], after[j]
        i, j = i + 1, j + 1
        while left != right:
            if left < right and i < len(before):
                one.append(i)
                left, i = left * before[i], i + 1
            elif right < left and j < len(after):
                other.append(j)
                right, j = right * after[j], j + 1
            else:
                break
        found.append((one, other))
    if found:  # axes of size 1 that are left over
        found[-1][0].extend(range(i, len(before)))
        found[-1][1].extend(range(j, len(after)))
    return found


def columns(before: Shape, perm: Perm) -> list[int]:
    """Return, for a map that is flattened as it lies, which column of ONNX's vector each column is.

    Args:
        before: Shape in ONNX, the batch of 1 first.
        perm: How the map lies.
    """
    strides = [math.prod(before[axis + 1 :]) for axis in range(len(before))]
    found = [0]
    for axis in perm:
        found = [start + step * strides[axis] for start in found for step in range(before[axis])]
    return found
