"""Which target of a data set each head of a model is about, and the data set as the model takes it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from edgecv.core.errors import ConfigError
from edgecv.data.dataset import Dataset, Target
from edgecv.data.pairs import as_pairs
from edgecv.tasks import registry
from edgecv.tasks.embedding.pairs import SAME
from edgecv.values.specs import Head, ModelSpec

Reads = Callable[[str], tuple[str, ...]]
"""From a task to the kinds of truth that it reads."""

PAIR = 2
"""Inputs that pairs are drawn for."""

_SEEDS = {"train": 0, "validation": 1, "test": 2}
"""Of the pairs of each split: fixed, so that two evaluations see the same."""


def match_targets(
    heads: Sequence[Head], targets: Sequence[Target], *, dataset: str, reads: Reads | None = None
) -> tuple[int, ...]:
    """Return the index of each head's target.

    It is the target of the head's name if the head's task reads that kind; else the only one that the task reads, or
    the only one of the kind that it reads first; else the one at the head's position, when there are as many targets as
    heads.

    Args:
        heads: Of a model.
        targets: Of a data set.
        dataset: Its name, for messages.
        reads: The kinds of truth that a task reads; default: what the registered task says.

    Raises:
        ConfigError: No target fits a head, or several do; two heads of a task would share one; or its labels are not
            the head's.
    """
    known = reads or reads_of
    check_labelled(targets, dataset)
    chosen = tuple(_match(head, at, len(heads), targets, dataset, known) for at, head in enumerate(heads))
    _check_apart(heads, chosen, targets, dataset)
    for head, index in zip(heads, chosen, strict=True):
        _check_labels(head, targets[index], dataset)
    return chosen


def check_labelled(targets: Sequence[Target], dataset: str) -> None:
    """Raise ConfigError for a data set without targets, which only calibrates."""
    if not targets:
        raise ConfigError(
            f"'{dataset}' has no labels, which training and judging a model need",
            hint="make one directory per class, or store y beside x, see docs/data.md; a file is held to its float "
            "model by answers:MODEL:DATA",
        )


def reads_of(task: str) -> tuple[str, ...]:
    """Return the kinds of truth that a task reads, its own first."""
    return tuple(registry.task(task).reads) or (task,)


def fitted(dataset: Dataset, spec: ModelSpec, *, reads: Reads | None = None) -> Dataset:
    """Return a data set as a model takes it: for a model that compares two images, pairs drawn of its identities.

    Raises:
        ConfigError: The model has more inputs than the samples, and there is nothing to draw pairs of.
        DataError: A split has too few images of an identity.
    """
    inputs = max((len(split.inputs) for split in dataset.splits.values()), default=1)
    if len(spec.inputs) == inputs:
        return dataset
    compares = next((head for head in spec.heads if _compared(head) == len(spec.inputs)), None)
    if inputs != 1 or len(spec.inputs) != PAIR or compares is None:
        raise ConfigError(
            f"'{spec.name}' takes {len(spec.inputs)} inputs, a sample of '{dataset.name}' has {inputs}",
            hint="use data with an input for each of the model's",
        )
    (column,) = match_targets(
        [replace(compares, labels=())], dataset.targets, dataset=dataset.name, reads=reads or reads_of
    )
    splits = {
        name: as_pairs(split, column, seed=_SEEDS.get(name, len(_SEEDS))) for name, split in dataset.splits.items()
    }
    target = Target(name=compares.name, task=compares.task, labels=SAME)
    return replace(dataset, targets=(target,), splits=splits)


def _compared(head: Head) -> int:
    return registry.task_of(head).compares if head.task in registry.TASKS else 1


def _match(head: Head, position: int, count: int, targets: Sequence[Target], dataset: str, reads: Reads) -> int:
    kinds = reads(head.task)
    fits = [index for index, target in enumerate(targets) if target.task in kinds]
    named = [index for index in fits if targets[index].name == head.name]
    # Of the kinds that a task reads, those it names first go before the others.
    best = min((kinds.index(targets[index].task) for index in fits), default=0)
    chosen = named or [index for index in fits if targets[index].task == kinds[best]]
    if len(chosen) == 1:
        return chosen[0]
    if len(targets) == count and position in chosen:
        return position
    listed = ", ".join(f"{target.name} ({target.task})" for target in targets)
    what = f"no target for {head.task}" if not fits else f"{len(fits)} targets for {head.task}"
    raise ConfigError(
        f"head '{head.name}' is for {head.task}; '{dataset}' has {what}: {listed}",
        hint="call the target like the head: y_<head> in an .npz file"
        if fits
        else f"use data for {' or '.join(kinds)}; in an .npz file integers are classes, and floats are values",
    )


def _check_apart(heads: Sequence[Head], chosen: Sequence[int], targets: Sequence[Target], dataset: str) -> None:
    """Heads of different tasks may read one truth; two of a task that do are a target that is missing."""
    for index in dict.fromkeys(chosen):
        own = [head for head, at in zip(heads, chosen, strict=True) if at == index]
        alike = [head.name for head in own if [other.task for other in own].count(head.task) > 1]
        if alike:
            raise ConfigError(
                f"the model has the heads {', '.join(alike)}; '{dataset}' has one target for them, "
                f"'{targets[index].name}' ({targets[index].task})",
                hint="give a target per head, called like it: y_<head> in an .npz file",
            )


def _check_labels(head: Head, target: Target, dataset: str) -> None:
    ours, theirs = tuple(head.labels), target.labels
    if not ours or ours == theirs:
        return
    task, kind = registry.task_of(head), registry.of_kind(target.task)
    # What a value is called does not change the answer; how many there are, or in which order classes come, does.
    enough = not task.labels_fixed and len(ours) == len(theirs)
    # Identities are never a model's own: it compares those it has not seen.
    if enough or not task.labelled or not kind.labelled:
        return
    different = [f"{a!r} is {b!r}" for a, b in zip(ours, theirs, strict=False) if a != b]
    detail = f"; first: {different[0]}" if different else ""
    raise ConfigError(
        f"the model's {len(ours)} labels are not the {len(theirs)} of '{dataset}'{detail}",
        hint=f"use data with the model's {task.named[1]} in the model's order",
    )
