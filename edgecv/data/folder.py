"""Data sets as folders: a directory per class, or train/ and test/ (and validation/) with class directories each.

Images that no two directories tell apart are data without labels: enough to calibrate with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgecv.core.errors import ConfigError, DataError
from edgecv.data.columns import classes
from edgecv.data.dataset import ALL, Dataset, Split
from edgecv.data.grouping import completed
from edgecv.data.sources import FileImages, check_header
from edgecv.data.splits import Indices, check_classes
from edgecv.data.tree import PARTS, directories, images_under


@dataclass(frozen=True, slots=True)
class _Listing:
    """Image files under one directory of classes, and the class index of each."""

    paths: tuple[Path, ...]
    labels: Indices


def open_folder(root: Path, seed: int) -> Dataset:
    """Open a folder of class directories. Class order is the sorted order of the directory names.

    Images are found by suffix, at any depth below their class; other files and hidden ones are left out. Every
    image's header is read now, its pixels when asked for. Images beside each other, or in a single directory, have no
    labels.

    Raises:
        ConfigError: The folder is missing.
        DataError: No images, classes a level further down, an empty class, splits that disagree, a file that is no
            image.
    """
    if not root.is_dir():
        raise ConfigError(f"data set folder {root} does not exist", hint="check the path after folder:")
    children = directories(root)
    _check_parts(root, children)
    if len(children) < 2:
        return _unlabelled(root, tuple(children))
    if {"train", "test"} <= children.keys() <= PARTS.keys() and directories(children["train"]):
        labels, splits = _presplit(root, children, seed)
    else:
        labels, splits = _flat(root, children)
    return Dataset(name=root.resolve().name, uri=f"folder:{root}", targets=classes(labels), splits=splits)


def _unlabelled(root: Path, names: tuple[str, ...]) -> Dataset:
    if names and len(directories(root / names[0])) > 1:
        raise DataError(
            f"{root} holds '{names[0]}' alone, which has directories of its own: are they the classes?",
            hint=f"use folder:{root / names[0]}",
        )
    paths = images_under(root)
    if not paths:
        raise DataError(
            f"{root} holds no images", hint="make one directory per class with its images in it; or put images in it"
        )
    for path in paths:
        check_header(path)
    why = f"'{names[0]}' alone tells nothing apart" if names else "no class directories"
    note = f"{len(paths)} images without labels: {why}"
    splits = {ALL: Split(name=ALL, images=FileImages(tuple(paths)), targets=())}
    return Dataset(name=root.resolve().name, uri=f"folder:{root}", targets=(), splits=splits, notes=(note,))


def _check_parts(root: Path, children: Mapping[str, Path]) -> None:
    """Check that folders which are all called like splits are not taken for classes."""
    there = {PARTS[name] for name in children if name in PARTS and directories(children[name])}
    twice = sorted(name for name in children if PARTS.get(name) == "validation")
    if len(twice) > 1 and children.keys() <= PARTS.keys():
        raise DataError(f"{root} holds both {twice[0]} and {twice[1]}", hint="put the images of both in one of them")
    if there and children.keys() <= PARTS.keys() and not {"train", "test"} <= there:
        missing = ", ".join(name for name in ("train", "test") if name not in there)
        raise DataError(
            f"{root} holds the splits {', '.join(sorted(children))} and no {missing}",
            hint="add it with the same class directories, or put all classes directly in the folder to have it split",
        )


def _flat(root: Path, children: Mapping[str, Path]) -> tuple[tuple[str, ...], dict[str, Split]]:
    names = tuple(children)
    return names, {ALL: _split(ALL, _list(root, names))}


def _presplit(root: Path, children: Mapping[str, Path], seed: int) -> tuple[tuple[str, ...], dict[str, Split]]:
    names = tuple(directories(children["train"]))
    given = {PARTS[name]: _split(PARTS[name], _list(path, names)) for name, path in children.items()}
    return names, completed(classes(names), given, seed=seed, where=str(root))


def _list(folder: Path, names: tuple[str, ...]) -> _Listing:
    found = tuple(directories(folder))
    if not found:
        raise DataError(
            f"{folder} has no class directories", hint="make one directory per class, with its images in it"
        )
    if set(found) != set(names):
        odd = ", ".join(sorted(set(found) ^ set(names)))
        raise DataError(f"{folder} and its train/ differ in the classes {odd}", hint="every split needs every class")
    paths, labels = [], []
    for index, name in enumerate(names):
        members = images_under(folder / name)
        paths += members
        labels += [index] * len(members)
    values = np.array(labels, np.int64)
    check_classes(values, names, where=str(folder))
    for path in paths:
        check_header(path)
    return _Listing(tuple(paths), values)


def _split(name: str, listing: _Listing) -> Split:
    return Split(name=name, images=FileImages(listing.paths), targets=(listing.labels,))
