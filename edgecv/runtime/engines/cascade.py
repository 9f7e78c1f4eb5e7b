"""Cascades of Haar features behind the interface of interpreters: numpy alone."""

from __future__ import annotations

from typing import Any, List, Optional, Sequence, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.core.errors import UnsupportedModelError
from edgecv.runtime.engines.base import Session
from edgecv.tasks.detection import cascades

Array = NDArray[Any]


def open_cpu(path: str, threads: int, strict: bool, input_shape: Optional[Tuple[int, ...]] = None) -> Session:
    """Open a cascade for images (height, width, 1). `threads` and `strict` have no meaning here.

    Raises:
        UnsupportedModelError: The file is damaged or another kind of cascade, or the shape is no gray image's.
    """
    return CascadeSession(path, input_shape)


class CascadeSession(Session):
    """A cascade with OpenCV's usual options: a scale factor of 1.1 and more than three windows to a find."""

    def __init__(self, path: str, input_shape: Optional[Tuple[int, ...]]) -> None:
        # Here, since the runtime's import stays light, and cascades are for those who ask for them.
        from edgecv.runtime.cascade import load_cascade

        shape = tuple(input_shape) if input_shape is not None else (*cascades.SIZE, 1)
        if len(shape) != 3 or shape[2] != 1:
            raise UnsupportedModelError(
                f"{path} is a cascade, which looks at gray images; the spec says {shape}",
                hint="give it an input of (height, width, 1) in gray",
            )
        self._detector, self._most = load_cascade(path), cascades.MOST
        super().__init__(f"edgecv cascade, numpy {np.__version__}", 1, *cascades.tensors(shape))
        self._image = np.zeros(shape[:2], np.uint8)
        self._rows = np.zeros((1, self._most, 5), np.float32)

    def set_inputs(self, arrays: Sequence[Array]) -> None:
        self._image = np.asarray(arrays[0], np.uint8)[0, :, :, 0]

    def invoke(self) -> None:
        found = self._detector.predict(self._image)[: self._most]
        self._rows = np.zeros_like(self._rows)
        self._rows[0, : len(found), :4] = found.xyxy
        self._rows[0, : len(found), 4] = found.confidence

    def get_outputs(self) -> List[Array]:
        return [self._rows.copy()]

    def close(self) -> None:
        """Do nothing: there is nothing to release."""
