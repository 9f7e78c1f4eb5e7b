"""Data sets of who is who: a folder per identity, for models that compare."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from edgecv.core.errors import DataError
from edgecv.data.dataset import ALL, Dataset, Split, Target
from edgecv.data.grouping import completed
from edgecv.data.sources import FileImages, check_header
from edgecv.data.tree import PARTS, directories, images_under, require_folder


def open_identities(root: Path, seed: int) -> Dataset:
    """Open a folder with a folder of images per identity, or train/ and test/ with such folders.

    Identities of the splits may differ: a model that compares is best tested on those it has never seen. The labels are
    all of them, sorted.

    Raises:
        ConfigError: The folder is missing.
        DataError: An identity has a single image, there is one identity or none, or a file is no image.
    """
    require_folder(root, "identities")
    children = directories(root)
    split = children and children.keys() <= PARTS.keys() and any(directories(path) for path in children.values())
    folders = {PARTS[name]: directories(path) for name, path in children.items()} if split else {ALL: children}
    if split and len(folders) < len(children):
        raise DataError(f"{root} holds a split twice: {', '.join(children)}", hint="put both in one folder")
    labels = tuple(sorted({name for each in folders.values() for name in each}))
    splits = {part: _split(part, each, labels, root) for part, each in folders.items()}
    targets = (Target(name="identity", task="embedding", labels=labels),)
    made = completed(targets, splits, seed=seed, where=str(root)) if split else splits
    return Dataset(name=root.resolve().name, uri=f"identities:{root}", targets=targets, splits=made)


def _split(name: str, folders: Mapping[str, Path], labels: tuple[str, ...], root: Path) -> Split:
    if len(folders) < 2:
        where = root if name == ALL else f"{root} ({name})"
        raise DataError(
            f"{where} has {len(folders)} identities, expected 2 or more", hint="make a folder of images for each"
        )
    found = {identity: images_under(folder) for identity, folder in folders.items()}
    lonely = next((identity for identity, paths in found.items() if len(paths) < 2), None)
    if lonely is not None:
        raise DataError(
            f"identity '{lonely}' has {'one image' if found[lonely] else 'no images'} in {folders[lonely]}, "
            "expected 2 or more",
            hint="add another image of it, or remove its folder: one image cannot be compared with its own kind",
        )
    paths = tuple(path for each in found.values() for path in each)
    for path in paths:
        check_header(path)
    numbers = {identity: number for number, identity in enumerate(labels)}
    owner = np.repeat([numbers[identity] for identity in found], [len(each) for each in found.values()])
    return Split(name=name, images=FileImages(paths), targets=(owner.astype(np.int64),))
