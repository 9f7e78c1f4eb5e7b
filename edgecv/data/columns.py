"""From an array of answers to what a head learns: the array's type and shape say which task it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edgecv.core.errors import DataError
from edgecv.data.dataset import ONLY, Target
from edgecv.data.splits import check_classes, check_range

Array = np.ndarray[Any, Any]

FORMS = (
    "integers (n,) for classes, floats (n,) or (n, k) for values, 0 and 1 of shape (n, k) for several labels, "
    "uint8 (n, H, W) for masks"
)
IGNORED = 255


def read_target(
    name: str, array: Array, labels: Sequence[str] | None, *, where: str, elsewhere: Sequence[Array] = ()
) -> tuple[Target, Array]:
    """Return what an array of answers asks for, and its values as a split holds them.

    Args:
        name: Of the target.
        array: Integers or bools (n,) or (n, 1): classification. Floats (n,) or (n, k): regression. Bools, or integers
            that are 0 or 1, of shape (n, k > 1): multilabel. uint8 (n, H, W) or (n, H, W, 1): segmentation; 255 is
            a pixel that does not count.
        labels: Names of the classes, labels or values; None numbers them.
        where: The array, for messages.
        elsewhere: The same answers of other splits: a named class that has samples there may have none here.

    Returns:
        The target, and int64 (n,) for classes, float32 (n, k), or uint8 (n, H, W) for masks.

    Raises:
        DataError: The array has another form, or does not hold what its names promise.
    """
    array = _squeezed(array)
    if array.dtype == np.uint8 and array.ndim == 3:
        return _masks(name, array, labels, where)
    if np.issubdtype(array.dtype, np.floating) and array.ndim in (1, 2):
        return _regression(name, array, labels, where)
    if array.ndim == 2 and array.shape[1] > 1 and _is_whole(array):
        return _multilabel(name, array, labels, where)
    if array.ndim != 1 or not _is_whole(array):
        raise DataError(f"{where} is {array.dtype} of shape {array.shape}, expected {FORMS}", hint="see docs/data.md")
    values = array.astype(np.int64)
    names = _class_names(values, labels, where)
    others = [_squeezed(other) for other in elsewhere] if labels is not None else []
    known = [other.astype(np.int64) for other in others if other.ndim == 1 and _is_whole(other)]
    check_classes(values, names, where=where, elsewhere=np.concatenate(known) if known else None)
    return Target(name=name, task="classification", labels=names), values


def classes(labels: tuple[str, ...]) -> tuple[Target, ...]:
    """Return the targets of a data set that has class labels and nothing else."""
    return (Target(name=ONLY, task="classification", labels=labels),)


def read_more(target: Target, array: Array, *, where: str) -> Array:
    """Return the values of a further split of `target`. Raises DataError when they are of another kind."""
    array, k = _squeezed(array), len(target.labels)
    if target.task == "classification":
        if array.ndim != 1 or not _is_whole(array):
            raise DataError(f"{where} is {array.dtype} of shape {array.shape}, expected integers (n,) as in training")
        values = array.astype(np.int64)
        check_range(values, target.labels, where=where)
        return values
    if target.task == "segmentation":
        if array.dtype != np.uint8 or array.ndim != 3:
            raise DataError(f"{where} is {array.dtype} of shape {array.shape}, expected uint8 (n, H, W) as in training")
        check_range(array[array != IGNORED], target.labels, where=where)
        return array
    values = _columns(array)
    right = np.issubdtype(array.dtype, np.floating) if target.task == "regression" else _is_whole(array)
    if not right or values.ndim != 2 or values.shape[1] != k:
        expected = f"{'floats' if target.task == 'regression' else '0 and 1'} of shape (n, {k}) as in training"
        raise DataError(f"{where} is {array.dtype} of shape {array.shape}, expected {expected}")
    _check_binary(values, where) if target.task == "multilabel" else check_finite(values, where)
    return values.astype(np.float32)


def check_finite(array: Array, where: str, *, hint: str = "remove or repair the sample") -> None:
    """Check that no value is NaN or infinite. Raises DataError that says where the first one is."""
    wrong = np.argwhere(~np.isfinite(array))
    if wrong.size:
        at = tuple(wrong[0].tolist())
        value = "NaN" if np.isnan(array[at]) else "an infinite value"
        raise DataError(f"{where} holds {value} at index {at}", hint=hint)


def _masks(name: str, array: Array, labels: Sequence[str] | None, where: str) -> tuple[Target, Array]:
    counted = array[array != IGNORED]
    if counted.size != array.size and not counted.any():
        raise DataError(
            f"{where} holds 0 and 255 alone: 255 stands for pixels that do not count, and one class is left",
            hint="store the object as 1",
        )
    names = _class_names(counted, labels, where)
    check_range(counted, names, where=where)
    settings = {"ignore_index": IGNORED} if counted.size != array.size else {}
    return Target(name=name, task="segmentation", labels=names, settings=settings), array


def _squeezed(array: Array) -> Array:
    """Return an array without a last axis of one: of a column, or of masks."""
    return array[..., 0] if array.ndim in (2, 4) and array.shape[-1] == 1 else array


def _columns(array: Array) -> Array:
    return array[:, None] if array.ndim == 1 else array


def _is_whole(array: Array) -> bool:
    return array.dtype == np.bool_ or bool(np.issubdtype(array.dtype, np.integer))


def _regression(name: str, array: Array, labels: Sequence[str] | None, where: str) -> tuple[Target, Array]:
    values = _columns(array)
    check_finite(values, where)
    k = values.shape[1]
    single = "value" if name == ONLY else name
    names = _names(labels, k, (single,) if k == 1 else None, where, what="values")
    return Target(name=name, task="regression", labels=names), values.astype(np.float32)


def _multilabel(name: str, array: Array, labels: Sequence[str] | None, where: str) -> tuple[Target, Array]:
    _check_binary(array, where)
    # A one-hot matrix means classes; taking it for independent labels would train another kind of network.
    if array.dtype != np.bool_ and (array.sum(axis=1) == 1).all():
        raise DataError(
            f"{where} is {array.dtype} of shape {array.shape} with a single 1 in every row: one-hot classes",
            hint="store class indices (their argmax); if the labels are independent, store bools",
        )
    names = _names(labels, array.shape[1], None, where, what="labels")
    return Target(name=name, task="multilabel", labels=names), array.astype(np.float32)


def _check_binary(array: Array, where: str) -> None:
    wrong = np.argwhere((array != 0) & (array != 1))
    if wrong.size:
        at = tuple(wrong[0].tolist())
        raise DataError(
            f"{where} is {array.dtype} of shape {array.shape} and holds {array[at]} at index {at}, expected 0 or 1",
            hint=f"expected {FORMS}",
        )


def _names(
    labels: Sequence[str] | None, k: int, default: tuple[str, ...] | None, where: str, *, what: str
) -> tuple[str, ...]:
    if labels is None:
        return default or tuple(str(index) for index in range(k))
    names = _distinct(labels, where)
    if len(names) != k:
        raise DataError(
            f"{where} has {k} {what} per sample and {len(names)} names", hint="store classes as integers, not floats"
        )
    return names


def _class_names(values: Array, labels: Sequence[str] | None, where: str) -> tuple[str, ...]:
    if labels is not None:
        return _distinct(labels, where)
    highest = int(values.max()) if values.size else -1
    # More indices than samples cannot all be classes: say so, instead of listing a million empty ones.
    if highest >= values.size:
        at = int(values.argmax())
        raise DataError(
            f"{where}: label {highest} at index {at} is out of range for {values.size} samples",
            hint="number the classes from 0 without gaps, or add class_names",
        )
    return tuple(str(n) for n in range(highest + 1))


def _distinct(labels: Sequence[str], where: str) -> tuple[str, ...]:
    names = tuple(str(name) for name in labels)
    if len(set(names)) != len(names):
        raise DataError(f"{where}: class_names repeats a name", hint="each class needs its own")
    return names
