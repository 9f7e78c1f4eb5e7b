"""A tiny network for each form of a head: a convolution, and what the head needs behind it. A new task adds a row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgecv.modelio import env
from edgecv.modelio.layers import EuclideanDistance
from edgecv.values.specs import Head, InputSpec, ModelSpec, Preprocessing

SHAPE = (16, 16, 1)
ABC = ("a", "b", "c")


def _dense(units: int, activation: str | None = None) -> Callable[[Any, tuple[str, ...]], list[Any]]:
    """The only output: a dense layer on the maps."""

    def build(maps: Any, outputs: tuple[str, ...]) -> list[Any]:
        layers = env.keras().layers
        return [layers.Dense(units, activation=activation, name=outputs[0])(layers.Flatten()(maps))]

    return build


def _class_and_box(maps: Any, outputs: tuple[str, ...]) -> list[Any]:
    return [*_dense(3, "softmax")(maps, outputs[:1]), *_dense(4, "sigmoid")(maps, outputs[1:])]


def _classes_of_pixels(maps: Any, outputs: tuple[str, ...]) -> list[Any]:
    return [env.keras().layers.Conv2D(3, 1, activation="softmax", name=outputs[0])(maps)]


def _two_maps(maps: Any, outputs: tuple[str, ...]) -> list[Any]:
    return [env.keras().layers.Conv2D(2, 1, name=outputs[0])(maps)]


def _boxes_and_scores(maps: Any, outputs: tuple[str, ...]) -> list[Any]:
    layers = env.keras().layers
    pairs = zip(outputs, (8, 8), strict=True)
    return [layers.Conv2D(units, 3, strides=2, padding="same", name=name)(maps) for name, units in pairs]


def _picture(maps: Any, outputs: tuple[str, ...]) -> list[Any]:
    layers = env.keras().layers
    return [layers.Conv2D(3, 3, padding="same", name=outputs[0])(layers.UpSampling2D(2, name="enlarged")(maps))]


ANCHORS = {"decoder": "yolo_v3", "anchors": [[[4.0, 4.0], [8.0, 8.0]]], "strides": [4.0]}

ROWS: dict[str, tuple[Head, Callable[[Any, tuple[str, ...]], list[Any]]]] = {
    "classification": (Head("kind", "classification", "probabilities", ABC), _dense(3, "softmax")),
    "two classes, one probability": (
        Head("kind", "classification", "probabilities", ("a", "b"), settings={"threshold": 0.4}),
        _dense(1, "sigmoid"),
    ),
    "two classes, one logit": (Head("kind", "classification", "logits", ("a", "b")), _dense(1)),
    "multilabel": (Head("marks", "multilabel", "probabilities", ABC), _dense(3, "sigmoid")),
    "regression": (Head("values", "regression", "linear", ("u", "v")), _dense(2)),
    "localisation": (Head("object", "localisation", "probabilities", ABC, ("class", "box")), _class_and_box),
    "detection": (Head("things", "detection", "logits", ABC, ("boxes", "scores"), ANCHORS), _boxes_and_scores),
    "segmentation": (Head("mask", "segmentation", "probabilities", ABC), _classes_of_pixels),
    "response": (Head("edges", "response", "linear", ("x", "y"), settings={"window": [3, 3], "stride": 2}), _two_maps),
    "embedding": (Head("vector", "embedding", "linear"), _dense(4)),
    "verification": (Head("distance", "verification", "distances"), _dense(4)),
    "imaging": (Head("picture", "imaging", "linear"), _picture),
    "count": (Head("blobs", "count", "linear", settings={"most": 5}), _dense(1)),
}


def network(row: str, compared: int) -> tuple[Any, ModelSpec]:
    """Return the network of a row with its contract; one that compares samples has a tower for each, of one weights."""
    keras = env.keras()
    keras.utils.set_random_seed(1)
    head, build = ROWS[row]
    names = ("image",) if compared == 1 else tuple(f"image_{i}" for i in range(compared))
    images = [keras.Input(SHAPE, name=name) for name in names]
    first = keras.Input(SHAPE)
    maps = keras.layers.Conv2D(4, 3, strides=2, padding="same", activation="relu", name="maps")(first)
    tower = keras.Model(first, build(maps, head.outputs if compared == 1 else ("tower",)), name="tower")
    spec = ModelSpec(
        name=f"tiny_{head.task}",
        inputs=tuple(InputSpec(name, SHAPE, Preprocessing("gray")) for name in names),
        heads=(head,),
    )
    if compared == 1:
        return keras.Model(first, tower.outputs, name=spec.name), spec
    vectors = [tower(image) for image in images]
    return keras.Model(images, EuclideanDistance(name=head.outputs[0])(vectors), name=spec.name), spec
