"""Data sets as folders: a directory per class, or train/ and test/ (and validation/) with class directories each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgecv.core.errors import ConfigError, DataError
from edgecv.data.dataset import Dataset, Split, classes
from edgecv.data.grouping import divide
from edgecv.data.sources import SUFFIXES, FileImages, check_header
from edgecv.data.splits import TEST_SHARE, VALIDATION_SHARE, Indices, check_classes

PARTS = {"train": "train", "test": "test", "validation": "validation", "val": "validation"}


@dataclass(frozen=True, slots=True)
class _Listing:
    """Image files under one directory of classes, and the class index of each."""

    paths: tuple[Path, ...]
    labels: Indices


def open_folder(root: Path, seed: int) -> Dataset:
    """Open a folder of class directories. Class order is the sorted order of the directory names.

    Images are found by suffix, at any depth below their class; other files and hidden ones are left out. Every
    image's header is read now, its pixels when asked for.

    Raises:
        ConfigError: The folder is missing.
        DataError: No class directories, a single class, an empty class, splits that disagree, a file that is no image.
    """
    if not root.is_dir():
        raise ConfigError(f"data set folder {root} does not exist", hint="check the path after folder:")
    children = _directories(root)
    _check_parts(root, children)
    if {"train", "test"} <= children.keys() <= PARTS.keys() and _directories(children["train"]):
        labels, splits = _presplit(root, children, seed)
    else:
        labels, splits = _flat(root, children, seed)
    return Dataset(name=root.resolve().name, uri=f"folder:{root}", targets=classes(labels), splits=splits)


def _check_parts(root: Path, children: Mapping[str, Path]) -> None:
    """Check that folders which are all called like splits are not taken for classes."""
    there = {PARTS[name] for name in children if name in PARTS and _directories(children[name])}
    twice = {"val", "validation"} & children.keys()
    if len(twice) == 2 and children.keys() <= PARTS.keys():
        raise DataError(f"{root} holds both val and validation", hint="put the images of both in one of them")
    if there and children.keys() <= PARTS.keys() and not {"train", "test"} <= there:
        missing = ", ".join(name for name in ("train", "test") if name not in there)
        raise DataError(
            f"{root} holds the splits {', '.join(sorted(children))} and no {missing}",
            hint="add it with the same class directories, or put all classes directly in the folder to have it split",
        )


def _flat(root: Path, children: Mapping[str, Path], seed: int) -> tuple[tuple[str, ...], dict[str, Split]]:
    names = tuple(children)
    listing = _list(root, names)
    shares = {"test": TEST_SHARE, "validation": VALIDATION_SHARE}
    parts = _divide(listing, names, shares, seed, root)
    return names, {name: _split(name, listing, index) for name, index in parts.items()}


def _presplit(root: Path, children: Mapping[str, Path], seed: int) -> tuple[tuple[str, ...], dict[str, Split]]:
    names = tuple(_directories(children["train"]))
    given = {PARTS[name]: _list(path, names) for name, path in children.items()}
    splits = {name: _split(name, listing, np.arange(len(listing.paths))) for name, listing in given.items()}
    if "validation" not in given:
        train = given["train"]
        parts = _divide(train, names, {"validation": VALIDATION_SHARE}, seed, root)
        splits |= {name: _split(name, train, index) for name, index in parts.items()}
    return names, {name: splits[name] for name in ("train", "validation", "test")}


def _divide(
    listing: _Listing, names: tuple[str, ...], shares: Mapping[str, float], seed: int, root: Path
) -> dict[str, Indices]:
    images = FileImages(listing.paths)
    return divide(classes(names), (listing.labels,), images, shares, seed=seed, where=str(root))


def _list(folder: Path, names: tuple[str, ...]) -> _Listing:
    found = tuple(_directories(folder))
    if not found:
        raise DataError(
            f"{folder} has no class directories", hint="make one directory per class, with its images in it"
        )
    if set(found) != set(names):
        odd = ", ".join(sorted(set(found) ^ set(names)))
        raise DataError(f"{folder} and its train/ differ in the classes {odd}", hint="every split needs every class")
    paths, labels = [], []
    for index, name in enumerate(names):
        members = _images(folder / name)
        paths += members
        labels += [index] * len(members)
    values = np.array(labels, np.int64)
    check_classes(values, names, where=str(folder))
    for path in paths:
        check_header(path)
    return _Listing(tuple(paths), values)


def _images(folder: Path) -> list[Path]:
    return sorted(
        p
        for p in folder.rglob("*")
        if p.suffix.lower() in SUFFIXES
        and p.is_file()
        and not any(_hidden(part) for part in p.relative_to(folder).parts)
    )


def _directories(folder: Path) -> dict[str, Path]:
    return {p.name: p for p in sorted(folder.iterdir()) if p.is_dir() and not _hidden(p.name)}


def _hidden(name: str) -> bool:
    return name.startswith((".", "__"))


def _split(name: str, listing: _Listing, index: Indices) -> Split:
    images = FileImages(tuple(listing.paths[i] for i in index))
    return Split(name=name, images=images, targets=(listing.labels[index],))
