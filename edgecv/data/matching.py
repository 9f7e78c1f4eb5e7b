"""Which target of a data set each head of a model is about."""

from __future__ import annotations

from collections.abc import Sequence

from edgecv.core.errors import ConfigError
from edgecv.data.dataset import Target
from edgecv.values.specs import Head


def match_targets(heads: Sequence[Head], targets: Sequence[Target], *, dataset: str) -> tuple[int, ...]:
    """Return the index of each head's target: by name when all heads are called like targets, else by position.

    Args:
        heads: Of a model.
        targets: Of a data set.
        dataset: Its name, for messages.

    Raises:
        ConfigError: There are fewer or more targets than heads and no names that say which, a target is of another
            task, or its labels are not the head's.
    """
    names = [target.name for target in targets]
    if all(head.name in names for head in heads):
        chosen = tuple(names.index(head.name) for head in heads)
    elif len(heads) == len(targets):
        chosen = tuple(range(len(targets)))
    else:
        raise ConfigError(
            f"the model has the heads {', '.join(head.name for head in heads)}, '{dataset}' the targets "
            f"{', '.join(names)}",
            hint="call the targets like the heads: y_<head> in an .npz file",
        )
    for head, index in zip(heads, chosen, strict=True):
        _check(head, targets[index], dataset)
    return chosen


def _check(head: Head, target: Target, dataset: str) -> None:
    if head.task != target.task:
        raise ConfigError(
            f"head '{head.name}' is for {head.task}, target '{target.name}' of '{dataset}' for {target.task}",
            hint="use data whose targets are of the heads' kind",
        )
    ours, theirs = tuple(head.labels), target.labels
    # What a value is called does not change the answer; how many there are, or in which order classes come, does.
    same = len(ours) == len(theirs) if head.task == "regression" else ours == theirs
    if not ours or same:
        return
    different = [f"{a!r} is {b!r}" for a, b in zip(ours, theirs, strict=False) if a != b]
    detail = f"; first: {different[0]}" if different else ""
    what = "classes" if head.task == "classification" else "labels"
    raise ConfigError(
        f"the model's {len(ours)} labels are not the {len(theirs)} of '{dataset}'{detail}",
        hint=f"use data with the model's {what} in the model's order",
    )
