"""Made-up samples for a model's contract: they test that a network trains, converts and maps, never how good it is."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgecv.data.dataset import Dataset, Split, Target
from edgecv.data.sources import ArrayImages
from edgecv.values.specs import Head, ModelSpec

Array = np.ndarray[Any, Any]
WAVES = 4


def synthetic(spec: ModelSpec, *, samples: int = 48, seed: int = 0) -> Dataset:
    """Return a data set that fits a contract: half of the samples train, a quarter each validates and tests.

    Images are sums of random waves, so that neighbouring pixels are alike, as in photographs: on white noise, every
    activation of a network has nearly the same range. Feature vectors are standard normal. Targets are random.

    Args:
        spec: Input shape, colours and heads.
        samples: In all splits together, >= 4.
        seed: The same seed gives the same samples.
    """
    rng = np.random.default_rng(seed)
    inputs = _images(spec, samples, rng) if spec.preprocessing else _vectors(spec, samples, rng)
    targets = tuple(_target(head, samples, rng) for head in spec.heads)
    half, quarter = samples // 2, samples // 4
    bounds = {"train": (0, half), "validation": (half, half + quarter), "test": (half + quarter, samples)}
    splits = {
        name: Split(name=name, images=ArrayImages(inputs, np.arange(*bound)), targets=_part(targets, *bound))
        for name, bound in bounds.items()
    }
    known = tuple(Target(name=head.name, task=_task(head), labels=head.labels) for head in spec.heads)
    return Dataset(name="synthetic", uri="synthetic", targets=known, splits=splits)


def _part(targets: tuple[Array, ...], start: int, end: int) -> tuple[Array, ...]:
    return tuple(target[start:end] for target in targets)


def _task(head: Head) -> Any:
    return head.task if head.task in ("multilabel", "regression") else "classification"


def _images(spec: ModelSpec, samples: int, rng: np.random.Generator) -> Array:
    height, width, channels = spec.input_shape
    y, x = np.linspace(0, 1, height)[:, None], np.linspace(0, 1, width)[None, :]
    waves = np.zeros((samples, channels, height, width), np.float32)
    for _ in range(WAVES):
        fy, fx, phase, size = rng.uniform((0.5, 0.5, 0, 0.2), (8, 8, 1, 1), (samples, channels, 4)).transpose(2, 0, 1)
        angle = fy[..., None, None] * y + fx[..., None, None] * x + phase[..., None, None]
        waves += (size[..., None, None] * np.sin(2 * np.pi * angle)).astype(np.float32)
    low, high = waves.min(axis=(1, 2, 3), keepdims=True), waves.max(axis=(1, 2, 3), keepdims=True)
    pixels: Array = np.round(255 * (waves - low) / (high - low)).astype(np.uint8).transpose(0, 2, 3, 1)
    return pixels[..., 0] if channels == 1 else pixels


def _vectors(spec: ModelSpec, samples: int, rng: np.random.Generator) -> Array:
    return rng.standard_normal((samples, *spec.input_shape)).astype(np.float32)


def _target(head: Head, samples: int, rng: np.random.Generator) -> Array:
    units = len(head.labels)
    if head.task == "regression":
        return rng.standard_normal((samples, units)).astype(np.float32)
    if head.task == "multilabel":
        return rng.integers(0, 2, (samples, units)).astype(np.float32)
    return rng.integers(0, units, samples).astype(np.int64)
