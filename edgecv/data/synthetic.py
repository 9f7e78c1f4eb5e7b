"""Made-up samples for a model's contract: they test that a network trains, converts and maps, never how good it is."""

from __future__ import annotations

import numpy as np

from edgecv.data.dataset import Array, Dataset, Split, Target
from edgecv.data.sources import ArrayImages
from edgecv.data.truths import column_of
from edgecv.tasks import registry
from edgecv.values.specs import Head, InputSpec, ModelSpec

WAVES = 4


def synthetic(spec: ModelSpec, *, samples: int = 48, seed: int = 0) -> Dataset:
    """Return a data set that fits a contract: half of the samples train, a quarter each validates and tests.

    Images are sums of random waves, so that neighbouring pixels are alike, as in photographs: on white noise, every
    activation of a network has nearly the same range. Feature vectors are standard normal. Truths are what the heads'
    tasks make up.

    Args:
        spec: Inputs and heads.
        samples: In all splits together, >= 4.
        seed: The same seed gives the same samples.
    """
    rng = np.random.default_rng(seed)
    made = [_images(each, samples, rng) if each.preprocessing else _vectors(each, samples, rng) for each in spec.inputs]
    first, *more = (ArrayImages(values, np.arange(samples)) for values in made)
    targets = tuple(_truths(head, spec, samples, rng) for head in spec.heads)
    whole = Split(name="all", images=first, targets=targets, more_inputs=tuple(more))
    half, quarter = samples // 2, samples // 4
    bounds = {"train": (0, half), "validation": (half, half + quarter), "test": (half + quarter, samples)}
    splits = {name: whole.take(np.arange(*bound), name) for name, bound in bounds.items()}
    return Dataset(name="synthetic", uri="synthetic", targets=tuple(map(_target, spec.heads)), splits=splits)


def _target(head: Head) -> Target:
    task = registry.task(head.task)
    kinds = task.reads or (head.task,)
    known = {key: value for key, value in head.settings.items() if key in task.truth_settings}
    return Target(name=head.name, task=kinds[0], labels=head.labels, settings=known)


def _truths(head: Head, spec: ModelSpec, samples: int, rng: np.random.Generator) -> object:
    task = registry.task(head.task)
    return column_of([task.synthetic(rng, head, spec.input_shape[:2]) for _ in range(samples)])


def _images(spec: InputSpec, samples: int, rng: np.random.Generator) -> Array:
    height, width, channels = spec.shape
    y, x = np.linspace(0, 1, height)[:, None], np.linspace(0, 1, width)[None, :]
    waves = np.zeros((samples, channels, height, width), np.float32)
    for _ in range(WAVES):
        fy, fx, phase, size = rng.uniform((0.5, 0.5, 0, 0.2), (8, 8, 1, 1), (samples, channels, 4)).transpose(2, 0, 1)
        angle = fy[..., None, None] * y + fx[..., None, None] * x + phase[..., None, None]
        waves += (size[..., None, None] * np.sin(2 * np.pi * angle)).astype(np.float32)
    low, high = waves.min(axis=(1, 2, 3), keepdims=True), waves.max(axis=(1, 2, 3), keepdims=True)
    pixels: Array = np.round(255 * (waves - low) / (high - low)).astype(np.uint8).transpose(0, 2, 3, 1)
    return pixels[..., 0] if channels == 1 else pixels


def _vectors(spec: InputSpec, samples: int, rng: np.random.Generator) -> Array:
    return rng.standard_normal((samples, *spec.shape)).astype(np.float32)
