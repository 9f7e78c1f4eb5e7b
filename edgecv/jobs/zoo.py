"""What there is to choose from: architectures, data sets, targets."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from edgecv import zoo
from edgecv.core import files
from edgecv.core.errors import ConfigError
from edgecv.data import DatasetSummary, contact_sheet, describe, open_dataset
from edgecv.values import profiles
from edgecv.values.profiles import TargetProfile


def entries() -> list[dict[str, Any]]:
    """Return name, task, input shape, variants, title, and the stored cost of every architecture; builds none."""
    return [{**_entry(entry), **_cost(zoo.stored_profile(entry.name))} for entry in zoo.entries()]


def show(name: str, *, variant: str = "canonical", input_size: int | None = None, width: float = 1.0) -> dict[str, Any]:
    """Return the figures and layers of one architecture, and what the targets take of it.

    Args:
        name: Of the architecture.
        variant: Of it.
        input_size: Height and width, when they are not the published ones.
        width: Multiplier of the channels, for architectures that scale.

    Raises:
        ConfigError: Unknown name or variant, or an option that the architecture does not have.
        MissingDependencyError: tensorflow is not installed.
    """
    entry = zoo.get(name)
    size = (input_size, input_size, *entry.input_shape[2:]) if input_size else None
    with zoo.weightless():
        model, spec = zoo.build(name, variant=variant, input_shape=size, width=width)
    return {
        **_entry(entry),
        "variant": variant,
        "input_shape": list(spec.input_shape),
        "heads": spec.heads,
        **_cost(zoo.profile(model)),
        "preprocessing": spec.preprocessing,
        "layers": [_layer(layer) for layer in model.layers],
        "readiness": zoo.readiness(name, variant),
        "notes": dict(entry.notes),
        "source": entry.source,
    }


def _cost(profile: zoo.ModelProfile | None) -> dict[str, Any]:
    names = ("parameters", "trainable", "macs", "weight_bytes", "peak_activation_bytes", "peak_layer", "depth")
    return {name: None if profile is None else getattr(profile, name) for name in names}


def dataset(uri: str, *, sheet: Path | None = None, split: str | None = None, force: bool = False) -> DatasetSummary:
    """Return the splits of a data set, what there is of every target, sizes of samples, and duplicates.

    Args:
        uri: Address of the data set.
        sheet: A .png that is drawn: samples with their truths.
        split: Of the sheet; None: "train", or what there is.
        force: Replace the sheet if it exists.

    Raises:
        ConfigError, DataError: It cannot be opened, or has no such split.
    """
    if sheet is not None:
        if sheet.suffix.lower() != ".png":
            raise ConfigError(f"a contact sheet is a .png file, got {sheet}", hint=f"--out {sheet.stem}.png")
        files.check_output(sheet, force=force)
    opened = open_dataset(uri)
    if sheet is not None or split is not None:
        chosen = opened.split(split or ("train" if "train" in opened.splits else next(iter(opened.splits))))
    if sheet is not None:
        drawn = io.BytesIO()
        contact_sheet(opened, chosen).save(drawn, format="PNG")
        files.write_bytes(sheet, drawn.getvalue())
    return describe(opened)


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
        "variants": {variant: known.title for variant, known in entry.variants.items()},
        "options": [name for name in ("scalable", "pretrained", "auxiliary") if getattr(entry, name)],
    }
