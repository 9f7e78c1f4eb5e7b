"""Making keras models: train, split, train with quantisation, from paths to a saved `.keras` with its manifest."""

from __future__ import annotations

import glob
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgecv import data
from edgecv.core.errors import ConfigError, DataError
from edgecv.core.files import remove_partials, sha256
from edgecv.core.progress import QUIET, Reporter
from edgecv.core.shown import Shown
from edgecv.data import Dataset
from edgecv.jobs import graph_models
from edgecv.jobs.architectures import builder
from edgecv.jobs.sparse_kernels import SparseKernels
from edgecv.modelio import LoadedModel, contents, load_keras, save_keras
from edgecv.modelio.opening import Opening, input_size
from edgecv.tasks.registry import task_of
from edgecv.values.manifest import Manifest
from edgecv.values.spec_file import read_spec

BUNDLED = ("characters", "digits", "scenes", "scenes:one", "scenes:noisy")
"""Data sets that every installation has, so that a model trained on one needs no --data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A float model on disk.

    Attributes:
        path: `.keras`, `.h5`, a SavedModel folder, or a float `.onnx` or `.tflite`, which is imported in memory.
        unsafe: Allow Lambda layers, which can run any code.
        spec: TOML of a ModelSpec, for a model without a manifest.
        preset: How images are scaled, for a model without a contract: a name of `edgecv.values.presets`.
        input_size: "224" or "224x320": height and width of inputs that are open.
        architecture: The network of a file that holds weights only: see `edgecv.jobs.architectures`.
        custom_objects: A Python file that is run, and whose classes and functions the model may name.
        signature: Which function of a SavedModel without layers is meant, where it serves several.
    """

    path: Path
    unsafe: bool = False
    spec: Path | None = None
    preset: str | None = None
    input_size: str | None = None
    architecture: str | None = None
    custom_objects: Path | None = None
    signature: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedModel(Shown):
    """A model that was trained or pruned and written.

    Attributes:
        metric: Of the validation split; `value` on it, at the best epoch.
        best_epoch: 1-based.
        sparsity: Share of zeros in the prunable weights; None when not pruned.
        clusters: Most values that a kernel has; None when not clustered.
        gzip_weight_bytes: Of all weights as float32, after gzip; None when neither pruned nor clustered.
        sparse_kernels: What its zeros are worth in time; None when not pruned, or when it does not convert.
    """

    path: str
    name: str
    variant: str
    parameters: int
    split: str
    metric: str
    value: float
    epochs: int
    best_epoch: int
    sparsity: float | None
    size_bytes: int
    sha256: str
    clusters: int | None = None
    gzip_weight_bytes: int | None = None
    sparse_kernels: SparseKernels | None = None


def load(source: Source, *, reporter: Reporter = QUIET) -> LoadedModel:
    """Load a model with its contract. `reporter` is told of what is imported.

    Raises:
        ConfigError: The path does not exist, or the spec file, the architecture or the size is wrong.
        UnsupportedModelError: It is no float model of a known format, has Lambda layers and `unsafe` is false, or is a
            graph that cannot be imported or answers otherwise then.
    """
    spec = read_spec(source.spec) if source.spec else None
    size = input_size(source.input_size) if source.input_size else None
    build = builder(source.architecture, spec=spec, input_size=size) if source.architecture else None
    opening = Opening(
        unsafe=source.unsafe, spec=spec, input_size=size, architecture=build, custom_objects=source.custom_objects,
        signature=source.signature,
    )  # fmt: skip
    if contents.graph_format(source.path):
        return graph_models.loaded(source.path, opening, reporter=reporter)
    return load_keras(source.path, unsafe=source.unsafe, spec=spec, opening=opening)


def require_manifest(source: LoadedModel) -> Manifest:
    """Return the model's manifest. Raises ConfigError, saying what to do, when it has none."""
    if source.manifest is None:
        raise ConfigError(
            f"{source.path} says nothing of how it wants its input: edgecv did not write it",
            hint="describe it with --spec model.toml; docs/specs.md shows how",
        )
    return source.manifest


def open_data(uri: str | None, manifest: Manifest | None) -> Dataset:
    """Open a data set; without a `uri`, the bundled one that the model was trained on.

    Raises:
        ConfigError: No `uri`, and the model was trained on something else.
    """
    return data.open_divided(_recorded(uri, manifest))


def _recorded(uri: str | None, manifest: Manifest | None) -> str:
    if uri is not None:
        return uri
    recorded = manifest.provenance.dataset if manifest else None
    if recorded not in BUNDLED:
        known = f"the model was trained on '{recorded}'" if recorded else "the model does not say what it is about"
        raise ConfigError(f"--data is needed: {known}", hint="pass --data npz:PATH or --data folder:PATH")
    return recorded


def judged(uri: str | None, manifest: Manifest | None, split: str, reporter: Reporter) -> tuple[Dataset, str]:
    """Return the data set that a file is judged on, and the name of the split.

    A source without splits is one split, all of it, unless the model was trained on it: then it is divided as training
    did, so that a model is not judged on what it has seen.

    Raises:
        ConfigError: As `open_data` does, or there is no such split.
    """
    dataset = data.open_dataset(_recorded(uri, manifest))
    if split in dataset.splits or set(dataset.splits) != {data.ALL}:
        return dataset, split
    divided = _as_trained(dataset, manifest)
    if divided is not None:
        return divided, split
    reporter.info(f"{dataset.name} brings no splits: all {len(dataset.split(data.ALL))} samples are judged")
    return dataset, data.ALL


def _as_trained(dataset: Dataset, manifest: Manifest | None) -> Dataset | None:
    """Return a data set divided as a model's training did, None when the model was not trained on it."""
    seen = manifest.provenance.dataset_sha256 if manifest else None
    if seen is None:
        return None
    try:
        divided = dataset.divided()
    except DataError:
        return None
    return divided if divided.split("train").sha256 == seen else None


def has_seen(manifest: Manifest | None, dataset: Dataset, split: str) -> bool | None:
    """Say whether a model was trained, or calibrated, on the split that judges it; None where nothing tells."""
    trained = manifest.provenance.dataset_sha256 if manifest else None
    if trained is None:
        return None
    if dataset.split(split).sha256 == trained:
        return True
    known = split != data.ALL and "train" in dataset.splits and dataset.split("train").sha256 == trained
    return False if known else None


def ancestry(loaded: LoadedModel) -> tuple[Mapping[str, str], ...]:
    """Return the stages that led to a model, oldest first, itself included."""
    if loaded.manifest is None:
        return ({"step": "foreign", "sha256": loaded.sha256},)
    step = str(loaded.manifest.provenance.recipe.get("step", "unknown"))
    return (*loaded.manifest.provenance.parents, {"step": step, "sha256": loaded.sha256})


def as_written(loaded: LoadedModel) -> Manifest:
    """Return the manifest of a .keras that a model is written as, unchanged; of one from elsewhere it names the file.

    Raises:
        ConfigError: As `require_manifest`.
    """
    manifest = require_manifest(loaded)
    if manifest.provenance.source_sha256 != loaded.sha256:
        return manifest  # it was in the file
    return replace(manifest, provenance=replace(manifest.provenance, parents=ancestry(loaded)))


def state_path(out: Path) -> Path:
    """Return where a run that writes `out` keeps its resume file."""
    return out.with_name(f".{out.name}.state")


def forget_state(out: Path) -> None:
    """Remove the resume file of a run whose result is safely written, and partials of killed writers of it."""
    state = state_path(out)
    for path in (state, *state.parent.glob(f"{glob.escape(state.name)}.[0-9]*")):
        remove_partials(path)
        path.unlink(missing_ok=True)


def save(model: Any, out: Path, manifest: Manifest, done: Any, *, force: bool) -> SavedModel:
    """Write a trained model and say what it is worth. `done`: how the training went, as `train` returns it."""
    save_keras(model, out, manifest, force=force)
    forget_state(out)
    return SavedModel(
        path=str(out),
        name=manifest.spec.name,
        variant=manifest.spec.variant,
        parameters=int(model.count_params()),
        split="validation",
        metric=task_of(manifest.spec.head).metric.name,
        value=done.best_value,
        epochs=len(done.history),
        best_epoch=done.best_epoch + 1,
        sparsity=manifest.sparsity,
        size_bytes=out.stat().st_size,
        sha256=sha256(out),
    )


def check_keras(out: Path) -> None:
    """Raise ConfigError unless `out` is the name of a `.keras` file."""
    if out.suffix != ".keras":
        raise ConfigError(
            f"--out {out}: keras models are written as .keras files", hint=f"use {out.with_suffix('.keras')}"
        )


def with_changes(recipe: Any, **changes: Any) -> Any:
    """Return `recipe` with the changes that are not None."""
    given: Mapping[str, Any] = {name: value for name, value in changes.items() if value is not None}
    return replace(recipe, **given)
