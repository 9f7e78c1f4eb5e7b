"""Layers that stand still: by name, or all but the last ones."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any

from edgecv.core.errors import ConfigError
from edgecv.modelio.env import keras
from edgecv.train.recipes import Stage


@contextlib.contextmanager
def frozen(model: Any, stage: Stage) -> Iterator[tuple[str, ...]]:
    """Freeze the layers that a stage names while the block runs; yield their names.

    A frozen BatchNormalization runs in inference mode: its statistics do not move. Training must be traced inside the
    block, because a traced step keeps the variables that it saw.

    Raises:
        ConfigError: A pattern fits no layer, or nothing is left to train.
    """
    names = _names(model, stage)
    chosen = [layer for layer in model.layers if layer.name in names]
    before = [(layer, layer.trainable) for layer in _with_inner(chosen)]
    for layer in chosen:
        layer.trainable = False
    try:
        if not model.trainable_weights:
            raise ConfigError(
                "every layer with weights is frozen", hint="let at least the last one train: train_last = 1"
            )
        yield tuple(layer.name for layer in chosen)
    finally:
        # Outer ones first: a model sets the flag of all its layers.
        for layer, trainable in before:
            layer.trainable = trainable


def _names(model: Any, stage: Stage) -> frozenset[str]:
    known = [layer.name for layer in model.layers]
    found: set[str] = set()
    for pattern in stage.freeze:
        hits = [name for name in known if fnmatchcase(name, pattern)]
        if not hits:
            raise ConfigError(
                f"freeze: no layer of '{model.name}' is called '{pattern}'", hint=f"layers: {', '.join(known)}"
            )
        found.update(hits)
    if stage.train_last is not None:
        able = [layer.name for layer in model.layers if layer.trainable_weights]
        found.update(layer.name for layer in model.layers if layer.weights and layer.name not in able)
        found.update(able[: -stage.train_last])
    return frozenset(found)


def _with_inner(layers: Sequence[Any]) -> list[Any]:
    """Return layers, and those of the models among them, outer ones before inner ones."""
    inner = [one for layer in layers for one in layer.submodules if isinstance(one, keras().layers.Layer)]
    return [*layers, *inner]
