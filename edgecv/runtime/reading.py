"""From what a person passes to a sample, and from a model's outputs to what the person asked for."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any, Dict, Iterable, List, Optional, Sequence, Tuple, Union

from numpy.typing import NDArray

from edgecv.core.errors import ConfigError, DataError, unknown_name
from edgecv.core.files import PathLike
from edgecv.runtime.image import load_image
from edgecv.tasks.frame import Frame, frame_of
from edgecv.tasks.registry import task_of
from edgecv.values.specs import InputSpec, ModelSpec

Array = NDArray[Any]
COLORS = ("rgb", "bgr")
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})
"""Of files in a folder that are taken for images."""


def images_in(folder: PathLike) -> List[Path]:
    """Return the image files of a folder, by name; not those of folders in it."""
    return sorted(path for path in Path(folder).iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())


def samples_of(given: Union[PathLike, Iterable[Any]]) -> Iterable[Any]:
    """Return the samples of a folder, or what was given when it is no path.

    Raises:
        ConfigError: The path is no folder, or has no images.
    """
    if not isinstance(given, (str, os.PathLike)):
        return given
    if not os.path.isdir(given):
        raise ConfigError(f"{os.fspath(given)} is no folder", hint="predict takes one image; predict_many many")
    found = images_in(given)
    if not found:
        raise ConfigError(f"there are no images in {os.fspath(given)}", hint=f"known: {', '.join(sorted(SUFFIXES))}")
    return found


def loaded_sample(given: Any, spec: ModelSpec, *, color: str = "rgb") -> Tuple[Any, ...]:
    """Return one sample: an image as uint8 (H, W) or (H, W, 3), or numbers, for each input of a model.

    Args:
        given: What `Predictor.predict` takes.
        spec: The model's contract.
        color: What the three channels of arrays are, "rgb" or "bgr"; files and PIL images know theirs.

    Raises:
        DataError: The number of inputs is wrong, or an image is.
        ConfigError: The colour is unknown.
    """
    if color not in COLORS:
        raise unknown_name("color", color, COLORS)
    if len(spec.inputs) == 1:
        return (_loaded(given, spec.input, color),)
    if not isinstance(given, (tuple, list)) or len(given) != len(spec.inputs):
        wanted = ", ".join(one.name for one in spec.inputs)
        raise DataError(
            f"'{spec.name}' takes {len(spec.inputs)} inputs ({wanted})", hint="pass a tuple with one image per input"
        )
    return tuple(_loaded(one, only, color) for one, only in zip(given, spec.inputs))


def _loaded(given: Any, only: InputSpec, color: str) -> Any:
    if not only.preprocessing:
        return given
    image = load_image(given)
    is_array = not isinstance(given, (str, os.PathLike)) and not hasattr(given, "getbands")
    return image[..., ::-1] if color == "bgr" and is_array and image.ndim == 3 else image


def frame_for(sample: Sequence[Any], spec: ModelSpec) -> Optional[Frame]:
    """Return where the first image of a sample lies in its input; None for feature vectors.

    Answers in image coordinates (masks, boxes) are about the first input.
    """
    only = spec.input
    if only.preprocessing is None:
        return None
    height, width = sample[0].shape[:2]
    return frame_of(only.preprocessing, (int(height), int(width)), (only.shape[0], only.shape[1]))


def read_outputs(
    outputs: Sequence[Array], spec: ModelSpec, places: Sequence[Sequence[int]], sample: Sequence[Any]
) -> Any:
    """Return the prediction of one sample.

    Args:
        outputs: The model's outputs in real units, with batch 1.
        spec: The model's contract.
        places: For each head, the indices of its outputs.
        sample: What the model was given, as `loaded_sample` gives it.
    """
    single: List[Array] = [output[0] for output in outputs]
    frame = frame_for(sample, spec)
    heads: Dict[str, Any] = {}
    for head, own in zip(spec.heads, places):
        heads[head.name] = task_of(head).decode([single[place] for place in own], head, frame)
    return dataclasses.replace(heads[spec.head.name], outputs=tuple(single), heads=heads)
