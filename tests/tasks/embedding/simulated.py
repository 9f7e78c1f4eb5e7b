"""Embeddings of simulated people, and how often the interval of a drop holds the drop of all people there are."""

from __future__ import annotations

import numpy as np

from edgecv.tasks.bootstrap import bootstrap_drop
from edgecv.tasks.embedding.metrics import auc, weighted_auc
from edgecv.tasks.embedding.pairs import distances, pairs_of
from edgecv.tasks.embedding.task import drawn_units
from edgecv.values.scores import Metric

LENGTH, SPREAD, NOISE = 4, 0.5, 0.3


def embeddings(rng, *, people, each, centres=None):
    """Identities, and the vectors of a baseline and of a candidate that adds noise to them."""
    identities = np.repeat(np.arange(people), each)
    centres = rng.normal(size=(people, LENGTH)) if centres is None else centres
    base = centres[identities] + SPREAD * rng.normal(size=(len(identities), LENGTH))
    candidate = base + NOISE * rng.normal(size=base.shape)
    return identities, base.astype(np.float32), candidate.astype(np.float32)


def coverage(*, people, each, fixed, runs, repeats):
    """Share of `runs` intervals that hold the truth.

    `fixed`: the people are always the same, as classes are; else each run meets others.
    """
    rng = np.random.default_rng(people)
    centres = rng.normal(size=(people, LENGTH)) if fixed else None
    truth = np.mean([_drop(*embeddings(rng, people=people, each=each, centres=centres)) for _ in range(2000)])
    held = 0
    for _ in range(runs):
        low, high = _interval(*embeddings(rng, people=people, each=each, centres=centres), repeats)
        held += low <= truth <= high
    return held / runs


def _drop(identities, base, candidate):
    pairs = pairs_of(identities)
    first, second = (auc(distances(vectors, pairs, "euclidean"), pairs.same) for vectors in (base, candidate))
    return first - second


def _interval(identities, base, candidate, repeats):
    pairs = pairs_of(identities)
    units, count = drawn_units(identities)
    statistics = [
        weighted_auc(distances(v, pairs, "euclidean"), pairs.same, units[pairs.first], units[pairs.second])
        for v in (base, candidate)
    ]
    return bootstrap_drop(*statistics, count, Metric("auc"), repeats=repeats).ci95
