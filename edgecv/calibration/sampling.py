"""Choosing the samples that calibrate a model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edgecv.calibration.diversity import farthest_first, features
from edgecv.core.errors import ConfigError, DataError, unknown_name
from edgecv.values.profiles import CalibrationRecipe

Indices = np.ndarray[Any, np.dtype[np.int64]]
SAMPLERS = ("stratified", "diverse", "first", "random")
POOL = 10
"""Samples that "diverse" looks at for each one that it takes."""


def select(
    strata: np.ndarray[Any, Any],
    recipe: CalibrationRecipe,
    seed: int,
    *,
    sample: Callable[[int], np.ndarray[Any, Any]] | None = None,
) -> Indices:
    """Return which samples to run.

    Args:
        strata: Integer stratum of each sample, (n,): its class, or `data.Split.strata`.
        recipe: Its `sampler` and `count` are used; a count above n selects everything.
        seed: Of the random choices (all but "first").
        sample: Gives an image or a feature vector by index; "diverse" looks at 10 times `count` of them, stratified.

    Returns:
        int64 indices without repetition, ascending. "stratified" takes as even a share of every stratum as their
        sizes allow: no stratum has two more than another that still has samples left. "diverse" starts anywhere and
        goes on with whatever differs most from all samples chosen (`diversity`), rare and extreme ones included.

    Raises:
        ConfigError: The count is below 1, the sampler is unknown, or it needs `sample`.
        DataError: There are no samples.
    """
    labels = np.asarray(strata)
    if recipe.count < 1:
        raise ConfigError(f"calibration recipe '{recipe.name}': count is {recipe.count}, expected at least 1")
    if labels.ndim != 1 or labels.size == 0:
        raise DataError(f"calibration needs labelled samples, got labels of shape {labels.shape}")
    count = min(recipe.count, labels.size)
    rng = np.random.default_rng(seed)
    if recipe.sampler == "first":
        chosen = np.arange(count)
    elif recipe.sampler == "random":
        chosen = rng.choice(labels.size, size=count, replace=False)
    elif recipe.sampler == "stratified":
        chosen = _stratified(labels, count, rng)
    elif recipe.sampler == "diverse":
        chosen = _diverse(labels, count, rng, sample)
    else:
        raise unknown_name("calibration sampler", recipe.sampler, SAMPLERS)
    return np.sort(chosen).astype(np.int64)


def _stratified(labels: np.ndarray[Any, Any], count: int, rng: np.random.Generator) -> np.ndarray[Any, Any]:
    """Deal one sample of each class per round, in random order within the class and the round."""
    order = rng.permutation(labels.size)
    by_class = np.argsort(labels[order], kind="stable")
    _, first, sizes = np.unique(labels[order][by_class], return_index=True, return_counts=True)
    rounds = np.concatenate([np.arange(size) for size in sizes])
    classes = np.repeat(rng.permutation(len(first)), sizes)
    return order[by_class[np.lexsort((classes, rounds))[:count]]]


def _diverse(
    labels: np.ndarray[Any, Any],
    count: int,
    rng: np.random.Generator,
    sample: Callable[[int], np.ndarray[Any, Any]] | None,
) -> np.ndarray[Any, Any]:
    if sample is None:
        raise ConfigError("the sampler 'diverse' has to see the samples", hint="give `sample`, or use 'stratified'")
    pool = _stratified(labels, min(POOL * count, labels.size), rng)
    seen = np.stack([features(sample(int(index))) for index in pool])
    return pool[farthest_first(_comparable(seen), count, int(rng.integers(len(pool))))]


def _comparable(seen: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Bring every column to the same spread: the entries of a feature vector may have different units."""
    spread = seen.std(axis=0)
    scaled: np.ndarray[Any, Any] = (seen - seen.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    return scaled
