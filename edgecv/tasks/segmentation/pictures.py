"""Pictures of masks: colours on the image, with a legend; truth and prediction side by side."""

from __future__ import annotations

from typing import Any, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.tasks import drawing

Array = NDArray[Any]

LEGEND = 6  # classes named, those of most pixels


def colored(image: Array, mask: Array, labels: Sequence[str]) -> Any:
    """Return a Pillow image with each class in its colour, and the names of those with most pixels on it.

    Args:
        image: uint8 (H, W) or (H, W, 3).
        mask: Integers (H, W), of the image's size; what is no index of `labels` stays as it is.
        labels: One per class; empty names the classes by their index.
    """
    picture, scale = drawing.canvas(image)
    found, counts = np.unique(mask, return_counts=True)
    shown = [(int(count), int(index)) for index, count in zip(found, counts) if not labels or index < len(labels)]
    for _, index in shown:
        drawing.overlay_mask(picture, mask == index, drawing.palette(index))
    _legend(picture, [index for _, index in sorted(shown, reverse=True)[:LEGEND]], labels, scale)
    return picture


def compared(image: Array, prediction: Optional[Array], truth: Optional[Array], labels: Tuple[str, ...]) -> Any:
    """Return the image, its truth and its prediction in a row; of one of the two, that one alone, on the image."""
    given = {"truth": truth, "predicted": prediction}
    drawn = {title: colored(image, mask, labels) for title, mask in given.items() if mask is not None}
    if len(drawn) == 1:
        return next(iter(drawn.values()))
    return drawing.beside([drawing.canvas(image)[0], *drawn.values()], ["image", *drawn])


def _legend(picture: Any, classes: Sequence[int], labels: Sequence[str], scale: int) -> None:
    """Tabs from the top left downwards."""
    height = drawing.text_size(picture) * 3 // 2
    for place, index in enumerate(classes):
        name = labels[index] if labels else str(index)
        drawing.label(picture, (0, height * (place + 1) / scale), name, drawing.palette(index), scale=scale)
