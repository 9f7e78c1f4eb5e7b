"""Further identities beside those of a data set, for networks that compare: they are learned from, never judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from edgecv.core.errors import ConfigError
from edgecv.data.dataset import Dataset, Image, Images, Split, is_classes


@dataclass(frozen=True, slots=True)
class ChainedImages:
    """Images of several sources, one after the other."""

    parts: tuple[Images, ...]

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)

    def __getitem__(self, index: int) -> Image:
        part, place = self._found(index)
        return part[place]

    def digest(self, index: int) -> bytes:
        part, place = self._found(index)
        return part.digest(place)

    def _found(self, index: int) -> tuple[Images, int]:
        for part in self.parts:
            if index < len(part):
                return part, index
            index -= len(part)
        raise IndexError(index)


def with_more_identities(dataset: Dataset, more: Dataset, kinds: Sequence[str]) -> Dataset:
    """Return a data set whose training split also has that of another one; its identities are others, all of them.

    Validation and test stay as they are.

    Args:
        dataset: Is judged on.
        more: Is learned from alone.
        kinds: Of truth that say who is who, the likeliest first: what the task reads.

    Raises:
        ConfigError: One of the two does not say who is who, or has several inputs.
    """
    columns = [_column(one, kinds) for one in (dataset, more)]
    own, further = dataset.split("train"), more.split("train")
    if own.more_inputs or further.more_inputs:
        raise ConfigError("further identities are for data of single images", hint="leave --also out")
    target, other = dataset.targets[columns[0]], more.targets[columns[1]]
    identities = np.concatenate([own.targets[columns[0]], further.targets[columns[1]] + len(target.labels)])
    split = Split(name="train", images=ChainedImages((own.images, further.images)), targets=(identities,))
    labels = (*target.labels, *(f"{more.name}: {label}" for label in other.labels))
    kept = {name: replace(one, targets=(one.targets[columns[0]],)) for name, one in dataset.splits.items()}
    return replace(
        dataset, name=f"{dataset.name}, {more.name}", targets=(replace(target, labels=labels),),
        splits={**kept, "train": split},
    )  # fmt: skip


def _column(dataset: Dataset, kinds: Sequence[str]) -> int:
    """Return which target says who is who, by whole numbers."""
    columns = dataset.split("train").targets
    known = [target.task if is_classes(columns[place]) else "" for place, target in enumerate(dataset.targets)]
    for kind in kinds:
        if kind in known:
            return known.index(kind)
    raise ConfigError(f"{dataset.name} does not say who is who", hint="take characters, identities:PATH or folder:PATH")
