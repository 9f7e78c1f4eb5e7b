"""Images for calibration, for checking and for golden vectors."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from edgecv.calibration import select
from edgecv.data import Dataset
from edgecv.runtime.image import preprocess
from edgecv.values.profiles import CalibrationRecipe
from edgecv.values.specs import ModelSpec

Array = np.ndarray[Any, Any]

CHECK_COUNT = 16
GOLDEN_COUNT = 4
GOLDEN_SIDE = 56
_CHECK_RECIPE = CalibrationRecipe(name="check", title="Samples that check a conversion", count=CHECK_COUNT)


def calibration_inputs(
    dataset: Dataset, recipe: CalibrationRecipe, spec: ModelSpec, seed: int
) -> tuple[Iterator[Array], int]:
    """Return the recipe's training images, preprocessed one at a time as float32 with batch 1, and their number."""
    split = dataset.split("train")
    chosen = select(split.strata, recipe, seed, sample=split.image)
    return (preprocess(split.image(int(i)), spec) for i in chosen), len(chosen)


def check_images(dataset: Dataset | None, spec: ModelSpec, seed: int) -> list[Array]:
    """Return images that a conversion is checked on, as `preprocess` takes them.

    From the validation split, else the training split, stratified; without a data set, uniform noise.
    """
    if dataset is None:
        return _noise(spec, seed)
    split = dataset.split("validation" if "validation" in dataset.splits else "train")
    return [split.image(int(i)) for i in select(split.strata, _CHECK_RECIPE, seed)]


def _noise(spec: ModelSpec, seed: int) -> list[Array]:
    rng = np.random.default_rng(seed)
    if spec.preprocessing is None:
        return [rng.standard_normal(spec.input_shape).astype(np.float32) for _ in range(CHECK_COUNT)]
    height, width, channels = spec.input_shape
    shape = (height, width) if channels == 1 else (height, width, 3)
    return [rng.integers(0, 256, shape, dtype=np.uint8) for _ in range(CHECK_COUNT)]


def golden_images(images: list[Array], file_size: int) -> list[Array]:
    """Return up to 4 of the images, shrunk so that they add little to a file.

    Args:
        images: uint8 (H, W) or (H, W, 3), or float32 feature vectors, which are kept whole.
        file_size: Of the model, bytes: the images together take at most 1/64 of it, or 1 KiB if that is more; at
            least one image is kept, its sides halved until it fits.
    """
    budget = max(file_size // 64, 1024)
    shrunk = [_shrink(image, budget) for image in images[:GOLDEN_COUNT]]
    sizes = np.cumsum([image.nbytes for image in shrunk])
    return shrunk[: max(1, int(np.sum(sizes <= budget)))]


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
