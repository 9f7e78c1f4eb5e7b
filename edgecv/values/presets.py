"""How images are scaled in common practice, by name."""

from __future__ import annotations

from typing import Dict, Mapping, Tuple

from edgecv.core.errors import ConfigError, unknown_name
from edgecv.values.specs import Preprocessing

_TORCH_MEAN, _TORCH_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
_CAFFE_MEAN = (103.939, 116.779, 123.68)

PRESETS: Mapping[str, str] = {
    "raw": "as they are, 0..255: the model scales them itself",
    "unit": "0..1",
    "imagenet-tf": "-1..1, as MobileNet, Inception and Xception of Keras",
    "imagenet-torch": "0..1 less ImageNet's mean, by its deviation, as torchvision and DenseNet of Keras",
    "imagenet-caffe": "blue, green, red, less ImageNet's mean, as VGG and ResNet of Keras",
}
"""Name to what it does. Source: keras.applications.imagenet_utils.preprocess_input, modes tf, torch and caffe."""


def preset(name: str, channels: int = 3) -> Preprocessing:
    """Return a preset as preprocessing, for images of 1 or 3 channels.

    Raises:
        ConfigError: There is no such preset, or it is not for so many channels.
    """
    if name not in PRESETS:
        raise unknown_name("preset", name, PRESETS)
    scales: Dict[str, Tuple[float, float]] = {"raw": (0.0, 1.0), "unit": (0.0, 255.0), "imagenet-tf": (127.5, 127.5)}
    if name in scales:
        mean, std = scales[name]
        color = "gray" if channels == 1 else "rgb"
        return Preprocessing(color=color, mean=(mean,) * channels, std=(std,) * channels)  # type: ignore[arg-type]
    if channels != 3:
        raise ConfigError(f"preset '{name}' is for images of three channels, the model takes {channels}")
    if name == "imagenet-torch":
        return Preprocessing(color="rgb", mean=_TORCH_MEAN, std=_TORCH_STD)
    return Preprocessing(color="bgr", mean=_CAFFE_MEAN, std=(1.0, 1.0, 1.0))
