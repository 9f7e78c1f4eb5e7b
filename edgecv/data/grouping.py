"""Splits in which samples that belong together stay together: the same person, scene, or the very same picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from edgecv.core.errors import DataError
from edgecv.data.dataset import Array, Images, Split, Target
from edgecv.data.duplicates import content_ids
from edgecv.data.splits import ORDER, TEST_SHARE, VALIDATION_SHARE, Indices, rank, shared_out, stratified
from edgecv.tasks import registry

MIN_PATTERN = 10
"""A pattern of labels that fewer samples show cannot be shared out in the right proportions: such ones are pooled."""

MIN_IDENTITIES = 10
"""With so many identities or more, each goes to one split as a whole: a model is tested on identities it never saw."""


def in_three(targets: Sequence[Target], whole: Split, *, seed: int, where: str) -> dict[str, Split]:
    """Divide a split in "train", "validation" and "test", as `divide` says. Raises DataError as it does."""
    shares = {"test": TEST_SHARE, "validation": VALIDATION_SHARE}
    parts = divide(targets, whole.targets, whole.images, shares, seed=seed, where=where, groups=whole.groups)
    return {name: whole.take(index, name) for name, index in parts.items()}


def completed(targets: Sequence[Target], given: Mapping[str, Split], *, seed: int, where: str) -> dict[str, Split]:
    """Return the splits that a source brings, and a validation split that is carved from "train" when it brings none.

    "validation" stands in for a missing "test". Raises DataError as `divide` does, and when there is nothing but
    "train", or no "train".
    """
    if "train" not in given or len(given) < 2:
        there = ", ".join(given)
        missing = "test" if "train" in given else "train"
        raise DataError(
            f"{where} holds the split {there} and no {missing}",
            hint="add it, or put everything in one folder to have it divided",
        )
    splits = dict(given)
    if "test" not in splits:
        splits["test"] = replace(splits.pop("validation"), name="test")
    if "validation" not in splits:
        train, shares = splits["train"], {"validation": VALIDATION_SHARE}
        parts = divide(targets, train.targets, train.images, shares, seed=seed, where=where, groups=train.groups)
        splits |= {name: train.take(index, name) for name, index in parts.items()}
    return {name: splits[name] for name in ORDER}


def divide(
    targets: Sequence[Target],
    values: Sequence[Any],
    images: Images,
    shares: Mapping[str, float],
    *,
    seed: int,
    where: str,
    groups: Array | None = None,
) -> dict[str, Indices]:
    """Divide samples into splits that are alike, and of which no two hold the same content or the same group.

    Classes, or patterns of labels, are as frequent in one split as in the other; other samples go at random. Of ten or
    more identities, each goes to one split.

    Args:
        targets: What there is to learn.
        values: Of each target.
        images: Compared by content: identical samples are one group.
        shares: Split to the share it takes of what earlier ones left, in 0..1; "train" gets the rest.
        seed: Another seed gives other splits.
        where: The data set, for messages.
        groups: (n,) integers or strings: samples of one group stay in one split.

    Returns:
        Split to sorted indices; together they hold each sample once.

    Raises:
        DataError: A class has too few samples, or there are too few groups, for every split.
    """
    together = merged(content_ids([images])[0], groups)
    identities = _identities(targets, values)
    if identities is not None:
        return _apart(merged(together, identities), shares, seed=seed, where=where)
    strata, names = _strata(targets, values, len(images))
    if len(np.unique(together)) == len(together):
        return stratified(strata, names, shares, seed=seed, where=where)
    return grouped(strata, names, together, shares, seed=seed, where=where)


def _identities(targets: Sequence[Target], values: Sequence[Any]) -> Indices | None:
    """Return the column that says who is who, where it is what samples are about and there are enough of them."""
    divided_by = _divisions(targets)
    if "classes" in divided_by or "identities" not in divided_by:
        return None
    column: Indices = values[divided_by.index("identities")]
    return column if len(np.unique(column)) >= MIN_IDENTITIES else None


def _divisions(targets: Sequence[Target]) -> list[str]:
    return [registry.of_kind(target.task).divided_by for target in targets]


def _apart(groups: Indices, shares: Mapping[str, float], *, seed: int, where: str) -> dict[str, Indices]:
    """Divide groups by their number, whatever their size."""
    _, inverse = np.unique(groups, return_inverse=True)
    owner = inverse.reshape(-1)
    parts = stratified(np.zeros(int(owner.max()) + 1, np.int64), ("any",), shares, seed=seed, where=where)
    return {name: np.flatnonzero(np.isin(owner, chosen)) for name, chosen in parts.items()}


def _strata(targets: Sequence[Target], values: Sequence[Any], n: int) -> tuple[Indices, tuple[str, ...]]:
    """Return the number of each sample's stratum, and the names: of classes, else identities, else patterns."""
    divided_by = _divisions(targets)
    way = next((way for way in ("classes", "identities", "patterns") if way in divided_by), None)
    if way is None:
        return np.zeros(n, np.int64), ("any",)
    first = divided_by.index(way)
    found = registry.of_kind(targets[first].task).strata(values[first])
    if way == "classes":
        return found, targets[first].labels
    return _present(found, targets[first].labels) if way == "identities" else _patterns(found)


def _present(values: Indices, labels: tuple[str, ...]) -> tuple[Indices, tuple[str, ...]]:
    """Number the labels that there are samples of: training may lack an identity that the test has."""
    found, inverse = np.unique(values, return_inverse=True)
    return inverse.reshape(-1).astype(np.int64), tuple(labels[i] for i in found.tolist())


def _patterns(values: Indices) -> tuple[Indices, tuple[str, ...]]:
    """Number the patterns of labels, most frequent first, the rare ones together as the last."""
    found, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    frequent = max(1, int((counts >= MIN_PATTERN).sum()))
    rare = int(counts[order[frequent:]].sum())
    last = frequent if rare >= MIN_PATTERN else frequent - 1
    number = np.empty(len(found), np.int64)
    number[order] = np.minimum(np.arange(len(found)), last)
    return number[inverse.reshape(-1)], tuple(f"pattern {i}" for i in range(int(number.max()) + 1))


def merged(ids: Indices, groups: Array | None) -> Indices:
    """Return the number of the smallest set that holds every sample of the same content and of the same group."""
    if groups is None:
        return ids
    named = np.unique(groups, return_inverse=True)[1].reshape(-1)
    parent = list(range(int(named.max()) + 1))

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    first: dict[int, int] = {}
    for content, group in zip(ids.tolist(), named.tolist(), strict=True):
        parent[root(group)] = root(first.setdefault(content, group))
    return np.array([root(group) for group in named.tolist()], np.int64)


def grouped(
    strata: Indices, names: Sequence[str], groups: Indices, shares: Mapping[str, float], *, seed: int, where: str
) -> dict[str, Indices]:
    """Divide whole groups, so that every stratum comes as near to its share of each split as groups allow.

    Groups of several samples go, largest first, where they bring the summed squared deviation from the wanted counts
    down most; single samples then fill what is missing. With single samples only, the sizes are those of `stratified`.
    Source: greedy assignment after Sechidis, Tsoumakas, Vlahavas 2011, "On the Stratification of Multi-Label Data",
    ECML PKDD, with groups in the place of samples.

    Raises:
        DataError: Fewer groups than splits, or a class that no training sample is left of.
    """
    parts = [name for name in ORDER if name == "train" or name in shares]
    _, inverse, counts = np.unique(groups, return_inverse=True, return_counts=True)
    if len(counts) < len(parts):
        raise DataError(
            f"{where} has samples of {len(counts)} groups, expected at least {len(parts)}; samples of one group or of "
            "identical content stay in one split",
            hint=f"each of {', '.join(parts)} needs one: add other samples",
        )
    wanted = _wanted(strata, len(names), shares, parts)
    chosen = np.full(len(strata), -1, np.int64)
    held = _place_groups(strata, inverse.reshape(-1), counts, wanted, chosen, seed)
    _place_singles(strata, wanted, held, chosen, parts, shares, seed)
    _fill_empty(inverse.reshape(-1), chosen, len(parts))
    _check_train(strata, chosen, names, parts.index("train"), where)
    return {name: np.flatnonzero(chosen == number) for number, name in enumerate(parts)}


def _wanted(strata: Indices, n: int, shares: Mapping[str, float], parts: Sequence[str]) -> Array:
    """Return int64 (splits, strata): how many samples each split should get."""
    made = np.zeros((len(parts), n), np.int64)
    for value, size in enumerate(np.bincount(strata, minlength=n).tolist()):
        for name, count in shared_out(size, shares).items():
            made[parts.index(name), value] = count
    return made


def _place_groups(strata: Indices, inverse: Indices, counts: Array, wanted: Array, chosen: Indices, seed: int) -> Array:
    held = np.zeros_like(wanted)
    several = np.flatnonzero(counts[inverse] > 1)
    by_group = several[np.argsort(inverse[several], kind="stable")]
    bounds = np.flatnonzero(np.diff(inverse[by_group])) + 1
    sets = [members for members in np.split(by_group, bounds) if members.size]
    total = np.maximum(wanted.sum(axis=0), 1)
    for members in sorted(sets, key=lambda m: (-m.size, rank(seed, int(m[0])))):
        values, sizes = np.unique(strata[members], return_counts=True)
        change = sizes * (2 * (held[:, values] - wanted[:, values]) + sizes) / total[values]
        best = int(np.argmin(change.sum(axis=1)))
        held[best, values] += sizes
        chosen[members] = best
    return held


def _place_singles(
    strata: Indices,
    wanted: Array,
    held: Array,
    chosen: Indices,
    parts: Sequence[str],
    shares: Mapping[str, float],
    seed: int,
) -> None:
    for value in range(wanted.shape[1]):
        left = np.flatnonzero((strata == value) & (chosen < 0))
        left = left[np.argsort([rank(seed, int(i)) for i in left])] if left.size else left
        for name in shares:
            part = parts.index(name)
            count = min(max(0, int(wanted[part, value] - held[part, value])), left.size)
            chosen[left[:count]] = part
            left = left[count:]
        chosen[left] = parts.index("train")


def _fill_empty(inverse: Indices, chosen: Indices, n_parts: int) -> None:
    """Give a split that got nothing the smallest group of the split that has most groups."""
    for empty in [part for part in range(n_parts) if not (chosen == part).any()]:
        donor = max(range(n_parts), key=lambda part: len(np.unique(inverse[chosen == part])))
        found, sizes = np.unique(inverse[chosen == donor], return_counts=True)
        chosen[inverse == found[np.argmin(sizes)]] = empty


def _check_train(strata: Indices, chosen: Indices, names: Sequence[str], train: int, where: str) -> None:
    there = np.bincount(strata[chosen == train], minlength=len(names)).tolist()
    lost = [name for name, count in zip(names, there, strict=True) if count == 0]
    if lost:
        raise DataError(
            f"{where}: class {', '.join(map(repr, lost))} comes in too few groups to be in the training split",
            hint="add samples of other groups, or give the splits yourself",
        )


def check_apart(groups: Mapping[str, Any], *, where: str) -> None:
    """Check that no group is in two given splits. Raises DataError that names the first that is."""
    seen: dict[Any, str] = {}
    for split, values in groups.items():
        for value in np.unique(values).tolist():
            if value in seen:
                raise DataError(
                    f"{where}: group {value!r} is in {seen[value]} and in {split}",
                    hint="keep all samples of a group in one split",
                )
            seen[value] = split
