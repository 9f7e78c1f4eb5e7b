"""Data sets in one .npz file: uint8 images and integer labels, split or not."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgecv.data.dataset import Dataset, Split
from edgecv.data.sources import ArrayImages
from edgecv.data.splits import TEST_SHARE, VALIDATION_SHARE, Indices, check_classes, check_range, stratified
from edgecv.errors import ConfigError, DataError

Array = np.ndarray[Any, Any]
WHOLE, PARTS = ("x", "y"), ("x_train", "y_train", "x_test", "y_test")
STORE_UINT8 = "store uint8 pixels in 0..255: normalisation belongs to the model's spec"


def open_npz(path: Path, seed: int) -> Dataset:
    """Open an .npz with x, y or with x_train, y_train, x_test, y_test, and optionally class_names.

    Images are uint8 (n, H, W), (n, H, W, 1) or (n, H, W, 3) RGB; labels are integers 0..classes-1, (n,) or (n, 1).

    Raises:
        ConfigError: The file is missing.
        DataError: It is no .npz, or its arrays do not hold what is said above.
    """
    arrays = _read(path)
    whole = set(WHOLE) <= set(arrays)
    if not whole and not set(PARTS) <= set(arrays):
        raise DataError(
            f"{path} has the arrays {', '.join(sorted(arrays)) or 'none'}, expected x and y, or {', '.join(PARTS)}",
            hint="save it with numpy.savez(path, x_train=..., y_train=..., x_test=..., y_test=...)",
        )
    opened = _whole(path, arrays, seed) if whole else _parts(path, arrays, seed)
    labels, splits = opened
    return Dataset(name=path.stem, uri=f"npz:{path}", labels=labels, splits=splits)


def _read(path: Path) -> dict[str, Array]:
    if not path.is_file():
        raise ConfigError(f"data set {path} does not exist", hint="check the path after npz:")
    try:
        archive = np.load(path, allow_pickle=False)
        if isinstance(archive, np.ndarray):
            raise DataError(f"{path} holds a single array, expected an .npz archive", hint="use numpy.savez")
        with archive:
            return {name: archive[name] for name in archive.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is not a readable .npz file: {error}", hint="write it with numpy.savez") from error


def _whole(path: Path, arrays: Mapping[str, Array], seed: int) -> tuple[tuple[str, ...], dict[str, Split]]:
    images, values = _pair(path, arrays, "x", "y")
    names = _names(path, arrays, values)
    check_classes(values, names, where=f"{path}: y")
    shares = {"test": TEST_SHARE, "validation": VALIDATION_SHARE}
    parts = stratified(values, names, shares, seed=seed, where=str(path))
    return names, {name: _split(name, images, values, index) for name, index in parts.items()}


def _parts(path: Path, arrays: Mapping[str, Array], seed: int) -> tuple[tuple[str, ...], dict[str, Split]]:
    images, values = _pair(path, arrays, "x_train", "y_train")
    test_images, test_values = _pair(path, arrays, "x_test", "y_test")
    names = _names(path, arrays, values)
    check_classes(values, names, where=f"{path}: y_train")
    check_range(test_values, names, where=f"{path}: y_test")
    parts = stratified(values, names, {"validation": VALIDATION_SHARE}, seed=seed, where=str(path))
    splits = {name: _split(name, images, values, index) for name, index in parts.items()}
    return names, splits | {"test": _split("test", test_images, test_values, np.arange(len(test_values)))}


def _split(name: str, images: Array, values: Indices, index: Indices) -> Split:
    return Split(name=name, images=ArrayImages(images, index), labels=values[index])


def _pair(path: Path, arrays: Mapping[str, Array], x: str, y: str) -> tuple[Array, Indices]:
    images, values = _images(arrays[x], f"{path}: {x}"), _labels(arrays[y], f"{path}: {y}")
    if len(images) != len(values):
        raise DataError(
            f"{path}: {x} has {len(images)} images and {y} {len(values)} labels", hint="each image needs one label"
        )
    return images, values


def _images(array: Array, where: str) -> Array:
    if np.issubdtype(array.dtype, np.floating):
        wrong = np.argwhere(~np.isfinite(array))
        if wrong.size:
            at = tuple(wrong[0].tolist())
            value = "NaN" if np.isnan(array[at]) else "an infinite value"
            raise DataError(f"{where} holds {value} at index {at}", hint=STORE_UINT8)
    if array.dtype != np.uint8:
        raise DataError(f"{where} is {array.dtype}, expected uint8", hint=STORE_UINT8)
    if array.ndim == 4 and array.shape[3] == 1:
        array = array[..., 0]
    if array.ndim not in (3, 4) or (array.ndim == 4 and array.shape[3] != 3) or 0 in array.shape:
        raise DataError(
            f"{where} has shape {array.shape}, expected (n, height, width) or (n, height, width, 1 or 3)",
            hint="channels come last",
        )
    return array


def _labels(array: Array, where: str) -> Indices:
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1 or not np.issubdtype(array.dtype, np.integer):
        raise DataError(
            f"{where} is {array.dtype} of shape {array.shape}, expected integers of shape (n,)",
            hint="store class indices 0..classes-1; for one-hot labels, their argmax",
        )
    return array.astype(np.int64)


def _names(path: Path, arrays: Mapping[str, Array], values: Indices) -> tuple[str, ...]:
    if "class_names" in arrays:
        names = tuple(str(name) for name in arrays["class_names"].ravel())
        if len(set(names)) != len(names):
            raise DataError(f"{path}: class_names repeats a name", hint="each class needs its own")
        return names
    highest = int(values.max()) if values.size else -1
    # More indices than samples cannot all be classes: say so, instead of listing a million empty ones.
    if highest >= values.size:
        at = int(values.argmax())
        raise DataError(
            f"{path}: label {highest} at index {at} is out of range for {values.size} samples",
            hint="number the classes from 0 without gaps, or add class_names",
        )
    return tuple(str(n) for n in range(highest + 1))
