"""Ranges that clip: from a histogram to (min, max)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from edgecv.calibration.histogram import BINS, StreamingHistogram

Array = np.ndarray[Any, Any]
Range = tuple[float, float]

LEVELS = 256
_MSE_STEPS = 64
_KL_STEPS = 128


def percentile_range(histogram: StreamingHistogram, percentile: float) -> Range:
    """Return the values below which `100 - percentile` and `percentile` per cent of what was seen lie.

    Args:
        histogram: At least one value.
        percentile: 50..100. 100 is the full range.

    Returns:
        (min, max), each within one bin width of the two samples that its percentile lies between.

    Source: Hyndman & Fan 1996, "Sample Quantiles in Statistical Packages", definition 4 on binned counts.
    """
    return _quantile(histogram, 1 - percentile / 100), _quantile(histogram, percentile / 100)


def _quantile(histogram: StreamingHistogram, share: float) -> float:
    cumulative = np.cumsum(histogram.counts)
    wanted = share * cumulative[-1]
    index = int(np.searchsorted(cumulative, max(wanted, 1), side="left"))
    inside = (wanted - (cumulative[index] - histogram.counts[index])) / histogram.counts[index]
    value = float((index - BINS + min(max(inside, 0.0), 1.0)) * histogram.width)
    return min(max(value, histogram.low), histogram.high)


def squared_error(centers: Array, counts: Array, low: float, high: float) -> float:
    """Return the sum of squared differences between values and their 8-bit image.

    Args:
        centers: Values, (n,).
        counts: How often each occurs, (n,).
        low: Smallest representable value, <= 0.
        high: Largest representable value, >= 0.

    Source: affine quantisation of Jacob et al. 2018 (arXiv 1712.05877), equation 1: q = round(r / S) + Z, clipped.
    """
    scale = (high - low) / (LEVELS - 1)
    if scale <= 0:
        return float(np.sum(counts * centers**2))
    zero_point = round(-low / scale)
    stored = np.clip(np.round(centers / scale) + zero_point, 0, LEVELS - 1)
    return float(np.sum(counts * (centers - (stored - zero_point) * scale) ** 2))


def mse_range(histogram: StreamingHistogram) -> Range:
    """Return the range, within what was seen and around zero, with the least squared 8-bit quantisation error.

    A grid search: both ends shrunk together, then each alone around the best.

    Source: Banner et al. 2019, "Post training 4-bit quantization of convolutional networks" (arXiv 1810.05723),
    section 3: the clipping that minimises the mean squared error; here on the histogram instead of a fitted density.
    """
    full_low, full_high = min(histogram.low, 0.0), max(histogram.high, 0.0)
    used = histogram.counts > 0
    centers, counts = histogram.centers[used], histogram.counts[used]
    shares = [1 - step / _MSE_STEPS for step in range(_MSE_STEPS)]

    def best(candidates: list[Range]) -> Range:
        return min(candidates, key=lambda r: squared_error(centers, counts, *r))

    low, high = best([(full_low * share, full_high * share) for share in shares])
    low, _ = best([(full_low * share, high) for share in shares] + [(low, high)])
    return best([(low, full_high * share) for share in shares] + [(low, high)])


def entropy_range(histogram: StreamingHistogram) -> Range:
    """Return the clipped range whose 8-bit distribution loses the least information about the values.

    Thresholds from 256 bins to all bins of the longer side are tried. The reference is the histogram inside the
    threshold with what lies outside added to its edge bins; the candidate is the part inside, merged into as many
    levels as an 8-bit tensor spends there (256 over one side, 256 over both when values have both signs), spread
    back over the bins that are not empty. The threshold with the least KL divergence wins. The bin from zero on counts
    no more than its neighbour: the exact zeros that ReLU makes cost nothing at any threshold, and would drown the rest.

    Source: Migacz 2017, "8-bit Inference with TensorRT", GTC, pages 21-27; the zero bin as in NVIDIA's
    pytorch-quantization, calib/histogram.py.
    """
    counts = histogram.counts.copy()
    counts[BINS] = min(counts[BINS], counts[BINS + 1])
    negative, positive = histogram.low < 0, histogram.high > 0
    longest = max(math.ceil(histogram.high / histogram.width), math.ceil(-histogram.low / histogram.width))
    smallest = LEVELS if negative != positive else LEVELS // 2
    if longest <= smallest:
        return min(histogram.low, 0.0), max(histogram.high, 0.0)
    thresholds = np.unique(np.linspace(smallest, min(longest, BINS), _KL_STEPS).astype(int))
    below = [BINS - t if negative else BINS for t in thresholds]
    above = [BINS + t if positive else BINS for t in thresholds]
    losses = [clipping_loss(counts, a, b, LEVELS) for a, b in zip(below, above, strict=True)]
    limit = float(thresholds[int(np.argmin(losses))] * histogram.width)
    return max(min(histogram.low, 0.0), -limit), min(max(histogram.high, 0.0), limit)


def clipping_loss(counts: Array, start: int, stop: int, levels: int) -> float:
    """Return the KL divergence, in nats, of a clipped and quantised histogram from the one it stands for.

    Args:
        counts: Of the full histogram, (n,).
        start: First bin kept.
        stop: One past the last bin kept.
        levels: Quantisation levels over the bins kept; at most stop - start.
    """
    kept = counts[start:stop].astype(np.float64)
    reference = kept.copy()
    reference[0] += counts[:start].sum()
    reference[-1] += counts[stop:].sum()
    level = np.arange(stop - start) * levels // (stop - start)
    occupied = kept > 0
    mass = np.bincount(level, weights=kept, minlength=levels)
    bins = np.bincount(level, weights=occupied, minlength=levels)
    candidate = np.where(occupied, mass[level] / np.maximum(bins[level], 1), 0.0)
    return kl_divergence(reference, candidate)


def kl_divergence(reference: Array, candidate: Array) -> float:
    """Return sum p log(p / q) in nats of two histograms, each scaled to sum 1.

    A bin that the reference fills and the candidate does not counts with q = 1e-9 instead of infinity, so thresholds
    stay comparable.

    Source: Kullback & Leibler 1951, "On Information and Sufficiency".
    """
    if reference.sum() == 0 or candidate.sum() == 0:
        return math.inf
    p, q = reference / reference.sum(), candidate / candidate.sum()
    filled = p > 0
    return float(np.sum(p[filled] * np.log(p[filled] / np.maximum(q[filled], 1e-9))))
