"""How MediaPipe feeds the image of a contract, where it can, and what it does otherwise.

Source: MediaPipe 1.2.3, mediapipe/tasks/cc/vision/utils/image_tensor_specs.cc,
mediapipe/tasks/cc/components/processors/image_preprocessing_graph.cc and
mediapipe/calculators/tensor/image_to_tensor_converter_opencv.cc.
"""

from __future__ import annotations

import numpy as np

from edgecv.convert.mediapipe import schema
from edgecv.convert.mediapipe.tables import Table
from edgecv.core.errors import UnsupportedModelError
from edgecv.runtime.image import normalised
from edgecv.runtime.tensors import to_stored
from edgecv.values.manifest import TensorInfo
from edgecv.values.specs import InputSpec, Preprocessing

FITTED = "edgecv convert MODEL.keras --metadata mediapipe makes a file that has it"
MOST_STEPS = 1.0
"""How far a stored value may lie from its pixel, in steps of a uint8 input."""

_RESIZES = {
    "letterbox": "keeps the aspect of images and pads",
    "center_crop": "cuts out the middle of images",
    "pad": "pads images that are smaller",
}


def image_input(only: InputSpec, info: TensorInfo) -> tuple[Table, tuple[str, ...]]:
    """Return the metadata of an image input, and what MediaPipe does otherwise.

    Args:
        only: The input's contract.
        info: Its tensor.

    Raises:
        UnsupportedModelError: MediaPipe cannot feed it; the message is the reason.
    """
    settings = only.preprocessing
    if settings is None:
        raise no(f"it feeds images, and input '{only.name}' takes {'x'.join(map(str, only.shape))} numbers")
    check_channels(settings)
    if info.dtype not in ("float32", "uint8"):
        raise no(
            f"it feeds float32 and uint8, and input '{info.name}' is {info.dtype}", hint="--io uint8 or --io float32"
        )
    limits = (*_pixels(settings, info), *_resizing(settings))
    low, high = ((bound - settings.mean[0]) / settings.std[0] for bound in (0.0, 255.0))
    described = schema.tensor(
        only.name,
        schema.image_content(),
        units=[schema.normalization(settings.mean[:1], settings.std[:1])],
        limits=((low,), (high,)) if info.dtype == "float32" else ((0.0,), (255.0,)),
    )
    return described, limits


def check_channels(settings: Preprocessing) -> None:
    """Raise UnsupportedModelError unless an image goes in as RGB, all channels scaled alike."""
    if settings.color != "rgb":
        raise no(f"it feeds RGB, and the network takes {settings.color}", hint=FITTED)
    if len(set(settings.mean)) > 1 or len(set(settings.std)) > 1:
        told = f"{_told(settings.mean)} and {_told(settings.std)}"
        raise no(f"it scales all channels alike, and here each has its mean and deviation, {told}", hint=FITTED)


def no(why: str, *, hint: str = "") -> UnsupportedModelError:
    """Return the error that says why MediaPipe cannot take a file."""
    return UnsupportedModelError(f"MediaPipe cannot take it: {why}", hint=hint)


def _pixels(settings: Preprocessing, info: TensorInfo) -> tuple[str, ...]:
    """Say how far a uint8 input is from holding pixels as they are, which is what MediaPipe writes there."""
    if info.dtype != "uint8":
        return ()
    levels = np.arange(256, dtype=np.float32).reshape(1, 16, 16, 1).repeat(3, axis=3)
    stored = to_stored(normalised(levels, settings), info).astype(np.float32)
    most = float(np.abs(stored - levels).max())
    if most > MOST_STEPS:
        raise no(
            f"it writes pixels into a uint8 input as they are, and this one stores them up to {most:g} steps away",
            hint="--io float32",
        )
    return () if most == 0 else (f"pixels go in as they are, up to {most:g} of 255 from what the contract stores",)


def _resizing(settings: Preprocessing) -> tuple[str, ...]:
    found = []
    if settings.resize != "stretch":
        found.append(f"it stretches the whole image over the input, and the contract {_RESIZES[settings.resize]}: "
                     "an app has to do that before")  # fmt: skip
    if settings.interpolation == "nearest":
        found.append("it resizes by interpolation, and the contract takes the nearest pixel")
    else:
        found.append("it resizes without half-pixel centres, and the contract with them")
    return tuple(found)


def _told(values: tuple[float, ...]) -> str:
    return "(" + ", ".join(f"{value:g}" for value in values) + ")"
