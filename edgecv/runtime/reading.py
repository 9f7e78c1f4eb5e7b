"""From what a person passes to a sample, and from a model's outputs to what the person asked for."""

from __future__ import annotations

import dataclasses
from typing import Any, Dict, List, Optional, Sequence, Tuple

from numpy.typing import NDArray

from edgecv.core.errors import DataError
from edgecv.runtime.image import load_image
from edgecv.tasks.frame import Frame, frame_of
from edgecv.tasks.registry import task_of
from edgecv.values.specs import InputSpec, ModelSpec

Array = NDArray[Any]


def loaded_sample(given: Any, spec: ModelSpec) -> Tuple[Any, ...]:
    """Return one sample: an image as uint8 (H, W) or (H, W, 3), or numbers, for each input of a model.

    Args:
        given: What `Predictor.predict` takes.
        spec: The model's contract.

    Raises:
        DataError: The number of inputs is wrong, or an image is.
    """
    if len(spec.inputs) == 1:
        return (_loaded(given, spec.input),)
    if not isinstance(given, (tuple, list)) or len(given) != len(spec.inputs):
        wanted = ", ".join(one.name for one in spec.inputs)
        raise DataError(
            f"'{spec.name}' takes {len(spec.inputs)} inputs ({wanted})", hint="pass a tuple with one image per input"
        )
    return tuple(_loaded(one, only) for one, only in zip(given, spec.inputs))


def _loaded(given: Any, only: InputSpec) -> Any:
    return load_image(given) if only.preprocessing else given


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
