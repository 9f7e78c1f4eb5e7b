"""Data sets in one .npz file: images or feature vectors, and one or several arrays of answers, split or not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgecv.core.errors import ConfigError, DataError
from edgecv.data.columns import check_finite, read_more, read_target
from edgecv.data.dataset import ALL, ONLY, Dataset, Split, Target
from edgecv.data.grouping import check_apart, completed
from edgecv.data.sources import ArrayImages

Array = np.ndarray[Any, Any]
STORE_UINT8 = "store uint8 pixels in 0..255: normalisation belongs to the model's spec"
SUFFIXES = {"train": "_train", "validation": "_val", "test": "_test"}
"""Split to what the names of its arrays end in; "x_validation" is read as "x_val"."""


@dataclass(frozen=True, slots=True)
class _Part:
    """One set of samples of the file: what goes in, what each head should answer, and which samples belong together."""

    x: Array
    y: tuple[Array, ...]
    groups: Array | None


def open_npz(path: Path, seed: int) -> Dataset:
    """Open an .npz with x and y, or with x_train, y_train, x_test, y_test and, if wished, x_val and y_val.

    The first has the split "all"; in the second, a missing validation split is carved from training by `seed`.

    x is uint8 (n, H, W), (n, H, W, 1) or (n, H, W, 3) RGB, or floats (n, d): feature vectors, kept as float32.
    y is integers (n,) for classes, floats (n,) or (n, k) for values, or 0 and 1 of shape (n, k) for several labels.
    Several targets are y_<head> (y_train_<head>, …) in the order of their names, or of `heads`. `class_names`, or
    `class_names_<head>`, name what is counted. Samples of one value of `groups` (`groups_train`, …) stay together.

    An x alone, or with a y of one class, is data without labels. A class of `class_names` may be missing in training
    when another split has samples of it: enough to calibrate with.

    Raises:
        ConfigError: The file is missing.
        DataError: It is no .npz, or its arrays do not hold what is said above.
    """
    arrays = {name.replace("_validation", "_val"): array for name, array in _read(path).items()}
    whole = "x" in arrays
    if whole and _says_nothing(arrays):
        return _unlabelled(path, arrays)
    needed = ("",) if whole else (SUFFIXES["train"], SUFFIXES["test"])
    heads = _heads(path, arrays, needed)
    targets, parts = _parts(path, arrays, heads, needed)
    check_apart({name: part.groups for name, part in parts.items() if part.groups is not None}, where=str(path))
    given = {name: _split(name, part) for name, part in parts.items()}
    splits = given if whole else completed(targets, given, seed=seed, where=str(path))
    notes = () if whole else _untaught(targets, splits["train"])
    return Dataset(name=path.stem, uri=f"npz:{path}", targets=targets, splits=splits, notes=notes)


def _untaught(targets: tuple[Target, ...], train: Split) -> tuple[str, ...]:
    """Return what to say of classes that training has no samples of."""
    pairs = ((t, len(t.labels) - len(np.unique(y))) for t, y in zip(targets, train.targets, strict=True))
    return tuple(
        f"{missing} of the {len(target.labels)} classes of '{target.name}' have no training samples"
        for target, missing in pairs
        if target.task == "classification" and missing
    )


def _says_nothing(arrays: Mapping[str, Array]) -> bool:
    """Say whether a file that is no presplit one has no answers, or one class without a name for all samples."""
    answers = [name for name in arrays if name == "y" or name.startswith(("y_", "x_"))]
    if answers != ["y"] or "class_names" in arrays:
        return not answers
    y = arrays["y"]
    is_column = y.ndim == 1 or (y.ndim == 2 and y.shape[1] == 1)
    return bool(is_column and y.size and y.dtype.kind in "iub" and (y == 0).all())


def _unlabelled(path: Path, arrays: Mapping[str, Array]) -> Dataset:
    x = _inputs(arrays["x"], f"{path}: x")
    note = f"{len(x)} samples without labels" + (": y holds a single class" if "y" in arrays else "")
    splits = {ALL: _split(ALL, _part(path, arrays, "", (), x))}
    return Dataset(name=path.stem, uri=f"npz:{path}", targets=(), splits=splits, notes=(note,))


def _split(name: str, part: _Part) -> Split:
    groups = None if part.groups is None else np.unique(part.groups, return_inverse=True)[1].reshape(-1)
    return Split(name=name, images=ArrayImages(part.x, np.arange(len(part.x))), targets=part.y, groups=groups)


def _read(path: Path) -> dict[str, Array]:
    if not path.is_file():
        raise ConfigError(f"data set {path} does not exist", hint="check the path after npz:")
    try:
        archive = np.load(path, allow_pickle=False)
        if isinstance(archive, np.ndarray):
            raise DataError(f"{path} holds a single array, expected an .npz archive", hint="use numpy.savez")
        with archive:
            return {name: archive[name] for name in archive.files}
    except DataError:
        raise
    # numpy, zipfile and zlib answer damage with some ten kinds of exceptions.
    except Exception as error:
        raise DataError(f"{path} is not a readable .npz file: {error}", hint="write it with numpy.savez") from error


def _heads(path: Path, arrays: Mapping[str, Array], needed: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of the targets: one that is called `ONLY`, or those after y_ in the wished order."""
    first = f"y{needed[0]}"
    named = sorted(name[len(first) + 1 :] for name in arrays if name.startswith(f"{first}_"))
    found = (ONLY,) if first in arrays else tuple(named)
    missing = [f"x{suffix}" for suffix in needed if f"x{suffix}" not in arrays]
    if missing or not found:
        raise DataError(
            f"{path} has the arrays {', '.join(sorted(arrays)) or 'none'}, "
            "expected x and y, or x_train, y_train, x_test, y_test",
            hint="save it with numpy.savez(path, x_train=..., y_train=..., x_test=..., y_test=...)",
        )
    both = sorted(name for name in ("x_train", "x_test", "x_val") if not needed[0] and name in arrays)
    if both:
        raise DataError(f"{path} has both x and {both[0]}", hint="save the whole set, or its splits, not both")
    if first in arrays and named:
        raise DataError(f"{path} has both {first} and {first}_{named[0]}", hint="name every target, or have just one")
    if "heads" not in arrays:
        return found
    wished = tuple(str(name) for name in arrays["heads"].ravel())
    if sorted(wished) != sorted(found):
        raise DataError(f"{path}: heads says {', '.join(wished)}, the targets are {', '.join(found)}")
    return wished


def _parts(
    path: Path, arrays: Mapping[str, Array], heads: tuple[str, ...], needed: tuple[str, ...]
) -> tuple[tuple[Target, ...], dict[str, _Part]]:
    first = _inputs(arrays[f"x{needed[0]}"], f"{path}: x{needed[0]}")
    read = [
        read_target(
            head, _answers(path, arrays, needed[0], head), _labels(arrays, head),
            where=f"{path}: {_key(needed[0], head)}", elsewhere=_elsewhere(arrays, head) if needed[0] else (),
        )
        for head in heads
    ]  # fmt: skip
    targets = tuple(target for target, _ in read)
    values = tuple(values for _, values in read)
    parts = {"train" if needed[0] else ALL: _part(path, arrays, needed[0], values, first)}
    for name, suffix in SUFFIXES.items():
        if needed[0] == "" or name == "train" or not {f"x{suffix}", _key(suffix, heads[0])} & arrays.keys():
            continue
        if f"x{suffix}" not in arrays:
            raise DataError(f"{path} has y{suffix} without x{suffix}", hint="save both, or neither")
        x = _inputs(arrays[f"x{suffix}"], f"{path}: x{suffix}")
        answers = [(target, _answers(path, arrays, suffix, target.name)) for target in targets]
        more = tuple(read_more(t, y, where=f"{path}: {_key(suffix, t.name)}") for t, y in answers)
        parts[name] = _part(path, arrays, suffix, more, x)
    _check_alike(path, parts)
    return targets, parts


def _elsewhere(arrays: Mapping[str, Array], head: str) -> list[Array]:
    """Return a head's answers in the splits that are not for training."""
    keys = (_key(suffix, head) for name, suffix in SUFFIXES.items() if name != "train")
    return [arrays[key] for key in keys if key in arrays]


def _part(path: Path, arrays: Mapping[str, Array], suffix: str, y: tuple[Array, ...], x: Array) -> _Part:
    for values in y:
        if len(values) != len(x):
            raise DataError(
                f"{path}: x{suffix} has {len(x)} images and y{suffix} {len(values)} labels",
                hint="each image needs one label",
            )
    groups = arrays.get(f"groups{suffix}")
    if groups is not None and (groups.shape != (len(x),) or groups.dtype.kind not in "iuUS"):
        raise DataError(
            f"{path}: groups{suffix} is {groups.dtype} of shape {groups.shape}, expected integers or strings "
            f"of shape ({len(x)},)",
            hint="give each sample the number or name of the group it belongs to",
        )
    return _Part(x, y, groups)


def _key(suffix: str, head: str) -> str:
    return f"y{suffix}" if head == ONLY else f"y{suffix}_{head}"


def _answers(path: Path, arrays: Mapping[str, Array], suffix: str, head: str) -> Array:
    key = _key(suffix, head)
    # A single target may be called "output" in the file as well.
    found = arrays.get(key, arrays.get(f"y{suffix}_{head}"))
    if found is None:
        raise DataError(f"{path} has no {key}", hint="every split needs every target")
    return found


def _labels(arrays: Mapping[str, Array], head: str) -> tuple[str, ...] | None:
    names = arrays.get("class_names" if head == ONLY else f"class_names_{head}")
    return None if names is None else tuple(str(name) for name in names.ravel())


def _inputs(array: Array, where: str) -> Array:
    if np.issubdtype(array.dtype, np.floating):
        check_finite(array, where, hint=STORE_UINT8 if array.ndim > 2 else "remove or repair the sample")
        if array.ndim == 2 and 0 not in array.shape:
            return _vectors(array, where)
    if array.dtype != np.uint8:
        raise DataError(
            f"{where} is {array.dtype}, expected uint8", hint=f"{STORE_UINT8}; feature vectors are floats (n, d)"
        )
    if array.ndim == 4 and array.shape[3] == 1:
        array = array[..., 0]
    if array.ndim not in (3, 4) or (array.ndim == 4 and array.shape[3] != 3) or 0 in array.shape:
        raise DataError(
            f"{where} has shape {array.shape}, expected (n, height, width) or (n, height, width, 1 or 3)",
            hint="channels come last; feature vectors are floats (n, d)",
        )
    return array


def _vectors(array: Array, where: str) -> Array:
    with np.errstate(over="ignore"):
        vectors = array.astype(np.float32)
    check_finite(vectors, f"{where}, as float32,")
    return vectors


def _check_alike(path: Path, parts: Mapping[str, _Part]) -> None:
    """Check that every split holds images, or every split feature vectors of one length."""
    kinds = {name: part.x.shape[1:] if part.x.dtype == np.float32 else () for name, part in parts.items()}
    odd = next((name for name, kind in kinds.items() if name != ALL and kind != kinds["train"]), None)
    if odd is not None:
        raise DataError(
            f"{path}: x_train is {parts['train'].x.dtype} of shape {parts['train'].x.shape}, "
            f"x{SUFFIXES[odd]} {parts[odd].x.dtype} of shape {parts[odd].x.shape}",
            hint="every split needs samples of one kind",
        )
