"""What there is to choose from: architectures, data sets, targets."""

from __future__ import annotations

from typing import Any

from edgecv import profiles, zoo
from edgecv.data import DatasetSummary, describe, open_dataset
from edgecv.profiles import TargetProfile


def entries() -> list[dict[str, Any]]:
    """Return name, task, input shape, variants and title of every architecture."""
    return [_entry(entry) for entry in zoo.entries()]


def show(name: str, *, variant: str = "canonical") -> dict[str, Any]:
    """Return the figures and layers of one architecture.

    Raises:
        ConfigError: Unknown name or variant.
        MissingDependencyError: tensorflow is not installed.
    """
    entry = zoo.get(name)
    with zoo.weightless():
        model, spec = zoo.build(name, variant=variant)
    profile = zoo.profile(model)
    return {
        **_entry(entry),
        "variant": variant,
        "parameters": profile.parameters,
        "trainable": profile.trainable,
        "macs": profile.macs,
        "weight_bytes": profile.weight_bytes,
        "peak_activation_bytes": profile.peak_activation_bytes,
        "depth": profile.depth,
        "preprocessing": spec.preprocessing,
        "layers": [_layer(layer) for layer in model.layers],
        "notes": dict(entry.notes),
        "source": entry.source,
    }


def dataset(uri: str) -> DatasetSummary:
    """Return the splits of a data set, the balance of every target, sizes of samples, and duplicates.

    Raises:
        ConfigError, DataError: It cannot be opened.
    """
    return describe(open_dataset(uri))


def targets() -> tuple[TargetProfile, ...]:
    """Return every deployment target."""
    return tuple(profiles.target(name) for name in profiles.target_names())


def _layer(layer: Any) -> dict[str, Any]:
    shape = layer.output_shape[0] if isinstance(layer.output_shape, list) else layer.output_shape
    return {
        "name": layer.name,
        "kind": type(layer).__name__,
        "output_shape": list(shape[1:]),
        "parameters": int(layer.count_params()),
    }


def _entry(entry: zoo.ZooEntry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "title": entry.title,
        "task": entry.task,
        "input_shape": list(entry.input_shape),
        "variants": list(entry.variants),
    }
