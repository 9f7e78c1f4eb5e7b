"""What a data set is: named splits of images with labels, and how it is described."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from edgecv.errors import DataError, unknown_name

Image = np.ndarray[Any, Any]


class Images(Protocol):
    """Where a split's images come from; `digest(i)` identifies the content of image i without decoding it."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Image: ...

    def digest(self, index: int) -> bytes: ...


# Not slotted: cached_property keeps the hash in the instance.
@dataclass(frozen=True, kw_only=True)
class Split:
    """Samples for one purpose.

    Attributes:
        name: "train", "validation" or "test".
        images: uint8 (H, W) or (H, W, 3), RGB, read when asked for.
        labels: int64 (n,), an index into the data set's labels.
    """

    name: str
    images: Images
    labels: np.ndarray[Any, np.dtype[np.int64]]

    def __post_init__(self) -> None:
        if len(self.images) != len(self.labels):
            raise DataError(f"split '{self.name}' has {len(self.images)} images and {len(self.labels)} labels")

    def __len__(self) -> int:
        return len(self.labels)

    def image(self, index: int) -> Image:
        """Return image `index`, uint8 (H, W) or (H, W, 3).

        Raises:
            DataError: The file is corrupt or gone; the message names it.
        """
        return self.images[index]

    def __iter__(self) -> Iterator[tuple[Image, int]]:
        return ((self.image(i), int(label)) for i, label in enumerate(self.labels))

    @cached_property
    def sha256(self) -> str:
        """SHA-256 over every sample in order: its label and its content (array, or bytes of its file)."""
        digest = hashlib.sha256()
        for index, label in enumerate(self.labels):
            digest.update(int(label).to_bytes(8, "little") + self.images.digest(index))
        return digest.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """A labelled image data set.

    Attributes:
        uri: What it was opened from: "digits", "npz:PATH", "folder:PATH".
        labels: Class names in index order.
        splits: "train", "validation" and "test"; no sample is in two of them.
    """

    name: str
    uri: str
    labels: tuple[str, ...]
    splits: Mapping[str, Split]

    def split(self, name: str) -> Split:
        """Return a split by name. Raises ConfigError, with the nearest match, when there is none."""
        if name not in self.splits:
            raise unknown_name("split", name, self.splits)
        return self.splits[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSummary:
    """Sizes and class balance.

    Attributes:
        counts: Split to number of samples of each class, in label order.
        imbalance: Largest class of the training split over its smallest; 1.0 is balanced.
    """

    name: str
    uri: str
    labels: tuple[str, ...]
    counts: Mapping[str, tuple[int, ...]]
    imbalance: float


def describe(dataset: Dataset) -> DatasetSummary:
    """Return how many samples of each class each split holds."""
    n = len(dataset.labels)
    counts = {name: tuple(np.bincount(s.labels, minlength=n).tolist()) for name, s in dataset.splits.items()}
    train = counts["train"]
    return DatasetSummary(
        name=dataset.name, uri=dataset.uri, labels=dataset.labels, counts=counts, imbalance=max(train) / min(train)
    )
