"""Cutting a model in two files: a backbone that gives features, a head that takes them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import edgecv.train as training
from edgecv.core.progress import QUIET, Reporter
from edgecv.jobs import contract
from edgecv.jobs.models import (
    Source,
    ancestry,
    require_manifest,
)
from edgecv.modelio import manifest_for, save_keras
from edgecv.modelio.opaque import require_layers


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitPart:
    """One of the two files that a model was split into."""

    path: str
    parameters: int
    input_shape: tuple[int, ...]


def split(
    source: Source, *, at: str, out: Path, force: bool = False, reporter: Reporter = QUIET
) -> tuple[SplitPart, SplitPart]:
    """Write a model in two files: `backbone.keras` gives features, `head.keras` takes them.

    Args:
        source: The model.
        at: Name of the first layer of the head.
        out: Folder to write to.
        force: Replace what exists.
        reporter: Is told what is found out of a model from elsewhere.

    Raises:
        ConfigError: There is no such layer, the model cannot be cut there, or `out` cannot be written.
    """
    loaded = contract.opened(source, needed=False, reporter=reporter)
    require_layers(loaded.model)
    parent = require_manifest(loaded)
    parts = training.split_at(loaded.model, at)
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for name, model, spec in zip(
        ("backbone", "head"), (parts.backbone, parts.head), training.split_specs(parts, parent.spec), strict=True
    ):
        manifest = manifest_for(
            spec, recipe={"step": "split", "at": at, "part": name}, source_sha256=loaded.sha256,
            dataset=parent.provenance.dataset, dataset_sha256=parent.provenance.dataset_sha256,
            parents=ancestry(loaded),
        )  # fmt: skip
        path = save_keras(model, out / f"{name}.keras", manifest, force=force)
        written.append(SplitPart(path=str(path), parameters=int(model.count_params()), input_shape=spec.input_shape))
    return written[0], written[1]
