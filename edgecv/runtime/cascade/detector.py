"""A cascade that is asked about images, as a `Predictor` is."""

from __future__ import annotations

import os
from types import TracebackType
from typing import Any, Iterable, Iterator, Optional, Tuple, Type, Union

import numpy as np
from numpy.typing import NDArray

from edgecv.core.errors import ConfigError, unknown_name
from edgecv.core.files import PathLike
from edgecv.runtime.cascade.grouping import grouped
from edgecv.runtime.cascade.reading import read_cascade
from edgecv.runtime.cascade.scan import scales, windows_at
from edgecv.runtime.cascade.values import Cascade
from edgecv.runtime.image import load_image
from edgecv.runtime.reading import COLORS, samples_of
from edgecv.tasks.boxes import Detections

Array = NDArray[Any]

# R, G, B weights of luma in 2^15ths, as OpenCV's COLOR_RGB2GRAY has them. Source: ITU-R BT.601-7, section 2.5.1.
LUMA = np.array([9798, 19235, 3735])


def load_cascade(
    path: PathLike,
    *,
    label: str = "object",
    scale_factor: float = 1.1,
    neighbours: int = 3,
    smallest: Tuple[int, int] = (0, 0),
    largest: Optional[Tuple[int, int]] = None,
) -> CascadeDetector:
    """Open a cascade of Haar features, ready to be asked.

    Args:
        path: An .xml file as OpenCV ships and trains them: boosted stumps or trees, upright or tilted features.
        label: What it finds.
        scale_factor: From one size of windows to the next, > 1: 1.1 looks closely, 1.3 is faster and coarser.
        neighbours: A find has more windows than this; 0 gives every window that passes.
        smallest: (height, width) of an object, pixels; `largest` likewise, None for the image's size.

    Raises:
        ConfigError: The file does not exist, or an option is out of range.
        UnsupportedModelError: The file is damaged, or another kind of cascade.
    """
    return CascadeDetector(
        read_cascade(path), label=label, scale_factor=scale_factor, neighbours=neighbours, smallest=smallest,
        largest=largest, path=os.fspath(path),
    )  # fmt: skip


class CascadeDetector:
    """A cascade with its options. Safe to share between threads; it holds no resource.

    Attributes:
        cascade: What it evaluates.
        path: The file.
        labels: The one label.
        engine: "edgecv cascade".
        accelerator: "cpu".
    """

    engine = "edgecv cascade"
    accelerator = "cpu"

    def __init__(
        self,
        cascade: Cascade,
        *,
        label: str = "object",
        scale_factor: float = 1.1,
        neighbours: int = 3,
        smallest: Tuple[int, int] = (0, 0),
        largest: Optional[Tuple[int, int]] = None,
        path: str = "",
    ) -> None:
        if not scale_factor > 1.0:
            raise ConfigError(f"scale_factor must be above 1, got {scale_factor}", hint="1.1 is usual")
        if neighbours < 0:
            raise ConfigError(f"neighbours must be 0 or more, got {neighbours}")
        self.cascade, self.path, self.labels = cascade, path, (label,)
        self._factor, self._neighbours = scale_factor, neighbours
        self._smallest, self._largest = smallest, largest

    def __repr__(self) -> str:
        height, width = self.cascade.window
        return f"<CascadeDetector {self.path}: windows of {height}x{width}, {len(self.cascade.stages)} stages>"

    def windows(self, image: Array) -> Array:
        """Return every window that passes all stages: int64 (n, 4) x, y, width, height; by scale, row, column.

        Args:
            image: uint8 (H, W), gray.
        """
        size = (int(image.shape[0]), int(image.shape[1]))
        chosen = scales(size, self.cascade.window, self._factor, self._smallest, self._largest or size)
        found = [windows_at(image, self.cascade, scale) for scale in chosen]
        return np.concatenate([np.zeros((0, 4), np.int64), *found])

    def predict(self, image: Any, *, color: str = "rgb") -> Detections:
        """Return what is found in one image, most windows first.

        A cascade gives no probability: `confidence` is n / (n + 1) for a find of n windows, so that finds are in order.

        Args:
            image: A path, a PIL image, or uint8 (H, W) or (H, W, 3), 0..255.
            color: What the channels of arrays are: "rgb" or "bgr".

        Raises:
            DataError: The image is corrupt, of wrong channels or dtype, or empty.
            ConfigError: The path does not exist, or the colour is unknown.
        """
        if color not in COLORS:
            raise unknown_name("color", color, COLORS)
        pixels = load_image(image)
        is_array = not isinstance(image, (str, os.PathLike)) and not hasattr(image, "getbands")
        gray = gray_of(pixels[..., ::-1] if color == "bgr" and is_array and pixels.ndim == 3 else pixels)
        boxes, counts = grouped(self.windows(gray), self._neighbours)
        order = np.argsort(-counts, kind="stable")
        boxes, counts = boxes[order], counts[order]
        corners = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
        edge = [gray.shape[1], gray.shape[0]] * 2
        clipped = np.clip(corners, 0, edge)
        return Detections(clipped, counts / (counts + 1.0), np.zeros(len(counts), np.int64), self.labels)

    def predict_many(self, images: Union[PathLike, Iterable[Any]], *, color: str = "rgb") -> Iterator[Detections]:
        """Yield what is found in each of many images, in their order; a folder's by name."""
        return (self.predict(image, color=color) for image in samples_of(images))

    def close(self) -> None:
        """Do nothing: there is nothing to release."""

    def __enter__(self) -> CascadeDetector:
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self.close()


def gray_of(image: Array) -> Array:
    """Return uint8 (H, W) of uint8 (H, W) or (H, W, 3), RGB, to the last bit as OpenCV does."""
    if image.ndim == 2:
        return image
    return np.asarray((image.astype(np.int64) @ LUMA + (1 << 14)) >> 15, np.uint8)
