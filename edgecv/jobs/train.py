"""Training an architecture, or a new head on a trained model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import edgecv.train as training
from edgecv import data, zoo
from edgecv.core import codec
from edgecv.core.errors import ConfigError
from edgecv.core.files import check_output
from edgecv.core.progress import QUIET, Reporter
from edgecv.data import Dataset
from edgecv.jobs import contract
from edgecv.jobs.models import (
    SavedModel,
    Source,
    ancestry,
    check_keras,
    load,
    require_manifest,
    save,
    state_path,
)
from edgecv.modelio import LoadedModel, env, manifest_for
from edgecv.modelio.boundary import output_names
from edgecv.modelio.opaque import require_layers
from edgecv.runtime.reading import frame_for
from edgecv.tasks.detection.regions import proposing, second_stage
from edgecv.tasks.protocol import Task
from edgecv.tasks.registry import task_of
from edgecv.train.regions import train_two_stages
from edgecv.values.binding import bind_outputs
from edgecv.values.specs import Head, ModelSpec

FITTED_ON = 2000
"""Training samples that a network's settings are fitted on, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainPlan:
    """What to train, on what, how. None takes what the architecture or its recipe says.

    Attributes:
        name: An architecture; None with `source`.
        source: A trained keras model that gets a new head for the data, in place of an architecture.
        also: Further identities to learn from, for networks that compare: an address; never judged on.
        input_size: Height and width, when they are not the published ones.
        width: Multiplier of the channels.
        weights: "imagenet" or a weights file, for architectures that come pretrained.
        recipe: Name of a shipped recipe, or a TOML file.
        backbone: A trained keras model whose layers of the same names the architecture starts from.
        teacher: A trained keras model of the same labels to learn from.
        log_dir: Folder for a CSV table and TensorBoard events.
        spec: TOML of the source's contract, for a model that edgecv did not write; `preset` how its images are scaled.
    """

    name: str | None = None
    source: Path | None = None
    variant: str = "canonical"
    data: str = "digits"
    also: str | None = None
    input_size: int | None = None
    width: float = 1.0
    weights: str | None = None
    backbone: Path | None = None
    recipe: str | None = None
    epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    teacher: Path | None = None
    log_dir: Path | None = None
    spec: Path | None = None
    preset: str | None = None
    architecture: str | None = None
    custom_objects: Path | None = None
    seed: int = 0


def train(plan: TrainPlan, *, out: Path, force: bool = False, reporter: Reporter = QUIET) -> SavedModel:
    """Train an architecture, or a new head on a trained model, and save it. A killed run goes on where it was.

    Raises:
        ConfigError: Unknown name, variant, recipe or data, or `out` cannot be written.
        DataError: The data set is wrong.
    """
    check_keras(out)
    check_output(out, force=force)
    dataset = data.open_divided(plan.data)
    if plan.also is not None:
        dataset = data.with_more_identities(dataset, data.open_divided(plan.also), _comparing(plan).reads)
    model, spec, recipe, parents = untrained(plan, dataset, reporter)
    teacher = load(Source(path=plan.teacher)) if plan.teacher else None
    if teacher is not None:
        _check_teacher(teacher, model, spec)
    if second_stage(spec) is not None:
        if teacher is not None:
            raise ConfigError("detectors of two stages have no teacher", hint="leave --teacher out")
        done = train_two_stages(
            model, spec, dataset, recipe, state=state_path(out), log_dir=plan.log_dir, reporter=reporter
        )
    else:
        done = training.train(
            model, spec, dataset, recipe, state=state_path(out), teacher=teacher.model if teacher else None,
            log_dir=plan.log_dir, reporter=reporter,
        )  # fmt: skip
    built = {"name": plan.name, "variant": plan.variant, "width": plan.width} if plan.name else None
    manifest = manifest_for(
        spec, recipe={"step": "train", **codec.encode(recipe), **({"architecture": built} if built else {})},
        seed=plan.seed, dataset=dataset.name,
        dataset_sha256=dataset.split("train").sha256, parents=parents,
        source_sha256=teacher.sha256 if teacher else None,
    )  # fmt: skip
    return save(zoo.inference(done.model, spec), out, manifest, done, force=force)


def untrained(
    plan: TrainPlan, dataset: Dataset, reporter: Reporter = QUIET
) -> tuple[Any, ModelSpec, training.TrainRecipe, tuple[Mapping[str, str], ...]]:
    """Return the model to train with its contract, its recipe, and the stages that led to it. Raises as `train`."""
    changes: dict[str, Any] = {
        "epochs": plan.epochs, "batch_size": plan.batch_size, "learning_rate": plan.learning_rate, "seed": plan.seed,
    }  # fmt: skip
    if (plan.name is None) == (plan.source is None):
        raise ConfigError("train takes an architecture or --from, one of the two", hint="see edgecv zoo list")
    if plan.source is not None:
        _check_no_architecture_options(plan)
        source = Source(
            path=plan.source, spec=plan.spec, preset=plan.preset, architecture=plan.architecture,
            custom_objects=plan.custom_objects, input_size=str(plan.input_size) if plan.input_size else None,
        )  # fmt: skip
        loaded = contract.opened(source, plan.data, reporter=reporter)
        require_layers(loaded.model)
        parent = require_manifest(loaded)
        env.seed_everything(plan.seed)
        data.check_labelled(dataset.targets, dataset.name)
        head = training.NewHead(task=dataset.targets[0].task, labels=dataset.labels)
        model, spec = training.with_new_head(loaded.model, parent.spec, head)
        recipe = training.adjusted(_recipe(plan, parent.spec), **changes)
        if not recipe.stages:
            recipe = training.transfer_recipe(model, recipe)
        return model, spec, recipe, ancestry(loaded)
    entry = zoo.get(str(plan.name))
    size = (plan.input_size, plan.input_size, *entry.input_shape[2:]) if plan.input_size else None
    heads = entry.variant(plan.variant).heads or entry.heads
    first, *others = _head_labels(heads, dataset)
    model, spec = zoo.build(
        entry.name, variant=plan.variant, labels=first, other_labels=others, input_shape=size, width=plan.width,
        weights=plan.weights, auxiliary=entry.auxiliary, seed=plan.seed,
    )  # fmt: skip
    spec = _settled(spec, dataset)
    recipe = training.adjusted(_recipe(plan, spec), **changes)
    if plan.backbone is None:
        return model, spec, recipe, ()
    donor = load(Source(path=plan.backbone))
    taken = training.take_backbone(model, spec, donor.model, require_manifest(donor).spec)
    left = [layer.name for layer in model.layers if layer.weights and layer.name not in taken]
    reporter.info(f"{len(taken)} layers start from {plan.backbone}; new: {', '.join(left) or 'none'}")
    return model, spec, recipe if recipe.stages else training.backbone_recipe(recipe, taken), ancestry(donor)


def _comparing(plan: TrainPlan) -> Task:
    """Return the task of an architecture whose identities may be others than those that it is used on."""
    entry = zoo.get(str(plan.name)) if plan.name else None
    heads = () if entry is None else entry.variant(plan.variant).heads or entry.heads
    if entry is None or len(heads) != 1 or task_of(heads[0]).labelled or len(entry.variant(plan.variant).inputs) > 1:
        raise ConfigError(
            f"--also is for architectures that give one vector, {plan.name or '--from'} does not", hint="leave it out"
        )
    return task_of(heads[0])


def _check_no_architecture_options(plan: TrainPlan) -> None:
    given = {
        "--variant": plan.variant != "canonical", "--width": plan.width != 1.0, "--weights": plan.weights is not None,
        "--backbone": plan.backbone is not None,
    }  # fmt: skip
    asked = ", ".join(option for option, is_set in given.items() if is_set)
    if asked:
        raise ConfigError(
            f"{asked} belongs to an architecture, and --from starts from a trained model, which has its own",
            hint="leave it out, or name an architecture in place of --from",
        )


def _head_labels(heads: Sequence[Head], dataset: Dataset) -> list[tuple[str, ...]]:
    """Return the data's labels for each head; a head whose task has none of its own gets nothing."""
    own = proposing(heads)
    bare = [replace(head, labels=()) for head in heads if head not in own]
    chosen = iter(data.match_targets(bare, dataset.targets, dataset=dataset.name))
    return [head.labels if head in own else _labels(dataset, head, next(chosen)) for head in heads]


def _labels(dataset: Dataset, head: Head, index: int) -> tuple[str, ...]:
    return dataset.targets[index].labels if task_of(head).labelled else ()


def _settled(spec: ModelSpec, dataset: Dataset) -> ModelSpec:
    """Return a contract whose heads know what the data says: the index of pixels that do not count, usual boxes."""
    if second_stage(spec) is not None:
        return spec  # its anchors are those of its proposals, which a recipe of the two networks sets
    chosen = data.match_targets(spec.heads, dataset.targets, dataset=dataset.name)
    training_split, heads = dataset.split("train"), []
    some = range(min(FITTED_ON, len(training_split)))
    for head, index in zip(spec.heads, chosen, strict=True):
        known = {field.name for field in fields(task_of(head).Settings)}
        said = {key: value for key, value in dataset.targets[index].settings.items() if key in known}
        task, settled = task_of(head), replace(head, settings={**head.settings, **said})
        truths = [training_split.targets[index][place] for place in some]
        heads.append(task.fitted(settled, truths, (frame_for(training_split.sample(place), spec) for place in some)))
    return replace(spec, heads=tuple(heads))


def _recipe(plan: TrainPlan, spec: ModelSpec) -> training.TrainRecipe:
    return training.recipe(plan.recipe) if plan.recipe else training.default_recipe(spec)


def _check_teacher(teacher: LoadedModel, student: Any, spec: ModelSpec) -> None:
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
    pair = (known.head, spec.head)
    if pair[0].task != pair[1].task or pair[0].activation != pair[1].activation:
        told = " and ".join(f"{head.task} ({head.activation})" for head in pair)
        raise ConfigError(
            f"the heads of {teacher.path} and '{spec.name}' differ: {told}",
            hint="take a teacher of the same task that ends in the same activation",
        )
    task_of(spec.head).check_teacher(spec.head, known.head)
    pairs = ((known, teacher.model), (spec, student))
    places, own = (bind_outputs(one, output_names(model), one.name)[0] for one, model in pairs)
    if places != own:
        raise ConfigError(
            f"{teacher.path} gives what head '{spec.head.name}' reads as outputs {list(places)}, '{spec.name}' as "
            f"outputs {list(own)}",
            hint="take a larger network of the same kind, such as the same architecture with a larger --width",
        )
