"""What a data set is: named splits of samples with what each head learns of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from edgecv.core.errors import DataError, unknown_name
from edgecv.values.specs import Task

Array = np.ndarray[Any, Any]
Image = np.ndarray[Any, Any]

ONLY = "output"
"""Name of the target of a data set that has a single one."""


class Images(Protocol):
    """Where a split's images come from; `digest(i)` identifies the content of image i without decoding it."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Image: ...

    def digest(self, index: int) -> bytes: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What one head learns.

    Attributes:
        name: "output" when it is the only one, else the head's name in the data.
        task: "classification", "multilabel" or "regression".
        labels: Class names in index order; for multilabel and regression one name per column.
    """

    name: str
    task: Task
    labels: tuple[str, ...]


# Not slotted: cached_property keeps the hash in the instance.
@dataclass(frozen=True, kw_only=True)
class Split:
    """Samples for one purpose.

    Attributes:
        name: "train", "validation" or "test".
        images: uint8 (H, W) or (H, W, 3), RGB, or float32 (d,) for feature vectors; read when asked for.
        targets: One array per target of the data set. Classification: int64 (n,), an index into the target's labels;
            multilabel: float32 (n, k) of 0 and 1; regression: float32 (n, k), in the labels' own units.
    """

    name: str
    images: Images
    targets: tuple[Array, ...]

    def __post_init__(self) -> None:
        for target in self.targets:
            if len(self.images) != len(target):
                raise DataError(f"split '{self.name}' has {len(self.images)} images and {len(target)} labels")
            if (target.dtype, target.ndim) not in ((np.int64, 1), (np.float32, 2)):
                raise DataError(
                    f"a target of split '{self.name}' is {target.dtype} of shape {target.shape}, "
                    "expected int64 (n,) or float32 (n, k)"
                )

    def __len__(self) -> int:
        return len(self.images)

    @property
    def labels(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """The first target of a classification data set: int64 (n,).

        Raises:
            DataError: The first target is no classification.
        """
        if not self.targets or self.targets[0].ndim != 1:
            raise DataError(
                f"split '{self.name}' has no class labels: its first target is multilabel or regression",
                hint="use data with integer labels, or a model whose first head takes such targets",
            )
        return self.targets[0]

    @cached_property
    def strata(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """What stratified choices go by, int64 (n,).

        The first classification target; without one, the number of the row's pattern in the first multilabel target;
        without either, zeros.
        """
        classes = next((target for target in self.targets if target.ndim == 1), None)
        if classes is not None:
            return classes
        binary = next((target for target in self.targets if np.isin(target, (0, 1)).all()), None)
        if binary is None or not len(self):
            return np.zeros(len(self), np.int64)
        return np.unique(binary, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)

    def image(self, index: int) -> Image:
        """Return sample `index`: uint8 (H, W) or (H, W, 3), or float32 (d,).

        Raises:
            DataError: The file is corrupt or gone; the message names it.
        """
        return self.images[index]

    def __iter__(self) -> Iterator[tuple[Image, int]]:
        """Yield each sample with its class. Raises DataError when the first target is no classification."""
        return ((self.image(i), int(label)) for i, label in enumerate(self.labels))

    @cached_property
    def sha256(self) -> str:
        """SHA-256 over every sample in order: its targets and its content (array, or bytes of its file)."""
        digest = hashlib.sha256()
        stored = [target.astype(target.dtype.newbyteorder("<")) for target in self.targets]
        for index in range(len(self)):
            for target in stored:
                digest.update(target[index].tobytes())
            digest.update(self.images.digest(index))
        return digest.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A labelled data set.

    Attributes:
        uri: What it was opened from: "digits", "npz:PATH", "folder:PATH", …
        targets: What there is to learn, in the order of the model's heads.
        splits: "train", "validation" and "test"; no sample is in two of them.
    """

    name: str
    uri: str
    targets: tuple[Target, ...]
    splits: Mapping[str, Split]

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels of the first target."""
        return self.targets[0].labels

    def split(self, name: str) -> Split:
        """Return a split by name. Raises ConfigError, with the nearest match, when there is none."""
        if name not in self.splits:
            raise unknown_name("split", name, self.splits)
        return self.splits[name]


def classes(labels: tuple[str, ...]) -> tuple[Target, ...]:
    """Return the targets of a data set that has class labels and nothing else."""
    return (Target(name=ONLY, task="classification", labels=labels),)
