"""Images for calibration, for checking and for golden vectors."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from edgecv.calibration import select
from edgecv.data import Dataset, Split, fitted
from edgecv.runtime.image import preprocess_sample
from edgecv.values.binding import bind_inputs, in_order
from edgecv.values.profiles import CalibrationRecipe
from edgecv.values.specs import InputSpec, ModelSpec

Array = np.ndarray[Any, Any]

CHECK_COUNT = 16
GOLDEN_COUNT = 4
GOLDEN_BYTES = 16 * 1024
GOLDEN_SIDE = 56
GOLDEN_LARGEST = 256 * 1024
"""Bytes of a sample of numbers, which is kept whole: of larger ones, none is."""
_CHECK_RECIPE = CalibrationRecipe(name="check", title="Samples that check a conversion", count=CHECK_COUNT)


def calibration_inputs(
    dataset: Dataset, recipe: CalibrationRecipe, spec: ModelSpec, seed: int
) -> tuple[Iterator[list[Array]], int]:
    """Return the recipe's training samples one at a time, a float32 tensor with batch 1 per input, and their number."""
    split = fitted(dataset, spec).split("train")
    chosen = select(split.strata, recipe, seed, sample=split.image)
    return (preprocess_sample(split.sample(int(i)), spec) for i in chosen), len(chosen)


def file_inputs(split: Split, spec: ModelSpec, names: Sequence[str]) -> Iterator[list[Array]]:
    """Yield each sample's input tensors, float32 with batch 1, in the order of a model whose inputs have `names`."""
    places = bind_inputs(spec, names, spec.name)
    return (in_order(preprocess_sample(split.sample(i), spec), places) for i in range(len(split)))


def check_samples(dataset: Dataset | None, spec: ModelSpec, seed: int) -> list[tuple[Array, ...]]:
    """Return samples that a conversion is checked on, as `preprocess_sample` takes them.

    From the validation split, else the training split, stratified; without a data set, uniform noise.
    """
    if dataset is None:
        return _noise(spec, seed)
    whole = fitted(dataset, spec)
    split = whole.split("validation" if "validation" in whole.splits else "train")
    return [split.sample(int(i)) for i in select(split.strata, _CHECK_RECIPE, seed)]


def _noise(spec: ModelSpec, seed: int) -> list[tuple[Array, ...]]:
    rng = np.random.default_rng(seed)
    return [tuple(_noisy(only, rng) for only in spec.inputs) for _ in range(CHECK_COUNT)]


def _noisy(only: InputSpec, rng: np.random.Generator) -> Array:
    if only.preprocessing is None:
        return rng.standard_normal(only.shape).astype(np.float32)
    height, width, channels = only.shape
    return rng.integers(0, 256, (height, width) if channels == 1 else (height, width, 3), dtype=np.uint8)


def golden_samples(samples: list[tuple[Array, ...]], file_size: int) -> list[tuple[Array, ...]]:
    """Return up to 4 of the samples, shrunk so that they add little to a file.

    Args:
        samples: Per input, uint8 (H, W) or (H, W, 3), or float32 feature vectors, which are kept whole.
        file_size: Of the model, bytes: the samples together take at most 1/64 of it, but 1 KiB at least and 16 KiB at
            most; at least one is kept, its sides halved until it fits. None of numbers that are too many by far.
    """
    budget = min(max(file_size // 64, 1024), GOLDEN_BYTES)
    shrunk = [tuple(_shrink(image, budget // len(sample)) for image in sample) for sample in samples[:GOLDEN_COUNT]]
    sizes = np.cumsum([sum(image.nbytes for image in sample) for sample in shrunk])
    least = 1 if len(sizes) and sizes[0] <= GOLDEN_LARGEST else 0
    return shrunk[: max(least, int(np.sum(sizes <= budget)))]


def _shrink(image: Array, budget: int) -> Array:
    if image.dtype != np.uint8:
        return image
    factor = math.ceil(max(image.shape[:2]) / GOLDEN_SIDE)
    small = _average(image, factor)
    while small.nbytes > budget and min(small.shape[:2]) > 1:
        factor *= 2
        small = _average(image, min(factor, *image.shape[:2]))
    return small


def _average(image: Array, factor: int) -> Array:
    """Mean over blocks of factor x factor pixels, rounded; what does not fill a block is cut off."""
    if factor == 1:
        return image
    rows, columns = image.shape[0] // factor, image.shape[1] // factor
    blocks = image[: rows * factor, : columns * factor].reshape(rows, factor, columns, factor, *image.shape[2:])
    means: Array = np.round(blocks.mean(axis=(1, 3)))
    return means.astype(np.uint8)
