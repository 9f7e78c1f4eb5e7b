"""What a layer's rounding costs, as a quadratic function of its kernel: second moments of what comes to it.

For a layer y = W x + b whose rounded twin gets x' in place of x, the mean squared error of W' x' + b' with the best
bias b' is, but for a constant, tr(W' H W'^T) - 2 tr(B W'^T), where H = cov(x', x') and B = W cov(x, x'). It costs the
same however many samples there were, and every output channel stands for itself.

Source: Nagel et al. 2020, "Up or Down? Adaptive Rounding for Post-Training Quantization", equations 13 and 21 (the
task loss as a sum of local quadratic problems; inputs of the rounded network against outputs of the float one).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgecv.compress.layer_graph import Call
from edgecv.compress.side_by_side import Site
from edgecv.compress.weight_grid import Array

MAX_ROWS = 8192
CHUNK = 8
DAMPING = 0.01
"""Share of the mean variance that is added to each input's, at least: few samples leave directions in which any
rounding looks free. Source: Frantar et al. 2022, "GPTQ", section 3.3, the same share for the same reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quadratic:
    """The error of a kernel at one layer.

    H is held as its factor where that is smaller: a dense layer of many inputs and few samples.

    Attributes:
        factor: (groups, rows, inputs), float32, with H = factor^T factor + damping; else H itself without damping.
        is_factor: Which of the two.
        damping: (groups, 1, 1), on H's diagonal.
        b: (groups, inputs, outputs), float32.
        mean_expected: Of the float model's inputs, (groups, 1, inputs).
        mean_given: Of the rounded model's.
    """

    factor: Array
    is_factor: bool
    damping: Array
    b: Array
    mean_expected: Array
    mean_given: Array

    def apply(self, matrix: Array) -> Array:
        """Return H times a matrix (groups, inputs, columns)."""
        inner = np.matmul(self.factor, matrix)
        product = np.matmul(self.factor.transpose(0, 2, 1), inner) if self.is_factor else inner
        found: Array = product + self.damping * matrix
        return found

    def column(self, index: int) -> Array:
        """Return a column of H, (groups, inputs, 1)."""
        unit = np.zeros((len(self.b), self.b.shape[1], 1), np.float32)
        unit[:, index] = 1
        return self.apply(unit) if self.is_factor else self.factor[:, :, index : index + 1] + self.damping * unit

    def gradient(self, matrix: Array) -> Array:
        """Return half the derivative of the error with respect to a kernel matrix."""
        half: Array = self.apply(matrix) - self.b
        return half

    def errors(self, matrix: Array) -> Array:
        """Return the error of every output channel, (groups, 1, outputs), float64, up to a constant per channel."""
        inner = self.apply(matrix) - 2 * self.b
        found: Array = np.sum(matrix.astype(np.float64) * inner, axis=1, keepdims=True)
        return found

    def bias_shift(self, float_matrix: Array, rounded: Array) -> Array:
        """Return what to add to the bias so that the mean output is the float model's, (groups * outputs,)."""
        return _shift(self.mean_expected, float_matrix, self.mean_given, rounded)


def bias_shift(site: Site, float_matrix: Array, rounded: Array, *, seed: int = 0) -> Array:
    """Return `Quadratic.bias_shift` of a layer, without the rest of its error function, which costs far more."""
    expected, given = (rows.mean(axis=1, keepdims=True) for rows in _rows(site.call, (site.expected, site.given), seed))
    return _shift(expected, float_matrix, given, rounded)


def _shift(expected: Array, float_matrix: Array, given: Array, rounded: Array) -> Array:
    shift = np.matmul(expected, float_matrix) - np.matmul(given, rounded)
    return np.asarray(shift.reshape(-1), np.float32)


def quadratic(site: Site, matrix: Array, *, seed: int = 0) -> Quadratic:
    """Return the error function of a layer.

    Args:
        site: The layer and its inputs.
        matrix: Its float kernel as (groups, inputs, outputs).
        seed: Of the choice of at most 8192 places among all samples and positions.
    """
    expected, given = _rows(site.call, (site.expected, site.given), seed)
    mean_expected, mean_given = expected.mean(axis=1, keepdims=True), given.mean(axis=1, keepdims=True)
    expected, given = expected - mean_expected, given - mean_given
    groups, rows, size = given.shape
    scaled = given / np.float32(np.sqrt(rows))
    transposed = scaled.transpose(0, 2, 1)
    outputs = np.matmul(expected, matrix) / np.float32(np.sqrt(rows))
    damping = shrinkage(size, len(site.given), rows) * np.mean(np.square(scaled).sum(axis=1), axis=1) + 1e-12
    damping = damping.astype(np.float32).reshape(groups, 1, 1)
    is_factor = rows < size
    return Quadratic(
        factor=scaled if is_factor else np.matmul(transposed, scaled),
        is_factor=is_factor,
        damping=damping,
        b=np.matmul(transposed, outputs) + damping * matrix,
        mean_expected=mean_expected,
        mean_given=mean_given,
    )


def shrinkage(size: int, samples: int, rows: int) -> float:
    """Return the share of the mean variance that goes to each input: inputs per independent row, `DAMPING` at least.

    The fewer rows there are for each input, the less the moments say beyond them (Ledoit and Wolf 2004, "A
    well-conditioned estimator for large-dimensional covariance matrices"). Places of one image are alike: they count as
    their square root. Measured on 4 bits of an EfficientNet-Lite0 from 100 images, by the error on others, beside the
    least share: 0.57 in the classifier (1280 inputs), 0.85 and 0.985 in 1x1 convolutions of 1152 and 192 inputs on 7x7
    places; three times the share, or a third of it, is within a few per cent of that.

    Args:
        size: Inputs of an output.
        samples: Images; `rows` places of all of them together.
    """
    return max(DAMPING, size / math.sqrt(samples * rows))


def _rows(call: Call, inputs: tuple[Array, Array], seed: int) -> list[Array]:
    """Return the inputs as (groups, rows, inputs per output), the same places of both."""
    if call.kind == "Dense":
        flat = [np.asarray(x, np.float32).reshape(-1, x.shape[-1]) for x in inputs]
        kept = _kept(len(flat[0]), MAX_ROWS, np.random.default_rng(seed))
        return [x[kept][None] for x in flat]
    count, (height, width) = len(inputs[0]), _output_size(call, inputs[0].shape[1:3])
    share = max(1, MAX_ROWS * min(CHUNK, count) // count)
    parts: list[list[Array]] = [[], []]
    for start in range(0, count, CHUNK):
        chunk = min(CHUNK, count - start)
        # A fresh generator of one seed for each chunk: both networks, and every run, keep the same places.
        kept = _kept(chunk * height * width, share, np.random.default_rng((seed, start)))
        places = np.unravel_index(kept, (chunk, height, width))
        for part, x in zip(parts, inputs, strict=True):
            part.append(_patches(call, x[start : start + chunk], places))
    return [_grouped(call, np.concatenate(part), inputs[0].shape[-1]) for part in parts]


def _kept(count: int, most: int, rng: np.random.Generator) -> Array:
    return np.arange(count) if count <= most else np.sort(rng.choice(count, most, replace=False))


def _output_size(call: Call, size: tuple[int, ...]) -> tuple[int, ...]:
    """Return height and width of a convolution's output."""
    config = call.layer.get_config()
    same = config["padding"] == "same"
    return tuple(
        -(-(length if same else length - (kernel - 1) * rate) // stride)
        for length, kernel, stride, rate in zip(
            size, config["kernel_size"], config["strides"], config["dilation_rate"], strict=True
        )
    )


def _patches(call: Call, x: Array, places: tuple[Array, ...]) -> Array:
    """Return what a convolution's kernel sees at some places of its output, (places, height * width * channels).

    Args:
        call: The convolution.
        x: Its input, (samples, height, width, channels).
        places: Sample, row and column of each place, integers (places,) each.
    """
    config: dict[str, Any] = call.layer.get_config()
    sizes, strides, rates = (config[name] for name in ("kernel_size", "strides", "dilation_rate"))
    sample, *where = places
    offsets, inside = [], []
    for axis, (at, kernel, stride, rate) in enumerate(zip(where, sizes, strides, rates, strict=True)):
        length, reach = x.shape[1 + axis], (kernel - 1) * rate + 1
        total = max((-(-length // stride) - 1) * stride + reach - length, 0) if config["padding"] == "same" else 0
        seen = at[:, None] * stride - total // 2 + np.arange(kernel) * rate
        inside.append((seen >= 0) & (seen < length))
        offsets.append(np.clip(seen, 0, length - 1))
    patches = x[sample[:, None, None], offsets[0][:, :, None], offsets[1][:, None, :]]
    patches = np.where((inside[0][:, :, None] & inside[1][:, None, :])[..., None], patches, np.float32(0))
    return patches.reshape(len(sample), -1)


def _grouped(call: Call, rows: Array, channels: int) -> Array:
    if call.kind != "DepthwiseConv2D":
        return rows[None]
    return np.ascontiguousarray(np.moveaxis(rows.reshape(len(rows), -1, channels), 2, 0))
