"""Models whose layers tfmot wrapped for pruning or fake quantisation: what Keras' own file format gets wrong for them.

Keras builds such layers twice when it reads a `.keras` file, with every variable doubled, and then fails on the
weights. So these files hold the weights a second time, by position, and the layers are built once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from edgecv.modelio import env

CLASSES = ("QuantizeWrapper", "QuantizeLayer", "PruneLowMagnitude")


def is_wrapped(config: Any) -> bool:
    """Say whether a model's config names wrapped layers."""
    text = json.dumps(config)
    return any(name in text for name in CLASSES)


@contextmanager
def scopes() -> Iterator[None]:
    """Make tfmot's classes and ours known to Keras while a config is deserialised."""
    from edgecv.modelio import quantisers  # noqa: F401 - registers our classes with Keras

    tfmot = env.tfmot()
    with tfmot.quantization.keras.quantize_scope(), tfmot.sparsity.keras.prune_scope():
        yield


def without_build(config: Any) -> Any:
    """Return the config without the build_config of tfmot's layers: they are built when the graph is."""
    if isinstance(config, list):
        return [without_build(value) for value in config]
    if not isinstance(config, dict):
        return config
    tfmot = str(config.get("module")).startswith("tensorflow_model_optimization")
    return {key: without_build(value) for key, value in config.items() if not (tfmot and key == "build_config")}
