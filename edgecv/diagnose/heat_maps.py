"""Where in the image an answer comes from: by hiding parts of it, by gradients, or by how much a layer answers there.

Sources: Zeiler, Fergus 2014, "Visualizing and Understanding Convolutional Networks", section 4.2 (occlusion); Selvaraju
et al. 2017, "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization", equations 1 and 2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from edgecv.compress.layer_graph import build, flattened, read
from edgecv.core.progress import QUIET, Reporter
from edgecv.diagnose.layer_outputs import Array
from edgecv.modelio import env

PARTS = 7
"""Sides of the hidden square go into those of the image so often; it moves by half of its side."""


def occlusion(score: Callable[[Array], Array], image: Array, *, batch: int = 1, reporter: Reporter = QUIET) -> Array:
    """Return by how much a score falls when the surroundings of each pixel are hidden, float64 (H, W).

    Args:
        score: From images (n, H, W, C) to the score of each, (n,).
        image: The network's input, float32 (1, H, W, C). What is hidden gets its mean colour.
        batch: Images that `score` takes at once.
        reporter: Takes progress.
    """
    height, width = image.shape[1:3]
    fill = image.mean(axis=(0, 1, 2))
    whole = float(score(image)[0])
    places = [(rows, columns) for rows in _spans(height) for columns in _spans(width)]
    total, count = np.zeros((height, width)), np.zeros((height, width))
    with reporter.bar("hide parts of the image", len(places)) as advance:
        for first in range(0, len(places), batch):
            part = places[first : first + batch]
            hidden = np.repeat(image, len(part), axis=0)
            for one, (rows, columns) in zip(hidden, part, strict=True):
                one[rows, columns] = fill
            for (rows, columns), found in zip(part, score(hidden), strict=True):
                total[rows, columns] += whole - float(found)
                count[rows, columns] += 1
            advance(len(part))
    return np.asarray(total / count)


def _spans(size: int) -> list[slice]:
    side = max(1, round(size / PARTS))
    starts = range(0, max(1, size - side + 1), max(1, side // 2))
    # The last one ends with the image, so that every pixel is hidden at least once.
    return [slice(start, start + side) for start in sorted({*starts, max(0, size - side)})]


def grad_cam(
    model: Any, sample: list[Array], output: int, unit: int, *, against: bool = False
) -> tuple[Array, str] | None:
    """Return the class activation map of a unit by gradients, float64 (h, w) of 0 and more, and the layer it is of.

    Args:
        model: Keras, of logits where the unit is a class.
        sample: A float32 tensor with batch 1 for each input, in the model's order.
        output: Place of the unit's output among the model's.
        unit: In that output, (1, units).
        against: Show what lowers the unit, not what raises it.

    Returns:
        None where no layer has maps, or the unit does not hang on them.
    """
    tf = env.tensorflow()
    graph = read(flattened(model))
    maps = [one for one in graph.calls if len(one.shape) == 3 and None not in one.shape and min(one.shape[:2]) > 1]
    # Dropout hands maps on as they are, and tells nobody which layer they are of.
    maps = [one for one in maps if "Dropout" not in one.kind] or maps
    if not maps:
        return None
    last = maps[-1]
    looking = build(replace(graph, outputs=[last.output, graph.outputs[output]]))
    tensors = [tf.constant(tensor) for tensor in sample]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        found, answers = looking(tensors if len(tensors) > 1 else tensors[0], training=False)
        chosen = tf.reshape(answers, (-1,))[unit]
    gradient = tape.gradient(chosen, found)
    if gradient is None:
        return None
    weights = np.asarray(gradient)[0].mean(axis=(0, 1)) * (-1 if against else 1)
    return np.maximum(np.asarray(found)[0].astype(np.float64) @ weights.astype(np.float64), 0.0), last.name


def energy(maps: Array) -> Array:
    """Return how much a layer answers at each place: the mean magnitude of its channels, float64 (h, w)."""
    return np.asarray(np.abs(maps).mean(axis=-1), np.float64)
