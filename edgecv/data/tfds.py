"""Data sets of tensorflow-datasets: small ones as arrays, large ones record by record.

Source: https://www.tensorflow.org/datasets/api_docs/python/tfds (`builder`, `as_dataset`, `as_numpy`, `data_source`).
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgecv.core.errors import ConfigError, DataError, EdgecvError, nearest
from edgecv.core.optional import require
from edgecv.data.columns import read_more, read_target
from edgecv.data.dataset import ONLY, Array, Dataset, Image, Images, Split, Target
from edgecv.data.grouping import divide
from edgecv.data.sources import ArrayImages
from edgecv.data.splits import ORDER, TEST_SHARE, VALIDATION_SHARE, Indices
from edgecv.modelio import env

IN_MEMORY_BYTES = 512 * 2**20
"""Decoded samples of a split are kept in memory up to this size; larger ones are read again at each access."""

_ADDRESS = re.compile(r"(?P<name>[^\[\]]+)(\[(?P<split>.+)\])?")
OFFLINE = "download it on a machine with a network and copy the folder TFDS_DATA_DIR, or save it as npz: or folder:"


@dataclass(frozen=True, slots=True)
class RecordImages:
    """Samples of a source with random access, decoded at each access; `index` picks and orders them."""

    records: Any
    key: str
    digests: tuple[bytes, ...]
    index: Indices

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, index: int) -> Image:
        return _sample(self.records[int(self.index[index])][self.key], self.key)

    def take(self, index: Indices) -> RecordImages:
        """Return the samples at `index`."""
        return RecordImages(self.records, self.key, self.digests, self.index[index])

    def digest(self, index: int) -> bytes:
        return self.digests[int(self.index[index])]


@dataclass(frozen=True, slots=True)
class _Part:
    """One split as it is stored: its images by index, and the answers."""

    arrays: Array | None
    records: Any
    digests: tuple[bytes, ...]
    answers: Array
    key: str

    def images(self, index: Indices) -> Images:
        if self.arrays is not None:
            return ArrayImages(self.arrays, index)
        return RecordImages(self.records, self.key, self.digests, index)


def open_tfds(address: str, seed: int) -> Dataset:
    """Open NAME, NAME/CONFIG:VERSION or NAME[SPLIT] of tensorflow-datasets; downloads and prepares it on first use.

    With [SPLIT], for example mnist[train[:10%]], those samples are split in three here. Without, "train" and "test" are
    kept, and "validation" when all three are there; "validation" stands in for a missing "test"; a lone "train" is
    split in three. The sample and its answer are the set's `supervised_keys`.

    A split of images of one size that takes at most 512 MiB is kept in memory. Larger ones, and images of varying
    size, are read by random access from ArrayRecord files, and once through when they are opened.

    Raises:
        MissingDependencyError: tensorflow-datasets is not installed.
        ConfigError: Unknown name or split.
        DataError: It cannot be downloaded, or is no data of images or vectors with one answer each.
    """
    matched = _ADDRESS.fullmatch(address)
    if matched is None:
        raise ConfigError(f"'tfds:{address}' is not a data set address", hint="expected tfds:NAME or tfds:NAME[SPLIT]")
    name, wanted = matched["name"], matched["split"]
    env.tensorflow()
    tfds = require("tensorflow_datasets", why="to read tfds: data sets")
    builder = _builder(tfds, name)
    with _explained(name, "downloaded and prepared"):
        builder.download_and_prepare()
    x, y = _keys(builder.info, name)
    chosen = _chosen(tuple(builder.info.splits), name, wanted)
    with _explained(name, "read"):
        parts = {part: _read(tfds, builder, name, split, x, y) for part, split in chosen.items()}
    labels = getattr(builder.info.features[y], "names", None)
    return _dataset(f"tfds:{address}", name, parts, labels, seed)


def _dataset(uri: str, name: str, parts: Mapping[str, _Part], labels: Any, seed: int) -> Dataset:
    train = parts["train"]
    target, values = read_target(ONLY, train.answers, labels, where=f"{uri}: train")
    splits = {"train": _split("train", train, values, np.arange(len(values)))}
    for part, stored in parts.items():
        if part != "train":
            more = read_more(target, stored.answers, where=f"{uri}: {part}")
            splits[part] = _split(part, stored, more, np.arange(len(more)))
    if "validation" not in parts:
        shares = {} if "test" in parts else {"test": TEST_SHARE}
        splits |= _divided(uri, train, target, values, {**shares, "validation": VALIDATION_SHARE}, seed)
    ordered = {part: splits[part] for part in ORDER}
    return Dataset(name=name, uri=uri, targets=(target,), splits=ordered)


def _divided(
    uri: str, train: _Part, target: Target, values: Array, shares: Mapping[str, float], seed: int
) -> dict[str, Split]:
    everything = train.images(np.arange(len(values)))
    index = divide((target,), (values,), everything, shares, seed=seed, where=uri)
    return {part: _split(part, train, values, chosen) for part, chosen in index.items()}


def _split(name: str, part: _Part, values: Array, index: Indices) -> Split:
    return Split(name=name, images=part.images(index), targets=(values[index],))


def _builder(tfds: Any, name: str) -> Any:
    try:
        with _explained(name, "opened"):
            return tfds.builder(name)
    except DataError as error:
        if not isinstance(error.__cause__, tfds.core.DatasetNotFoundError):
            raise
        known = list(tfds.list_builders())
        match = nearest(re.split(r"[/:]", name)[0], known)
        guess = f"did you mean '{match}'? " if match else ""
        raise ConfigError(
            f"tensorflow-datasets has no data set '{name}'",
            hint=f"{guess}it has {len(known)}: https://www.tensorflow.org/datasets/catalog",
        ) from error


@contextmanager
def _explained(name: str, what: str) -> Iterator[None]:
    try:
        yield
    except EdgecvError:
        raise
    # The package raises whatever its builders and its downloads raise; all of it means that the data is not there.
    except Exception as error:
        first = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise DataError(f"the data set '{name}' cannot be {what}: {first[:300]}", hint=OFFLINE) from error


def _keys(info: Any, name: str) -> tuple[str, str]:
    """Return the names of the sample and of its answer."""
    keys = info.supervised_keys
    if not isinstance(keys, (tuple, list)) or len(keys) != 2 or not all(isinstance(key, str) for key in keys):
        raise DataError(
            f"'{name}' does not say what is to be learnt of a sample: its supervised keys are {keys}",
            hint="save what you need of it as npz: or folder:",
        )
    return keys[0], keys[1]


def _chosen(there: tuple[str, ...], name: str, wanted: str | None) -> dict[str, str]:
    """Return which stored split, or part of one, is read as which split here."""
    if wanted is not None:
        for part in wanted.split("+"):
            if part.split("[")[0] not in (*there, "all"):
                raise ConfigError(f"'{name}' has no split '{part}'", hint=f"it has: {', '.join(sorted(there))}")
        return {"train": wanted}
    if "train" not in there:
        raise ConfigError(
            f"'{name}' has the splits {', '.join(there) or 'none'}, and no train",
            hint=f"name the one to split: tfds:{name}[SPLIT]",
        )
    if "test" in there:
        return {part: part for part in ORDER if part in there}
    return {"train": "train", "test": "validation"} if "validation" in there else {"train": "train"}


def _read(tfds: Any, builder: Any, name: str, split: str, x: str, y: str) -> _Part:
    shape = tuple(builder.info.features[x].shape)
    if not shape or None in shape or _bytes(builder.info, split, x) > IN_MEMORY_BYTES:
        return _read_records(tfds.data_source(name, split=split), x, y)
    rows = list(_rows(tfds, builder, name, split))
    samples = np.stack([_sample(row[x], x) for row in rows]) if rows else np.zeros((0, *shape), np.uint8)
    return _Part(samples, None, (), np.array([row[y] for row in rows]), x)


def _rows(tfds: Any, builder: Any, name: str, split: str) -> Iterator[Any]:
    """Yield the records of a split; files with random access have no `as_dataset`."""
    if getattr(getattr(builder.info, "file_format", None), "value", "") == "array_record":
        records = tfds.data_source(name, split=split)
        yield from (records[position] for position in range(len(records)))
    else:
        yield from tfds.as_numpy(builder.as_dataset(split=split, shuffle_files=False))


def _read_records(records: Any, x: str, y: str) -> _Part:
    answers, digests = [], []
    for position in range(len(records)):
        row = records[position]
        sample = _sample(row[x], x)
        answers.append(row[y])
        digests.append(hashlib.sha256(repr(sample.shape).encode() + sample.tobytes()).digest())
    return _Part(None, records, tuple(digests), np.array(answers), x)


def _bytes(info: Any, split: str, key: str) -> int:
    """Return the size of a split's decoded samples: bytes of pixels, or of float64 vectors."""
    shape = tuple(int(side) for side in info.features[key].shape)
    size = math.prod(shape) * (1 if len(shape) == 3 else 8)
    return int(info.splits[split].num_examples) * size


def _sample(value: Any, key: str) -> Image:
    array = np.asarray(value)
    if array.ndim == 1 and np.issubdtype(array.dtype, np.floating):
        return array.astype(np.float32)
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] not in (1, 3):
        raise DataError(
            f"its '{key}' is {array.dtype} of shape {array.shape}, expected uint8 images (H, W, 1 or 3) or float "
            "vectors (d,)",
            hint="save what you need of it as npz:",
        )
    return array[..., 0] if array.shape[2] == 1 else array
