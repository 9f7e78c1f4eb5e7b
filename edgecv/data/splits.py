"""Deterministic stratified splits that never overlap."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from edgecv.core.errors import DataError

ORDER = ("train", "validation", "test")
TEST_SHARE = 0.2
VALIDATION_SHARE = 0.15
Indices = np.ndarray[Any, np.dtype[np.int64]]
Array = np.ndarray[Any, Any]


NAMED = 5
"""Names that a message lists at most."""


def check_classes(labels: Indices, names: Sequence[str], *, where: str, elsewhere: Indices | None = None) -> None:
    """Check that there are classes to tell apart and that each has samples.

    Args:
        labels: int64 (n,).
        names: Of the classes.
        where: The labels, for messages.
        elsewhere: Labels of other splits, (m,), whose samples count as well.

    Raises:
        DataError: Fewer than two classes, a label outside 0..n-1, or a class without samples.
    """
    check_range(labels, names, where=where)
    if len(names) < 2:
        raise DataError(
            f"{where} has a single class ({', '.join(names) or 'none'}), expected at least 2",
            hint="a classifier needs something to tell apart: add another class",
        )
    seen = frozenset(np.concatenate([labels, labels[:0] if elsewhere is None else elsewhere]).tolist())
    empty = [repr(name) for index, name in enumerate(names) if index not in seen]
    if empty:
        more = f" and {len(empty) - NAMED} more" if len(empty) > NAMED else ""
        raise DataError(
            f"{where}: class {', '.join(empty[:NAMED])}{more} has no samples",
            hint="add samples of it, or remove the class",
        )


def check_range(labels: Array, names: Sequence[str], *, where: str) -> None:
    """Check that every label is an index of `names`. Raises DataError for the first that is not."""
    wrong = np.flatnonzero((labels < 0) | (labels >= len(names)))
    if wrong.size:
        at = int(wrong[0])
        raise DataError(
            f"{where}: label {int(labels[at])} at index {at} is out of range, expected 0..{len(names) - 1}",
            hint="number the classes from 0 without gaps, the same in every split",
        )


def stratified(
    labels: Indices, names: Sequence[str], shares: Mapping[str, float], *, seed: int, where: str
) -> dict[str, Indices]:
    """Divide samples class by class.

    Args:
        labels: int64 (n,), each class present.
        names: Class names, for messages.
        shares: Split to the share it takes of what earlier ones left, in 0..1; "train" gets the rest. Shares are
            rounded up per class, so every split has every class.
        seed: Another seed gives other splits.
        where: The data set, for messages.

    Returns:
        Split to sorted indices; together they hold each sample once.

    Raises:
        DataError: A class has too few samples to be in every split.
    """
    parts: dict[str, list[Indices]] = {"train": [], **{name: [] for name in shares}}
    for value, class_name in enumerate(names):
        members = np.flatnonzero(labels == value)
        if members.size <= len(shares):
            raise DataError(
                f"{where}: class '{class_name}' has {members.size} samples, expected at least {len(shares) + 1}",
                hint=f"each of {', '.join(parts)} needs one: add samples",
            )
        rest = members[np.argsort([rank(seed, int(i)) for i in members])]
        for name, count in shared_out(members.size, shares).items():
            parts[name].append(rest[:count])
            rest = rest[count:]
    return {name: np.sort(np.concatenate(parts[name])) for name in ORDER if name in parts}


def shared_out(size: int, shares: Mapping[str, float]) -> dict[str, int]:
    """Return how many of `size` samples each split takes, in the order of `shares`, and "train" last.

    Shares are rounded up, as long as later splits get one sample each.
    """
    counts: dict[str, int] = {}
    rest = size
    for position, (name, share) in enumerate(shares.items()):
        still_needed = len(shares) - position
        counts[name] = max(0, min(math.ceil(share * rest), rest - still_needed))
        rest -= counts[name]
    return {**counts, "train": rest}


def rank(seed: int, index: int) -> bytes:
    """Return what shuffles the samples: the order of these for a seed."""
    # A hash, not a generator: numpy does not promise the same random stream in every version.
    return hashlib.sha256(f"{seed}:{index}".encode()).digest()
