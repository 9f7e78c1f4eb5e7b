"""Bias correction: each output channel's mean error, which rounding weights leaves, is taken out of the bias.

Source: Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias Correction", section 4.2, in its
empirical form: the expectation is over calibration samples, layers in order, each behind its corrected predecessors.
"""

from __future__ import annotations

from typing import Any

from edgecv.compress import weight_grid as grid
from edgecv.compress.moments import bias_shift
from edgecv.compress.side_by_side import Choice, Site, Walked, walk
from edgecv.core.progress import QUIET, Reporter

Array = grid.Array


def correct_bias(
    model: Any,
    inputs: Array,
    *,
    bits: int = 8,
    per_channel: bool = True,
    seed: int = 0,
    reporter: Reporter = QUIET,
) -> Walked:
    """Return the model with other biases: those that fit its weights once these are rounded to the nearest integers.

    The kernels stay in float; layers without a bias get none.

    Args:
        model: A canonical float model.
        inputs: Calibration samples, preprocessed, float32 (samples, …).
        bits: Of the weights in the file.
        per_channel: Whether each output channel has its own scale there.
        seed: Of the positions that are looked at.
        reporter: Gets a step per layer.
    """

    def choose(site: Site) -> Choice:
        kernel, *bias = site.call.weights
        matrix = grid.to_matrix(site.call.kind, kernel)
        scales = grid.full_scales(matrix, bits=bits, per_channel=per_channel)
        rounded = grid.real(grid.nearest(matrix, scales, bits=bits), scales)
        fixed = [b + bias_shift(site, matrix, rounded, seed=seed) for b in bias]
        return Choice(rounded=[grid.from_matrix(site.call.kind, rounded, kernel.shape), *fixed], kept=[kernel, *fixed])

    return walk(model, inputs, choose, title="correct biases", reporter=reporter)
