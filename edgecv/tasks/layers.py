"""Layers that heads are made of. Tensors are tensorflow's."""

from __future__ import annotations

from typing import Any

from edgecv.core.optional import require


def dense(features: Any, units: int, activation: str, name: str) -> Any:
    """Return a fresh dense layer on a Keras tensor (n, d): (n, units)."""
    return require("tf_keras", why="to train").layers.Dense(units, activation=activation, name=name)(features)
