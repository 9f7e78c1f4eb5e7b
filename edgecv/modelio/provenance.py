"""Manifests of keras files: what made them, with which versions."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Mapping
from typing import Any

from edgecv import __version__
from edgecv.values.manifest import Manifest, Provenance
from edgecv.values.specs import Method, ModelSpec

TOOLS = ("numpy", "tensorflow", "tensorflow-cpu", "tf-keras", "keras", "tensorflow-model-optimization")


def tool_versions(packages: tuple[str, ...] = TOOLS) -> dict[str, str]:
    """Return the versions of edgecv, Python and those of `packages` that are installed."""
    versions = {"edgecv": __version__, "python": platform.python_version()}
    for package in packages:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def manifest_for(
    spec: ModelSpec,
    *,
    recipe: Mapping[str, Any],
    seed: int | None = None,
    source_sha256: str | None = None,
    dataset: str | None = None,
    dataset_sha256: str | None = None,
    parents: tuple[Mapping[str, str], ...] = (),
    method: Method = "none",
    sparsity: float | None = None,
) -> Manifest:
    """Return the manifest of a keras file.

    Args:
        spec: The model's contract.
        recipe: Name and settings of the step that made the model: {"step": "train", "epochs": 20}.
        seed: Of every random choice in the step.
        source_sha256: Of the model file that the step started from.
        dataset: Name of the data set that the model was trained on.
        dataset_sha256: Of the training samples.
        parents: sha256 and step of earlier stages, oldest first.
        method: "qat" for a model that carries fake quantisation.
        sparsity: Share of zeros in the prunable weights, 0..1.
    """
    provenance = Provenance(
        recipe=dict(recipe),
        tools=tool_versions(),
        seed=seed,
        source_sha256=source_sha256,
        dataset=dataset,
        dataset_sha256=dataset_sha256,
        parents=parents,
    )
    return Manifest(
        spec=spec, format="keras", scheme="float32", provenance=provenance, method=method, sparsity=sparsity
    )
