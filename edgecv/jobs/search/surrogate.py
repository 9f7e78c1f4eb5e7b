"""What is to be expected of candidates nobody has tried: a Gaussian process over their knobs, in plain numpy.

The mean rises with harshness, since harsher values lose more; the covariance is a sum of a constant, a linear part and
a squared exponential. Drops go in by their inverse hyperbolic sine, so that a network that collapsed does not drown the
differences near the budget.

Source: Rasmussen and Williams, "Gaussian Processes for Machine Learning", 2006, algorithm 2.1 and equation 5.8.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgecv.jobs.search.candidates import Candidate
from edgecv.jobs.search.knobs import KNOBS, harshness

Array = NDArray[np.float64]

AMPLITUDES, LENGTHS = (0.25, 0.5, 1.0, 2.0), (0.3, 0.6, 1.2)
"""Of the squared exponential, tried all; the most likely pair is taken."""
CONSTANT, LINEAR = 0.25, 1.0
PRIOR_RISE = 1.5
"""How much the transformed drop rises, before anything is known, from the gentlest to the harshest candidate."""
LEAST_NOISE = 0.05
COARSE_NOISE = 0.25
"""Deviation that is added to a drop after short training on a part of the samples: the rest may change it."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Candidates as coordinates.

    Attributes:
        points: (n, d), each within 0..1: the rank of a value among those that occur, by harshness where it has an
            order; one column per value where it has none.
        harsh: (n,), the mean rank of the ordered knobs; 0.5 where there is none.
    """

    points: Array
    harsh: Array


def grid(candidates: Sequence[Candidate]) -> Grid:
    """Return the coordinates of candidates."""
    columns: list[Array] = []
    ordered: list[Array] = []
    for name in KNOBS:
        values = [one[name] for one in candidates]
        distinct = list(dict.fromkeys(values))
        if len(distinct) < 2:
            continue
        if harshness(name, distinct[0]) is not None:
            ranks = sorted(distinct, key=lambda value, name=name: harshness(name, value) or 0.0)  # type: ignore[misc]
            column = np.asarray([ranks.index(value) / (len(ranks) - 1) for value in values])
            columns.append(column)
            if not name.endswith(".epochs"):
                ordered.append(column)
        else:
            columns += [0.5 * np.asarray([value == one for value in values], np.float64) for one in distinct]
    n = len(candidates)
    points = np.stack(columns, axis=1) if columns else np.zeros((n, 1))
    return Grid(points, np.mean(ordered, axis=0) if ordered else np.full(n, 0.5))


@dataclass(frozen=True, slots=True)
class Belief:
    """What is expected of each candidate: mean and deviation of its transformed drop, (n,)."""

    mean: Array
    deviation: Array
    scale: float

    def doubted(self, factor: float) -> Belief:
        """Return the belief with deviations so many times as large."""
        return Belief(self.mean, factor * self.deviation, self.scale)

    def chance_below(self, limit: float | Array) -> Array:
        """Return the probability (n,) that the drop is `limit` at most."""
        z = (np.arcsinh(np.asarray(limit) / self.scale) - self.mean) / self.deviation
        return _normal(z)

    def gain_below(self, limit: Array) -> Array:
        """Return by how much, in the transformed unit, the drop is expected to be below `limit` (n,): >= 0."""
        gap = np.arcsinh(limit / self.scale) - self.mean
        z = gap / self.deviation
        density = np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
        return np.asarray(np.maximum(0.0, gap * _normal(z) + self.deviation * density))


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A drop that was measured: of which candidate, with what interval, and whether after short training."""

    index: int
    drop: float
    half_width: float
    coarse: bool


def belief(space: Grid, seen: Sequence[Seen], *, scale: float) -> Belief:
    """Return what is expected of all candidates of a space.

    Args:
        space: Their coordinates.
        seen: What was measured.
        scale: The drop that matters, above 0: about the budget, in the drop's unit.
    """
    trend = math.asinh(1.0) + PRIOR_RISE * (space.harsh - 0.5)
    if not seen:
        return Belief(trend, np.full(len(trend), 1.0), scale)
    rows = np.asarray([one.index for one in seen])
    targets = np.arcsinh(np.asarray([one.drop for one in seen]) / scale) - trend[rows]
    noise = np.asarray([_noise(one, scale) for one in seen])
    fits = [
        _fit(space.points, rows, targets, noise, amplitude, length) for amplitude in AMPLITUDES for length in LENGTHS
    ]
    best = max(fits, key=lambda fit: fit.likelihood)
    return Belief(trend + best.mean, np.sqrt(np.maximum(best.variance, 1e-6)), scale)


@dataclass(frozen=True, slots=True)
class _Fit:
    likelihood: float
    mean: Array
    variance: Array


def _fit(points: Array, rows: NDArray[np.int64], targets: Array, noise: Array, amplitude: float, length: float) -> _Fit:
    known = points[rows]
    squares = ((points[:, None, :] - known[None, :, :]) ** 2).sum(axis=2)
    across = CONSTANT + LINEAR * points @ known.T + amplitude**2 * np.exp(-0.5 * squares / length**2)
    chol = np.linalg.cholesky(across[rows] + np.diag(noise**2))
    weights = np.linalg.solve(chol.T, np.linalg.solve(chol, targets))
    likelihood = -0.5 * float(targets @ weights) - float(np.log(np.diag(chol)).sum())
    explained = (np.linalg.solve(chol, across.T) ** 2).sum(axis=0)
    before = CONSTANT + LINEAR * (points**2).sum(axis=1) + amplitude**2
    return _Fit(likelihood, across @ weights, before - explained)


def _noise(one: Seen, scale: float) -> float:
    """Return the deviation of a transformed drop: that of its interval, and of what training has yet to change."""
    own = one.half_width / 1.96 / scale / math.hypot(1.0, one.drop / scale)
    return math.hypot(max(own, LEAST_NOISE), COARSE_NOISE if one.coarse else 0.0)


_erf = np.vectorize(math.erf, otypes=[np.float64])


def _normal(z: Array) -> Array:
    return np.asarray(0.5 * (1.0 + _erf(z / math.sqrt(2.0))))
