"""Choosing the samples that calibrate a model."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgecv.errors import ConfigError, DataError, unknown_name
from edgecv.profiles import CalibrationRecipe

Indices = np.ndarray[Any, np.dtype[np.int64]]
SAMPLERS = ("stratified", "first", "random")


def select(strata: np.ndarray[Any, Any], recipe: CalibrationRecipe, seed: int) -> Indices:
    """Return which samples to run.

    Args:
        strata: Integer stratum of each sample, (n,): its class, or `data.Split.strata`.
        recipe: Its `sampler` and `count` are used; a count above n selects everything.
        seed: Of the random choices ("stratified" and "random").

    Returns:
        int64 indices without repetition, ascending. "stratified" takes as even a share of every stratum as their
        sizes allow: no stratum has two more than another that still has samples left.

    Raises:
        ConfigError: The count is below 1, or the sampler is unknown.
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
