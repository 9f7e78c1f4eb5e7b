"""A classifier as a detector: it is asked about one window of the image after the other. Pure numpy.

    with load("digits.tflite") as model:
        found = slide(model, "page.png", window=28, stride=14)

Each window is one inference. `edgecv reshape --fully-convolutional` makes a network that answers for all of them in
one, at the distance of its strides.
"""

from __future__ import annotations

from typing import Any, Callable, Collection, Optional, Tuple, Union

import numpy as np
from numpy.typing import NDArray

from edgecv.core.errors import ConfigError, UnsupportedModelError
from edgecv.runtime.reading import loaded_sample
from edgecv.tasks.boxes import Detections
from edgecv.tasks.classification import Classification
from edgecv.tasks.detection.nms import suppress

Array = NDArray[Any]
Side = Union[int, Tuple[int, int]]
Score = Callable[[Any], Tuple[int, float]]


def windows(size: Tuple[int, int], window: Side, stride: Side) -> Array:
    """Return every window that lies whole in an image, row by row: int64 (n, 4) xyxy, pixels.

    Args:
        size: (height, width) of the image, or the rows and columns of a grid.
        window: Side, or (height, width).
        stride: Pixels from one window to the next, or (down, across). What is left at the right and below is in none.

    Raises:
        ConfigError: A side or a stride is below 1.
    """
    (height, width), (down, across) = _pair(window, "window"), _pair(stride, "stride")
    tops, lefts = np.arange(0, size[0] - height + 1, down), np.arange(0, size[1] - width + 1, across)
    top, left = (grid.reshape(-1) for grid in np.meshgrid(tops, lefts, indexing="ij"))
    return np.stack([left, top, left + width, top + height], axis=1).astype(np.int64)


def slide(
    predictor: Any,
    image: Any,
    *,
    window: Optional[Side] = None,
    stride: Optional[Side] = None,
    score: Optional[Score] = None,
    threshold: float = 0.5,
    overlap: float = 0.45,
    ignored: Collection[str] = (),
    color: str = "rgb",
) -> Detections:
    """Return what a classifier finds in the windows of an image, most confident first, each thing once.

    Args:
        predictor: What `runtime.load` gives, or another object with its `predict` and `spec`.
        image: As `predict` takes it; at least as large as a window.
        window: Side in pixels, or (height, width); None: the size of the model's input.
        stride: From one window to the next; None: half a window.
        score: From the prediction of a window to (class_id, confidence), for models that answer with more than a class,
            such as objectness beside it; None: the best label and its probability.
        threshold: Least confidence of a window that counts.
        overlap: Of two windows of a class, the less confident one goes when their intersection over union is above it.
        ignored: Labels that are no object, such as "background".
        color: As `predict` takes it.

    Raises:
        ConfigError: A side or a stride is below 1.
        UnsupportedModelError: The model is no classifier, and no `score` is given.
    """
    labels = predictor.spec.labels
    read = score or _best(predictor.spec)
    pixels = loaded_sample(image, predictor.spec, color=color)[0]
    shape = predictor.spec.input_shape[:2]
    size = _pair(shape if window is None else window, "window")
    step = (max(1, size[0] // 2), max(1, size[1] // 2)) if stride is None else stride
    places = windows(pixels.shape[:2], size, step)
    answers = [read(predictor.predict(pixels[top:bottom, left:right])) for left, top, right, bottom in places]
    class_id = np.array([index for index, _ in answers], np.int64)
    confidence = np.array([value for _, value in answers], np.float32)
    skipped = [index for index, label in enumerate(labels) if label in ignored]
    counts = np.flatnonzero((confidence >= threshold) & ~np.isin(class_id, skipped))
    found = Detections(places[counts], confidence[counts], class_id[counts], labels)
    kept, _ = suppress(found.xyxy, found.confidence, found.class_id, iou=overlap, most=max(1, len(found)))
    return found[kept]


def _best(spec: Any) -> Score:
    places = {label: index for index, label in enumerate(spec.labels)}

    def best(prediction: Any) -> Tuple[int, float]:
        if not isinstance(prediction, Classification):
            raise UnsupportedModelError(
                f"'{spec.name}' answers with {type(prediction).__name__}, and a window needs a class and a confidence",
                hint="pass score=, a function from a prediction to (class_id, confidence)",
            )
        return places[prediction.label] if places else int(prediction.label), float(prediction.score)

    return best


def _pair(value: Side, what: str) -> Tuple[int, int]:
    pair = (int(value[0]), int(value[1])) if isinstance(value, (tuple, list)) else (int(value), int(value))
    if min(pair) < 1:
        raise ConfigError(f"a {what} is 1 pixel or more, got {value}")
    return pair
