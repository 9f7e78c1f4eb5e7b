"""Learned rounding: each weight goes up or down so that the layer's output, not the weight, is nearest.

The layer's reconstruction error is a quadratic function of its kernel (edgecv/compress/moments.py), so an iteration is
one matrix product, whatever the number of samples. The rounding of each weight is a soft value between down and up that
a regulariser drives to 0 or 1.

Source: Nagel et al. 2020, "Up or Down? Adaptive Rounding for Post-Training Quantization", equations 21 to 24: rectified
sigmoid with zeta 1.1 and gamma -0.1, regulariser 1 - |2h - 1|^beta with beta annealed, after a warm-up without it. The
optimiser is Adam (Kingma and Ba 2015); coordinate descent ends it. The paper's ReLU inside the loss is left out: it
would need the samples.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edgecv.compress import weight_grid as grid
from edgecv.compress.moments import Quadratic, quadratic
from edgecv.compress.side_by_side import Choice, Site, Walked, walk
from edgecv.core.progress import QUIET, Reporter

Array = grid.Array
ZETA, GAMMA = 1.1, -0.1
SWEEPS = 4
LEAST, OPERATIONS = 60, 2e12
"""Iterations that every layer gets, and operations that one may take beyond them: about a minute of two cores."""

PINNED = 1e-3
"""A weight so near the end of the grid, in steps, stays there: the converter finds the scale from the largest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundingRecipe:
    """How rounding is learned.

    Attributes:
        bits: 8 or 4.
        per_channel: A scale per output channel, else one per tensor.
        iterations: Per layer, at most.
        learning_rate: Of Adam, on the soft rounding's argument.
        regulariser: Weight of the pull to 0 and 1, against a mean error per weight of 1 for nearest rounding.
        warm_up: Share of the iterations without the regulariser.
        beta: First and last exponent of the regulariser.
        shrink: Smallest share of the full range that a narrower grid may have; 1 keeps the full range.
        wide: Names of layers whose weights have 8 bits, at their full range, whatever `bits` says.
        seed: Of the positions that are looked at.
    """

    bits: int = 8
    per_channel: bool = True
    iterations: int = 400
    learning_rate: float = 0.02
    regulariser: float = 0.5
    warm_up: float = 0.2
    beta: tuple[float, float] = (20.0, 2.0)
    shrink: float = 1.0
    wide: frozenset[str] = frozenset()
    seed: int = 0

    def of(self, layer: str) -> RoundingRecipe:
        """Return the recipe of one layer."""
        return replace(self, bits=8, shrink=1.0) if layer in self.wide else self


def adaround(model: Any, inputs: Array, recipe: RoundingRecipe, *, reporter: Reporter = QUIET) -> Walked:
    """Return the model with every kernel on its integer grid, and biases that fit.

    A converter that takes each scale from the largest magnitude finds the same scale and the same integers again. No
    output channel is worse than nearest rounding on the calibration samples.

    Args:
        model: A canonical float model without dead channels (edgecv/compress/dead_channels.py).
        inputs: Calibration samples, preprocessed, float32 (samples, …).
        recipe: How.
        reporter: Gets a step per layer.
    """

    def choose(site: Site) -> Choice:
        kernel, *bias = site.call.weights
        kind = site.call.kind
        matrix = grid.to_matrix(kind, kernel)
        problem = quadratic(site, matrix, seed=recipe.seed)
        own = recipe.of(site.call.name)
        scales = fitted_scales(matrix, problem, own)
        integers = learned(matrix, scales, problem, own)
        rounded = grid.real(integers, scales)
        fixed = [b + problem.bias_shift(matrix, rounded) for b in bias]
        weights = [grid.from_matrix(kind, rounded, kernel.shape), *fixed]
        stored = grid.from_matrix(kind, integers.astype(np.int8), kernel.shape)
        return Choice(rounded=weights, kept=weights, integers=stored)

    return walk(model, inputs, choose, title="learn rounding", reporter=reporter)


def fitted_scales(matrix: Array, problem: Quadratic, recipe: RoundingRecipe) -> Array:
    """Return the scales (groups, 1, outputs), of those from the full range down, with the least error by nearest.

    A narrower grid cuts off the largest weights and rounds all others more finely.
    """
    full = grid.full_scales(matrix, bits=recipe.bits, per_channel=recipe.per_channel)
    best, least = full, None
    for share in np.arange(1.0, recipe.shrink - 1e-9, -0.05):
        scales = full * share
        errors = problem.errors(grid.real(grid.nearest(matrix, scales, bits=recipe.bits), scales))
        if not recipe.per_channel:
            errors = np.broadcast_to(errors.sum(), errors.shape)
        better = np.ones(errors.shape, bool) if least is None else errors < least
        best = np.where(better, scales, best)
        least = errors if least is None else np.minimum(least, errors)
    return best


def learned(matrix: Array, scales: Array, problem: Quadratic, recipe: RoundingRecipe) -> Array:
    """Return the integers of a kernel matrix, int32: the better of learned and nearest rounding for each channel."""
    plain = grid.nearest(matrix, scales, bits=recipe.bits)
    plain_errors = problem.errors(grid.real(plain, scales))
    soft = _Soft.of(matrix, scales, recipe.bits)
    step = np.float32(_steepness(matrix, plain, scales, problem))
    first = second = np.zeros(matrix.shape, np.float32)
    iterations = affordable(problem, matrix.shape[2], recipe.iterations)
    for iteration in range(iterations):
        h, slope = soft.value()
        gradient = problem.gradient(soft.weights(h)) * soft.scales * step
        gradient += _pull(h, iteration / iterations, recipe)
        gradient *= slope
        first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
        rate = recipe.learning_rate * np.sqrt(1 - 0.999 ** (iteration + 1)) / (1 - 0.9 ** (iteration + 1))
        soft.argument -= np.float32(rate) * first / (np.sqrt(second) + np.float32(1e-8))
    chosen = _settled(soft.integers(), soft, problem)
    better = problem.errors(grid.real(chosen, scales)) < plain_errors
    return np.where(better, chosen, plain)


def _settled(integers: Array, soft: _Soft, problem: Quadratic) -> Array:
    """Return the integers after each weight, in turn, was turned the other way where that alone lowers the error.

    The relaxed problem ends near a good corner, not always on it; a sweep costs as much as one iteration.
    """
    current = integers.astype(np.float32)
    half = problem.gradient(current * soft.scales)
    for _ in range(SWEEPS):
        turned = 0
        for row in range(current.shape[1]):
            here = current[:, row : row + 1]
            other = 2 * soft.floor[:, row : row + 1] + 1 - here
            change = (other - here) * soft.scales * soft.free[:, row : row + 1]
            column = problem.column(row)
            gain = 2 * change * half[:, row : row + 1] + change**2 * column[:, row : row + 1]
            change = np.where(gain < 0, change, 0)
            if change.any():
                current[:, row : row + 1] = np.where(change != 0, other, here)
                # Few weights turn: only their output channels' gradients move.
                groups, _, outputs = np.nonzero(change)
                turned += len(outputs)
                half[groups, :, outputs] += column[groups, :, 0] * change[groups, 0, outputs, None]
        if not turned:
            break
    return current.astype(np.int32)


@dataclass(slots=True)
class _Soft:
    """The soft rounding of a kernel: `floor + h(argument)` steps, but for the weights at the end of the grid."""

    floor: Array
    free: Array
    argument: Array
    scales: Array
    top: int

    @classmethod
    def of(cls, matrix: Array, scales: Array, bits: int) -> _Soft:
        top = grid.largest(bits)
        steps = np.clip(matrix / scales, -top, top)
        free = np.abs(steps) < top - PINNED
        floor = np.where(free, np.floor(steps), np.rint(steps))
        rest = np.clip(steps - floor, 1e-4, 1 - 1e-4)
        argument = -np.log((ZETA - GAMMA) / (rest - GAMMA) - 1)
        return cls(
            floor.astype(np.float32),
            free.astype(np.float32),
            argument.astype(np.float32),
            scales.astype(np.float32),
            top,
        )

    def value(self) -> tuple[Array, Array]:
        """Return the rectified sigmoid of the argument and its derivative, 0 where a weight is not free."""
        sigmoid = 1 / (1 + np.exp(-self.argument))
        stretched = sigmoid * np.float32(ZETA - GAMMA) + np.float32(GAMMA)
        inside = (stretched > 0) & (stretched < 1)
        slope = sigmoid * (1 - sigmoid) * np.float32(ZETA - GAMMA) * inside * self.free
        return np.clip(stretched, 0, 1), slope

    def weights(self, h: Array) -> Array:
        real: Array = (self.floor + h * self.free) * self.scales
        return real

    def integers(self) -> Array:
        h, _ = self.value()
        up = (h >= 0.5) * self.free
        found: Array = np.clip(self.floor + up, -self.top, self.top).astype(np.int32)
        return found


def _steepness(matrix: Array, plain: Array, scales: Array, problem: Quadratic) -> float:
    """Return what makes the mean error of nearest rounding 1 per weight: one regulariser then fits every layer."""
    difference = grid.real(plain, scales) - matrix
    error = float(np.sum(difference * problem.apply(difference), dtype=np.float64)) / matrix.size
    return 1.0 / error if error > 0 else 0.0


def affordable(problem: Quadratic, outputs: int, asked: int) -> int:
    """Return the iterations that a layer gets: those asked for, fewer where an iteration is dear, at least 60."""
    if asked <= LEAST:
        return asked
    cost = 2.0 * problem.factor.size * outputs * (2 if problem.is_factor else 1)
    return int(max(LEAST, min(asked, OPERATIONS // cost)))


def _pull(h: Array, done: float, recipe: RoundingRecipe) -> Array | np.float32:
    """Return half the derivative of the regulariser with respect to h, after a share of the iterations."""
    if done < recipe.warm_up:
        return np.float32(0)
    high, low = recipe.beta
    beta = low + 0.5 * (high - low) * (1 + np.cos(np.pi * (done - recipe.warm_up) / (1 - recipe.warm_up)))
    distance = 2 * h - 1
    slope: Array = np.sign(distance) * np.abs(distance) ** np.float32(beta - 1)
    return -np.float32(recipe.regulariser * beta) * slope
