"""A tree of classes with a softmax over each set of siblings: the WordTree of YOLO9000, pure numpy.

Source: Redmon, Farhadi 2017, "YOLO9000: Better, Faster, Stronger", section 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, List, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.core.errors import DataError

Array = NDArray[Any]


@dataclass(frozen=True)
class Tree:
    """Classes in an order in which each comes after its parent.

    Attributes:
        parents: Of each class, -1 for none.
        groups: Sets of siblings, each an array of classes, in the order of their first class.
        depths: Of each class, 0 for those without a parent.
    """

    parents: Array
    groups: Tuple[Array, ...]
    depths: Array

    def probabilities(self, raw: Array, *, logits: bool) -> Array:
        """Return the probability of each class, of all its ancestors too: float32 (n, classes) from raw (n, classes).

        Args:
            raw: Scores of each class given its parent.
            logits: Whether they are logits; else probabilities among siblings.
        """
        found = np.array(raw, np.float32)
        if logits:
            for group in self.groups:
                shifted = np.exp(found[:, group] - found[:, group].max(axis=1, keepdims=True))
                found[:, group] = shifted / shifted.sum(axis=1, keepdims=True)
        # Siblings lie at one depth, so parents are whole before their children are multiplied with them.
        for depth in range(1, int(self.depths.max(initial=0)) + 1):
            at = np.flatnonzero(self.depths == depth)
            found[:, at] *= found[:, self.parents[at]]
        return found

    def told(self, likely: Array, least: float) -> Tuple[Array, Array]:
        """Return the class that is told of each row, int64 (n,), and its probability, float32 (n,).

        From the top, the likeliest child is taken while its probability is at least `least`.
        """
        count = len(likely)
        best, held = np.full(count, -1, np.int64), np.ones(count, np.float32)
        level = np.arange(count)
        children = self._children()
        for row in level:
            node = -1
            while node in children:
                group = children[node]
                child = int(group[likely[row, group].argmax()])
                if node >= 0 and likely[row, child] < least:
                    break
                node = child
            best[row], held[row] = node, likely[row, node]
        return best, held

    def _children(self) -> dict[int, Array]:
        return {int(self.parents[group[0]]): group for group in self.groups}


@lru_cache(maxsize=4)
def tree_of(parents: Tuple[int, ...]) -> Tree:
    """Return the tree of classes whose parents come before them."""
    array = np.asarray(parents, np.int64)
    depths = np.zeros(len(array), np.int64)
    members: dict[int, List[int]] = {}
    for place, parent in enumerate(parents):
        depths[place] = depths[parent] + 1 if parent >= 0 else 0
        members.setdefault(parent, []).append(place)
    groups = tuple(np.asarray(group, np.int64) for group in members.values())
    return Tree(array, groups, depths)


def read_tree(text: str, where: str) -> Tuple[Tuple[str, ...], Tuple[int, ...]]:
    """Return names and parents of a .tree file: a line for each class, its name and the number of its parent.

    Raises:
        DataError: A line has another form, or a class does not come after its parent.
    """
    names: List[str] = []
    parents: List[int] = []
    for number, line in enumerate(text.splitlines(), start=1):
        parts = line.split()
        if not parts:
            continue
        if len(parts) != 2 or not parts[1].lstrip("-").isdigit():
            raise DataError(f"{where}, line {number}: expected a name and its parent's number, got {line!r}")
        parent = int(parts[1])
        if not -1 <= parent < len(names):
            raise DataError(
                f"{where}, line {number}: '{parts[0]}' has the parent {parent}, expected -1 or one of the "
                f"{len(names)} classes before it",
                hint="a tree lists parents before their children, and has no cycle",
            )
        names.append(parts[0])
        parents.append(parent)
    if not names:
        raise DataError(f"{where} names no classes")
    return tuple(names), tuple(parents)
