"""Making keras models: train, split, train with quantisation, from paths to a saved `.keras` with its manifest."""

from __future__ import annotations

import glob
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgecv import codec, compress, data, zoo
from edgecv import train as training
from edgecv.data import Dataset
from edgecv.errors import ConfigError
from edgecv.files import check_output, remove_partials, sha256
from edgecv.manifest import Manifest
from edgecv.modelio import LoadedModel, env, load_keras, manifest_for, save_keras
from edgecv.pipeline.keeping import Traits, traits
from edgecv.pipeline.sparse_kernels import SparseKernels
from edgecv.profiles import read_toml
from edgecv.progress import QUIET, Reporter
from edgecv.specs import ModelSpec

BUNDLED = ("digits",)
"""Data sets that every installation has, so that a model trained on one needs no --data."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A keras model on disk.

    Attributes:
        path: `.keras`, `.h5`, or a SavedModel folder.
        unsafe: Allow Lambda layers, which can run any code.
        spec: TOML of a ModelSpec, for a model without a manifest.
    """

    path: Path
    unsafe: bool = False
    spec: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainPlan:
    """What to train, on what, how. None takes what the architecture or its recipe says.

    Attributes:
        name: An architecture; None with `source`.
        source: A trained keras model that gets a new head for the data, in place of an architecture.
        input_size: Height and width, when they are not the published ones.
        width: Multiplier of the channels.
        weights: "imagenet" or a weights file, for architectures that come pretrained.
        recipe: Name of a shipped recipe, or a TOML file.
        teacher: A trained keras model of the same labels to learn from.
        log_dir: Folder for a CSV table and TensorBoard events.
    """

    name: str | None = None
    source: Path | None = None
    variant: str = "canonical"
    data: str = "digits"
    input_size: int | None = None
    width: float = 1.0
    weights: str | None = None
    recipe: str | None = None
    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    teacher: Path | None = None
    log_dir: Path | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class QatPlan:
    """How long to train on with fake quantisation, on what data. None takes the defaults."""

    data: str | None = None
    epochs: int | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedModel:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitPart:
    """One of the two files that a model was split into."""

    path: str
    parameters: int
    input_shape: tuple[int, ...]


def load(source: Source) -> LoadedModel:
    """Load a model with its contract.

    Raises:
        ConfigError: The path does not exist, or the spec file is wrong.
        UnsupportedModelError: It is not a keras model, or has Lambda layers and `unsafe` is false.
    """
    spec = read_spec(source.spec) if source.spec else None
    return load_keras(source.path, unsafe=source.unsafe, spec=spec)


def read_spec(path: Path) -> ModelSpec:
    """Read a ModelSpec from TOML. Raises ConfigError when a key is unknown, missing or wrong."""
    return codec.decode(ModelSpec, read_toml(path, what="spec"), where=str(path))


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
    if uri is None:
        recorded = manifest.provenance.dataset if manifest else None
        if recorded not in BUNDLED:
            known = f"the model was trained on '{recorded}'" if recorded else "the model does not say what it is about"
            raise ConfigError(f"--data is needed: {known}", hint="pass --data npz:PATH or --data folder:PATH")
        uri = recorded
    return data.open_dataset(uri)


def train(plan: TrainPlan, *, out: Path, force: bool = False, reporter: Reporter = QUIET) -> SavedModel:
    """Train an architecture, or a new head on a trained model, and save it. A killed run goes on where it was.

    Raises:
        ConfigError: Unknown name, variant, recipe or data, or `out` cannot be written.
        DataError: The data set is wrong.
    """
    check_keras(out)
    check_output(out, force=force)
    dataset = data.open_dataset(plan.data)
    model, spec, recipe, parents = _untrained(plan, dataset)
    teacher = load(Source(path=plan.teacher)) if plan.teacher else None
    if teacher is not None:
        _check_teacher(teacher, spec)
    done = training.train(
        model, spec, dataset, recipe, state=state_path(out), teacher=teacher.model if teacher else None,
        log_dir=plan.log_dir, reporter=reporter,
    )  # fmt: skip
    manifest = manifest_for(
        spec, recipe={"step": "train", **codec.encode(recipe)}, seed=plan.seed, dataset=dataset.name,
        dataset_sha256=dataset.split("train").sha256, parents=parents,
        source_sha256=teacher.sha256 if teacher else None,
    )  # fmt: skip
    return save(zoo.inference(done.model, spec), out, manifest, done, force=force)


def _untrained(
    plan: TrainPlan, dataset: Dataset
) -> tuple[Any, ModelSpec, training.TrainRecipe, tuple[Mapping[str, str], ...]]:
    """Return the model to train with its contract, its recipe, and the stages that led to it."""
    changes: dict[str, Any] = {
        "epochs": plan.epochs, "batch_size": plan.batch_size, "learning_rate": plan.learning_rate, "seed": plan.seed,
    }  # fmt: skip
    if (plan.name is None) == (plan.source is None):
        raise ConfigError("train takes an architecture or --from, one of the two", hint="see edgecv zoo list")
    if plan.source is not None:
        _check_no_architecture_options(plan)
        loaded = load(Source(path=plan.source))
        parent = require_manifest(loaded)
        env.seed_everything(plan.seed)
        head = training.NewHead(labels=dataset.labels)
        model, spec = training.with_new_head(loaded.model, parent.spec, head)
        recipe = training.adjusted(_recipe(plan, parent.spec), **changes)
        if not recipe.stages:
            recipe = training.transfer_recipe(model, recipe)
        return model, spec, recipe, ancestry(loaded)
    entry = zoo.get(str(plan.name))
    size = (plan.input_size, plan.input_size, *entry.input_shape[2:]) if plan.input_size else None
    first, *others = _head_labels(entry, dataset)
    model, spec = zoo.build(
        entry.name, variant=plan.variant, labels=first, other_labels=others, input_shape=size, width=plan.width,
        weights=plan.weights, auxiliary=entry.auxiliary, seed=plan.seed,
    )  # fmt: skip
    return model, spec, training.adjusted(_recipe(plan, spec), **changes), ()


def _check_no_architecture_options(plan: TrainPlan) -> None:
    given = {
        "--variant": plan.variant != "canonical", "--input-size": plan.input_size is not None,
        "--width": plan.width != 1.0, "--weights": plan.weights is not None,
    }  # fmt: skip
    asked = ", ".join(option for option, is_set in given.items() if is_set)
    if asked:
        raise ConfigError(
            f"{asked} belongs to an architecture, and --from starts from a trained model, which has its own",
            hint="leave it out, or name an architecture in place of --from",
        )


def _head_labels(entry: zoo.ZooEntry, dataset: Dataset) -> list[tuple[str, ...]]:
    """Return the data's labels for each head: by name when all heads are called like targets, else by position."""
    by_name = {target.name: target.labels for target in dataset.targets}
    names = [head.name for head in entry.heads]
    if all(name in by_name for name in names):
        return [by_name[name] for name in names]
    if len(names) != len(dataset.targets):
        raise ConfigError(
            f"{entry.name} has the heads {', '.join(names)}, '{dataset.name}' the targets {', '.join(by_name)}",
            hint="call the targets like the heads: y_<head> in an .npz file",
        )
    return [target.labels for target in dataset.targets]


def _recipe(plan: TrainPlan, spec: ModelSpec) -> training.TrainRecipe:
    return training.recipe(plan.recipe) if plan.recipe else training.default_recipe(spec)


def _check_teacher(teacher: LoadedModel, spec: ModelSpec) -> None:
    known = require_manifest(teacher).spec
    if (
        known.labels != spec.labels
        or known.input_shape != spec.input_shape
        or known.preprocessing != spec.preprocessing
    ):
        raise ConfigError(
            f"{teacher.path} does not take the same inputs and give the same labels as '{spec.name}'",
            hint="train the teacher on the same data, at the same input size and with the same preprocessing",
        )


def split(source: Source, *, at: str, out: Path, force: bool = False) -> tuple[SplitPart, SplitPart]:
    """Write a model in two files: `backbone.keras` gives features, `head.keras` takes them.

    Args:
        source: The model.
        at: Name of the first layer of the head.
        out: Folder to write to.
        force: Replace what exists.

    Raises:
        ConfigError: There is no such layer, the model cannot be cut there, or `out` cannot be written.
    """
    loaded = load(source)
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


def train_quantized(
    source: Source, plan: QatPlan, *, out: Path, force: bool = False, reporter: Reporter = QUIET
) -> SavedModel:
    """Train a model on with fake quantisation, and save it. A killed run goes on from its last finished epoch.

    Raises:
        ConfigError: No data, or `out` cannot be written.
        UnsupportedModelError: The model has layers that cannot be trained with quantisation.
    """
    check_keras(out)
    check_output(out, force=force)
    aware, done = quantization_aware(load(source), plan, state=state_path(out), reporter=reporter)
    saved = save(aware.model, out, require_manifest(aware), done, force=force)
    return replace(saved, clusters=traits(aware.manifest).clusters)


def quantization_aware(
    loaded: LoadedModel, plan: QatPlan, *, state: Path, reporter: Reporter = QUIET
) -> tuple[LoadedModel, compress.QatModel]:
    """Return a model trained on with fake quantisation, with its manifest, and how the training went.

    Zeros, their pattern and clusters of the model stay; the manifest's recipe names them under "keeps".
    """
    parent = require_manifest(loaded)
    dataset = open_data(plan.data, parent)
    found = traits(parent)
    recipe = with_changes(
        compress.default_qat_recipe(parent.spec), epochs=plan.epochs, seed=plan.seed, clusters=found.clusters
    )
    if found.facts:
        reporter.info(f"training with quantisation keeps {found.words}")
    env.seed_everything(plan.seed)
    done = compress.quantize_aware(loaded.model, parent.spec, dataset, recipe, state=state, reporter=reporter)
    manifest = manifest_for(
        parent.spec, recipe=_qat_facts(recipe, found), seed=plan.seed,
        dataset=dataset.name, dataset_sha256=dataset.split("train").sha256, source_sha256=loaded.sha256,
        parents=ancestry(loaded), method="qat", sparsity=parent.sparsity,
    )  # fmt: skip
    return replace(loaded, model=done.model, manifest=manifest), done


def _qat_facts(recipe: compress.QatRecipe, found: Traits) -> dict[str, Any]:
    pattern = {"pattern": [int(part) for part in found.pattern.split(":")]} if found.pattern else {}
    keeps = {"keeps": found.facts} if found.facts else {}
    return {"step": "qat", **codec.encode(recipe), **pattern, **keeps}


def ancestry(loaded: LoadedModel) -> tuple[Mapping[str, str], ...]:
    """Return the stages that led to a model, oldest first, itself included."""
    if loaded.manifest is None:
        return ({"step": "foreign", "sha256": loaded.sha256},)
    step = str(loaded.manifest.provenance.recipe.get("step", "unknown"))
    return (*loaded.manifest.provenance.parents, {"step": step, "sha256": loaded.sha256})


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
        metric=manifest.spec.head.metric,
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
