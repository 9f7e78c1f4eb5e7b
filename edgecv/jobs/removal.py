"""Channels that a model can do without, the command that takes them out, and both in words."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgecv.compress.slim.useless import Useless, useless
from edgecv.diagnose.views import Silent
from edgecv.jobs import models
from edgecv.modelio import LoadedModel
from edgecv.report.view_page import silent_words

Array = np.ndarray[Any, Any]
EPOCHS = 3
"""Of training on in the command that takes out channels which said something."""
BATCH = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """What may go of a keras model.

    Attributes:
        channels: Each of them.
        held: Layers that keep their channels, or were not judged, with the reason.
        command: That takes them out; "" when there are none. DATA stands in it for a data set that is not known.
        samples: How many they were judged on.
    """

    channels: tuple[Useless, ...]
    held: Mapping[str, str]
    command: str
    samples: int

    @property
    def lacks_data(self) -> bool:
        """Whether DATA stands in the command."""
        return " DATA " in self.command


def removal(
    loaded: LoadedModel,
    path: Path,
    tensors: Sequence[Array],
    *,
    alike: float,
    data: str | None,
    source: models.Source | None,
) -> Removal:
    """Return what may go of a model on these samples.

    Args:
        loaded: The model; `path` its file.
        tensors: Inputs, float32 (1, ...).
        alike: Correlation from which one map stands for another.
        data: The address that was given; None: the model's own, if it is bundled.
        source: How it was opened, which the command says again.
    """
    batches = [np.concatenate(tensors[first : first + BATCH]) for first in range(0, len(tensors), BATCH)]
    looked = useless(loaded.model, batches, alike=alike)
    recorded = loaded.manifest.provenance.dataset if loaded.manifest is not None else None
    known = data or (None if recorded in models.BUNDLED else "DATA")
    command = _command(path, looked.channels, known, source) if looked.channels else ""
    return Removal(channels=looked.channels, held=looked.held, command=command, samples=len(tensors))


def _command(path: Path, channels: Sequence[Useless], data: str | None, source: models.Source | None) -> str:
    by_layer: dict[str, list[str]] = {}
    for channel in channels:
        by_layer.setdefault(channel.layer, []).append(str(channel.channel))
    words = ["edgecv", "slim", str(path)]
    for layer, numbers in by_layer.items():
        words += ["--channels", f"{layer}={','.join(numbers)}"]
    if any(channel.why != "dead" for channel in channels):
        words += ["--epochs", str(EPOCHS)]
    words += ["--data", data] if data else []
    return shlex.join([*words, *_opening(source), "--out", str(path.with_name(f"{path.stem}-slim.keras"))])


def _opening(source: models.Source | None) -> list[str]:
    """Return the options by which the model was opened."""
    if source is None:
        return []
    given = {
        "--spec": source.spec, "--preset": source.preset, "--input-size": source.input_size,
        "--architecture": source.architecture, "--custom-objects": source.custom_objects,
        "--signature": source.signature,
    }  # fmt: skip
    words = [word for option, value in given.items() if value is not None for word in (option, str(value))]
    return [*words, *(["--unsafe"] if source.unsafe else [])]


def told(found: Removal | None) -> list[str]:
    """Return sentences on what may go; None: of models whose channels are not taken out."""
    if found is None:
        return ["`edgecv slim` takes channels out of keras models: view the .keras to see which may go."]
    over = "this one image" if found.samples == 1 else f"{found.samples} samples"
    few = [layer for layer, reason in found.held.items() if "too few" in reason]
    unjudged = [f"Not judged, for want of samples: {', '.join(few)}."] if few else []
    if not found.channels:
        return [f"No channel that can be removed is dead, constant or a duplicate over {over}.", *unjudged]
    dead = sum(one.why == "dead" for one in found.channels)
    layers = list(dict.fromkeys(one.layer for one in found.channels))
    lines = [f"Over {over}, {len(found.channels)} channels of {len(layers)} layers say nothing of their own."]
    if dead:
        lines.append(
            f"{dead} are zero wherever another layer reads them: without them, answers to these samples stay the same."
        )
    if dead < len(found.channels):
        lines.append(
            f"{len(found.channels) - dead} are constant or duplicates: without them answers change, and "
            f"training on for {EPOCHS} epochs makes up for it."
        )
    return [*lines, *(f"{layer}: {silent_words(_silent(found, layer))}." for layer in layers), *unjudged]


def _silent(found: Removal, layer: str) -> list[Silent]:
    return [
        Silent(channel=one.channel, why=one.why, like=one.like, correlation=one.correlation)
        for one in found.channels
        if one.layer == layer
    ]
