"""A tiny detector of two stages, whose answers can be told: it finds bright squares."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgecv.data import Dataset, Split, Target
from edgecv.data.sources import ArrayImages
from edgecv.data.truths import column_of
from edgecv.modelio import LoadedModel, env, load_keras, manifest_for, save_keras
from edgecv.tasks.boxes import Objects
from edgecv.values.specs import Head, InputSpec, ModelSpec, Preprocessing

SIDE, COUNT, CHANNELS = 3, 6, 4
LABELS = ("red", "green")
IMAGE = InputSpec("image", (32, 32, 3), Preprocessing("rgb", mean=(0.0,) * 3, std=(255.0,) * 3))
OBJECTS = Head(
    "objects", "detection", "logits", LABELS, ("features", "boxes", "scores"),
    {"decoder": "regions", "regions": COUNT, "strides": [4.0], "score": 0.3},
)  # fmt: skip
FINDER = Head(
    "proposals", "detection", "logits", ("object",), ("rpn_boxes", "rpn_scores"),
    {"decoder": "rpn", "anchors": [[[8.0, 8.0]]], "strides": [4.0], "variances": [1.0, 1.0], "score": 0.0, "iou": 0.3,
     "most": COUNT},
)  # fmt: skip


def network(*, proposals: bool = True, known: bool = True) -> tuple[Any, ModelSpec]:
    """Features are the colours' means of 4x4 pixels; anchors score by brightness; regions by red against green.

    Not `known`: with random weights, to be trained.
    """
    layers, keras = env.keras().layers, env.keras()
    image, regions = keras.Input((32, 32, 3), name="image"), keras.Input((COUNT * SIDE, SIDE, CHANNELS), name="regions")
    mixed = layers.Conv2D(CHANNELS, 1, name="mix")(layers.AveragePooling2D(4, name="pool")(image))
    features = layers.Activation("linear", name="features")(mixed)
    outputs = [features]
    pooled = layers.AveragePooling2D(SIDE, name="region_pool")(regions)
    outputs += [layers.Conv2D(4, 1, name="boxes")(pooled), layers.Conv2D(3, 1, name="scores")(pooled)]
    if proposals:
        outputs += [layers.Conv2D(4, 1, name="rpn_boxes")(features), layers.Conv2D(2, 1, name="rpn_scores")(features)]
    model = keras.Model([image, regions], outputs, name="two_stages")
    if known:
        _set(model, proposals)
    inputs = (IMAGE, InputSpec("regions", (COUNT * SIDE, SIDE, CHANNELS)))
    return model, ModelSpec("two_stages", inputs, (OBJECTS, FINDER) if proposals else (OBJECTS,))


def _set(model: Any, proposals: bool) -> None:
    mix = np.zeros((1, 1, 3, CHANNELS), np.float32)
    mix[0, 0, range(3), range(3)] = 1.0
    mix[0, 0, :, 3] = 1.0
    model.get_layer("mix").set_weights([mix, np.zeros(CHANNELS, np.float32)])
    scores = np.zeros((1, 1, CHANNELS, 3), np.float32)
    scores[0, 0, 0], scores[0, 0, 1] = (0, 8, -8), (0, -8, 8)
    model.get_layer("scores").set_weights([scores, np.array([3, 0, 0], np.float32)])
    # Little noise in place of zeros, whose int8 scale would be none.
    noise = np.random.default_rng(0)
    for name in ("boxes", *(["rpn_boxes"] if proposals else [])):
        kernel, bias = model.get_layer(name).get_weights()
        model.get_layer(name).set_weights([noise.normal(0, 0.01, kernel.shape), bias])
    if proposals:
        score = np.zeros((1, 1, CHANNELS, 2), np.float32)
        score[0, 0, 3] = (-4, 4)
        model.get_layer("rpn_scores").set_weights([score, np.array([3, -3], np.float32)])


def squares(rng: np.random.Generator) -> np.ndarray[Any, Any]:
    """An image with a red square of 8 pixels in its left half, and a green one in its right half."""
    image = rng.integers(0, 20, (32, 32, 3), dtype=np.uint8)
    for channel, left in ((0, 2), (1, 18)):
        top, aside = 2 + 4 * int(rng.integers(0, 5)), left + 4 * int(rng.integers(0, 2))
        image[top : top + 8, aside : aside + 8, channel] = 250
    return image


def loaded(folder: Any, *, proposals: bool = True) -> LoadedModel:
    model, spec = network(proposals=proposals)
    path = save_keras(model, folder / "two.keras", manifest_for(spec, recipe={"step": "test"}), force=True)
    return load_keras(path)


def data(samples: int = 24) -> Dataset:
    """Half of the samples train, a quarter each validates and tests."""
    rng = np.random.default_rng(0)
    images = np.stack([squares(rng) for _ in range(samples)])
    truths = [boxes_of(image) for image in images]
    target = Target(name="objects", task="detection", labels=LABELS)
    half, quarter = samples // 2, samples // 4
    spans = {"train": (0, half), "validation": (half, half + quarter), "test": (half + quarter, samples)}
    splits = {
        name: Split(name=name, images=ArrayImages(images, np.arange(*span)), targets=(column_of(truths[slice(*span)]),))
        for name, span in spans.items()
    }
    return Dataset(name="squares", uri="squares", targets=(target,), splits=splits)


def boxes_of(image: np.ndarray[Any, Any]) -> Objects:
    found = []
    for channel in (0, 1):
        rows, columns = np.nonzero(image[..., channel] > 200)
        found.append([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
    return Objects(np.array(found, np.float32), np.arange(2))
