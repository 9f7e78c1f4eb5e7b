"""The catalogue: every architecture by name. A new family is one file and one line here."""

from __future__ import annotations

from typing import Any

from edgecv.modelio import env
from edgecv.registry import Registry
from edgecv.specs import ModelSpec
from edgecv.zoo import fashion, lenet
from edgecv.zoo.entry import ZooEntry

_ENTRIES: Registry[ZooEntry] = Registry("architecture")
for _entry in (lenet.LENET5, fashion.CNN_FASHION):
    _ENTRIES.add(_entry.name, _entry)


def names() -> tuple[str, ...]:
    """Return the name of every architecture."""
    return _ENTRIES.names()


def entries() -> tuple[ZooEntry, ...]:
    """Return every architecture."""
    return tuple(entry for _, entry in _ENTRIES)


def get(name: str) -> ZooEntry:
    """Return an architecture by name. Raises ConfigError, with the nearest match, when there is none."""
    return _ENTRIES.get(name)


def build(
    name: str, *, variant: str = "canonical", labels: tuple[str, ...] | None = None, seed: int = 0
) -> tuple[Any, ModelSpec]:
    """Build an untrained model.

    Args:
        name: Of the architecture.
        variant: Of it.
        labels: One per output unit; None takes the architecture's own.
        seed: Of the weights: the same seed gives the same ones. Seeds python, numpy and tensorflow.

    Returns:
        The tf_keras functional model, not compiled, and its contract.

    Raises:
        ConfigError: Unknown name or variant, or labels that do not fit.
    """
    entry = get(name)
    spec = entry.spec(variant, labels=labels)
    env.keras().utils.set_random_seed(seed)
    return entry.variant(variant).build(len(spec.labels)), spec
