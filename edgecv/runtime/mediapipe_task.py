"""MediaPipe Tasks on a file: what its own preprocessing and postprocessing make of an image.

It runs in a process of its own, with the Python of an environment that has mediapipe: see
`edgecv.core.apart.Apart`. Nothing here needs more than that package and numpy.
"""

from __future__ import annotations

from typing import Any, Dict, Mapping, Tuple

import numpy as np
from numpy.typing import NDArray

from edgecv.core.errors import ConfigError, UnsupportedModelError
from edgecv.core.optional import require

Array = NDArray[Any]
Answer = Dict[str, Array]
"""Arrays by name; which ones depends on the task: see `MediapipeTask.answer`."""


class MediapipeTask:
    """A task of MediaPipe that is open on a file.

    Args:
        kind: "image_classifier", "image_embedder", "image_segmenter" or "object_detector".
        path: The .tflite.
        settings: `score`, `most` of a detector; `normalise` of an embedder.

    Raises:
        MissingDependencyError: mediapipe is not installed.
        UnsupportedModelError: MediaPipe refuses the file; with its own words.
    """

    def __init__(self, kind: str, path: str, settings: Mapping[str, Any]) -> None:
        if kind not in _ANSWERS:
            raise ConfigError(f"MediaPipe has no task '{kind}'", hint=f"known: {', '.join(_ANSWERS)}")
        self._package = require("mediapipe", why="to ask MediaPipe about a file")
        vision = require("mediapipe.tasks.python.vision", why="to ask MediaPipe about a file")
        base = require("mediapipe.tasks.python.core.base_options").BaseOptions(model_asset_path=path)
        name = "".join(word.title() for word in kind.split("_"))
        options = getattr(vision, f"{name}Options")(base_options=base, **_options(kind, settings))
        try:
            self._task = getattr(vision, name).create_from_options(options)
        except (RuntimeError, ValueError, NotImplementedError, OSError) as error:
            raise UnsupportedModelError(
                f"{path}: MediaPipe's {name} refuses it: {error}",
                hint="make its metadata anew: edgecv convert FILE.tflite --metadata mediapipe --out NEW.tflite",
            ) from error
        self._kind = kind

    def version(self) -> str:
        """Return the version of the package."""
        return str(self._package.__version__)

    def answer(self, image: Array) -> Answer:
        """Return what the task says of an image.

        Args:
            image: uint8 (H, W, 3), RGB.

        Returns:
            Of a classifier, for each head `scores_0`, …: float32 (classes,) in the model's order, NaN where none is
            told. Of an embedder `vector`: float32 (d,). Of a segmenter `categories`: uint8 (H, W), and `confidences`:
            float32 (H, W, channels). Of a detector `boxes`: float32 (n, 4), x1, y1, x2, y2 in pixels of the image,
            `scores`: float32 (n,), `names`: str (n,), "" of a file without labels, and `classes`: int64 (n,), -1 where
            MediaPipe tells the name only.
        """
        picture = self._package.Image(image_format=self._package.ImageFormat.SRGB, data=np.ascontiguousarray(image))
        asked = {"image_classifier": "classify", "image_embedder": "embed", "image_segmenter": "segment"}
        result = getattr(self._task, asked.get(self._kind, "detect"))(picture)
        found: Answer = _ANSWERS[self._kind](result)
        return found


def _options(kind: str, settings: Mapping[str, Any]) -> Dict[str, Any]:
    if kind == "image_embedder":
        return {"l2_normalize": bool(settings.get("normalise", False))}
    if kind == "image_segmenter":
        return {"output_category_mask": True, "output_confidence_masks": True}
    if kind == "object_detector":
        return {"score_threshold": float(settings.get("score", 0.0)), "max_results": int(settings.get("most", -1))}
    return {}


def _classified(result: Any) -> Answer:
    return {f"scores_{head.head_index}": _by_index(head.categories) for head in result.classifications}


def _by_index(categories: Any) -> Array:
    scores = np.full(1 + max((one.index for one in categories), default=-1), np.nan, np.float32)
    for one in categories:
        scores[one.index] = one.score
    return scores


def _embedded(result: Any) -> Answer:
    return {"vector": np.asarray(result.embeddings[0].embedding, np.float32)}


def _segmented(result: Any) -> Answer:
    masks = [np.array(mask.numpy_view(), np.float32) for mask in result.confidence_masks]
    planes = [mask.reshape(mask.shape[:2]) for mask in masks]
    categories = np.array(result.category_mask.numpy_view(), np.uint8)
    return {"categories": categories.reshape(categories.shape[:2]), "confidences": np.stack(planes, axis=2)}


def _detected(result: Any) -> Answer:
    rows = [_row(one) for one in result.detections]
    return {
        "boxes": np.array([row[0] for row in rows], np.float32).reshape(-1, 4),
        "scores": np.array([row[1] for row in rows], np.float32),
        "classes": np.array([row[2] for row in rows], np.int64),
        "names": np.array([row[3] for row in rows], np.str_),
    }


def _row(one: Any) -> Tuple[Tuple[float, float, float, float], float, int, str]:
    box, best = one.bounding_box, one.categories[0]
    corners = (box.origin_x, box.origin_y, box.origin_x + box.width, box.origin_y + box.height)
    return corners, float(best.score), -1 if best.index is None else int(best.index), best.category_name or ""


_ANSWERS: Mapping[str, Any] = {
    "image_classifier": _classified,
    "image_embedder": _embedded,
    "image_segmenter": _segmented,
    "object_detector": _detected,
}
