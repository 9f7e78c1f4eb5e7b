"""Pictures of maps: in greys beside the image, or where they are largest on it."""

from __future__ import annotations

from typing import Any, List, Mapping, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.tasks import drawing

Array = NDArray[Any]

SHOWN = 6  # maps of a row


def grey(values: Array) -> Array:
    """Return a map (H, W) as uint8: its largest magnitude is white, 0 black, or grey where some values are negative."""
    reach = float(np.abs(values).max()) if values.size else 0.0
    share = np.asarray(values, np.float64) / reach if reach > 0 else np.zeros(np.shape(values))
    if values.size and float(values.min()) < 0:
        share = 0.5 + share / 2
    return np.asarray(np.rint(255 * share), np.uint8)


def in_a_row(image: Array, given: Mapping[str, Tuple[Array, Sequence[str]]]) -> Any:
    """Return a Pillow image of an image and maps (H, W, C), each with its label; the first six of each kind.

    Args:
        image: uint8 (H, W) or (H, W, 3).
        given: What stands before the labels, to maps and their labels.
    """
    pictures, titles = [drawing.canvas(image)[0]], ["image"]
    for name, (maps, labels) in given.items():
        for index, label in list(enumerate(labels))[:SHOWN]:
            pictures.append(drawing.canvas(grey(maps[..., index]))[0])
            titles.append(f"{name} {label}".strip())
    return drawing.beside(pictures, titles)


def marked(image: Array, peaks: Sequence[Any]) -> Any:
    """Return a Pillow image with the window of each peak, its label and value."""
    picture, scale = drawing.canvas(image)
    corners: List[Sequence[float]] = [peak.xyxy for peak in peaks]
    colors = [drawing.palette(index) for index in range(len(peaks))]
    texts = [f"{peak.label} {peak.value:.4g}" for peak in peaks]
    drawing.boxes(picture, corners, colors, scale=scale, texts=texts)
    return picture
