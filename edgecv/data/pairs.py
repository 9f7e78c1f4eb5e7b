"""Pairs and triplets of images, drawn from a data set of who is who. The same seed draws the same ones."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np

from edgecv.core.errors import DataError
from edgecv.data.dataset import Indices, Split, is_classes, taken


def as_pairs(split: Split, column: int, *, seed: int) -> Split:
    """Return as many pairs as a split has images, half of them of one identity.

    Each image comes first in one pair, and second in one, or in a few more where identities are small.

    Args:
        split: Of one input.
        column: Position of the target that says who is who, int64 (n,).
        seed: Another seed draws other pairs.

    Returns:
        A split with two inputs, the target 1 for the same identity and 0 for different ones, and the first image's
        identity as the group.

    Raises:
        DataError: The target is of another kind, or there are fewer than two identities, or all have one image.
    """
    identity = _identity(split, column)
    same = _chosen_for_same(identity, seed)
    second = np.empty(len(identity), np.int64)
    for members, of_one in _by_identity(identity, seed):
        chosen = members[same[members]]
        # An image that is alone among the chosen meets another one of its identity.
        second[chosen] = np.roll(chosen, -1) if len(chosen) > 1 else of_one[:1]
    others = np.flatnonzero(~same)
    second[others] = _strangers(others, identity, seed)
    answer = (identity == identity[second]).astype(np.int64)
    order = _shuffled(np.arange(len(identity)), f"{seed}/order")
    return _joined(split, (order, second[order]), answer[order], identity[order])


def as_triplets(split: Split, column: int, *, seed: int) -> Split:
    """Return anchors, each with an image of the same identity and one of another.

    Arguments and errors are those of `as_pairs`; images whose identity has no other image are no anchors.

    Returns:
        A split with three inputs (anchor, same, different), whose target and group are the anchor's identity.
    """
    identity = _identity(split, column)
    second = np.full(len(identity), -1, np.int64)
    for members, _ in _by_identity(identity, seed):
        if len(members) > 1:
            second[members] = np.roll(members, -1)
    third = _strangers(np.arange(len(identity)), identity, seed)
    anchors = _shuffled(np.flatnonzero(second >= 0), f"{seed}/order")
    found = identity[anchors]
    return _joined(split, (anchors, second[anchors], third[anchors]), found, found)


def _identity(split: Split, column: int) -> Indices:
    found = split.targets[column]
    if not is_classes(found) or split.more_inputs:
        raise DataError(
            f"split '{split.name}' has no single images with identities to draw pairs of",
            hint="use identities:PATH, or data with class labels",
        )
    counts = np.unique(found, return_counts=True)[1]
    if len(counts) < 2 or counts.max() < 2:
        raise DataError(
            f"split '{split.name}' has {len(counts)} identities and at most {counts.max(initial=0)} images of one, "
            "expected 2 and 2 or more",
            hint="add images, or divide the data otherwise",
        )
    identity: Indices = found
    return identity


def _joined(split: Split, rows: tuple[Indices, ...], target: Indices, groups: Indices) -> Split:
    first, *more = (taken(split.images, index) for index in rows)
    return Split(name=split.name, images=first, more_inputs=tuple(more), targets=(target,), groups=groups)


def _by_identity(identity: Indices, seed: int) -> Iterator[tuple[Indices, Indices]]:
    """Yield the images of each identity in random order, and the same from the other end."""
    shuffled = _shuffled(np.arange(len(identity)), f"{seed}/members")
    by = shuffled[np.argsort(identity[shuffled], kind="stable")]
    for members in np.split(by, np.flatnonzero(np.diff(identity[by])) + 1):
        yield members, members[::-1]


def _chosen_for_same(identity: Indices, seed: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Return which images come first in a pair of one identity: half of each identity, as nearly as it goes."""
    same = np.zeros(len(identity), bool)
    owed = 0.0
    for members, _ in _by_identity(identity, seed):
        owed += len(members) / 2
        count = min(round(owed), len(members)) if len(members) > 1 else 0
        same[members[: max(0, count)]] = True
        owed -= max(0, count)
    return same


def _strangers(rows: Indices, identity: Indices, seed: int) -> Indices:
    """Return an image of another identity for each of `rows`: a shuffle of `rows`, in which kin change places.

    Where one identity has more than half of the rows, images are used twice.
    """
    found = _shuffled(rows, f"{seed}/strangers")
    for at in np.flatnonzero(identity[rows] == identity[found]):
        fits = (identity[found] != identity[rows[at]]) & (identity[rows] != identity[found[at]])
        partner = np.flatnonzero(fits)
        if identity[rows[at]] != identity[found[at]]:
            continue
        if partner.size:
            other = partner[at % partner.size]
            found[at], found[other] = found[other], found[at]
        else:
            elsewhere = np.flatnonzero(identity != identity[rows[at]])
            found[at] = elsewhere[at % elsewhere.size]
    return found


def _shuffled(values: Indices, key: str) -> Indices:
    # A hash, not a generator: numpy does not promise the same random stream in every version.
    ranks = [hashlib.sha256(f"{key}:{value}".encode()).digest() for value in values.tolist()]
    return values[sorted(range(len(ranks)), key=ranks.__getitem__)] if ranks else values
