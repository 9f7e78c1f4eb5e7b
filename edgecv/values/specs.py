"""The one contract per model: what it takes, what it returns, and how both are read.

Training, calibration, evaluation, benchmark and the on-device runtime all use this object, and it travels inside
every artifact, so nobody can feed a model wrongly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, Optional, Tuple, get_args

from edgecv.core.errors import ConfigError

Task = Literal["classification", "multilabel", "regression", "detection", "segmentation", "embedding"]
Color = Literal["gray", "rgb", "bgr"]
Resize = Literal["stretch", "letterbox", "center_crop", "pad"]
Interpolation = Literal["bilinear", "nearest"]
Activation = Literal["probabilities", "logits", "distances", "linear"]
Format = Literal["keras", "tflite", "onnx"]
Scheme = Literal["float32", "float16", "dynamic", "int8", "int16x8", "int4", "mixed"]
Method = Literal["none", "ptq", "qat"]

SCHEMES: Tuple[str, ...] = get_args(Scheme)
CHANNELS = {"gray": 1, "rgb": 3, "bgr": 3}


@dataclass(frozen=True)
class Preprocessing:
    """How a uint8 image (H, W) or (H, W, C), RGB order, 0..255, becomes the float input tensor.

    Colour conversion, then resizing to the model's height and width, then per channel `(pixel - mean) / std`.

    Attributes:
        color: Channel layout the model takes. Gray from RGB: ITU-R BT.601 luma.
        resize: "stretch" ignores the aspect; "letterbox" keeps it and pads; "center_crop" keeps it and crops;
            "pad" never scales: it centres a smaller image on `pad_value` and refuses a larger one.
        interpolation: Half-pixel centres, no antialiasing ("bilinear"), or "nearest".
        mean: One per channel of the model, on the 0..255 scale.
        std: One per channel, > 0, on the 0..255 scale.
        pad_value: Pixel value of the padding, 0..255.
    """

    color: Color
    resize: Resize = "stretch"
    interpolation: Interpolation = "bilinear"
    mean: Tuple[float, ...] = (0.0,)
    std: Tuple[float, ...] = (255.0,)
    pad_value: int = 0

    def __post_init__(self) -> None:
        channels = CHANNELS.get(self.color)
        if channels is None:
            raise ConfigError(f"unknown colour '{self.color}'", hint=f"known: {', '.join(CHANNELS)}")
        if not len(self.mean) == len(self.std) == channels:
            raise ConfigError(
                f"'{self.color}' needs {channels} mean and std values, got {len(self.mean)} and {len(self.std)}"
            )
        if not all(math.isfinite(s) and s > 0 for s in self.std) or not all(map(math.isfinite, self.mean)):
            raise ConfigError(f"mean must be finite and std finite and > 0, got {self.mean} and {self.std}")


@dataclass(frozen=True)
class Head:
    """One output of a model and how to read it.

    Attributes:
        name: Of the head, unique in the model.
        task: What it answers.
        activation: What the numbers are. "probabilities" sum to 1 (classification) or lie each in 0..1
            (multilabel); "logits" become those by softmax or sigmoid in the runtime; "distances" are >= 0, smallest
            wins, and softmax(-d) is the posterior (LeCun et al. 1998, section II.C: the output is the unnormalised
            negative log-likelihood of a Gaussian); "linear" is a value in the label's own unit.
        labels: One per output unit, in order; empty when unknown.
        metric: "top1" (accuracy, 0..1), "mae" (regression, in the label's unit), …
    """

    name: str
    task: Task
    activation: Activation
    labels: Tuple[str, ...] = ()
    metric: str = "top1"


@dataclass(frozen=True)
class ModelSpec:
    """The contract of one model.

    Attributes:
        name: Architecture id ("lenet5"), or the file's stem for a foreign model.
        variant: "canonical", "book", or another of the architecture's variants.
        input_shape: Without the batch: (H, W, C) for images, (N,) for feature vectors. NHWC always.
        preprocessing: None for feature vectors, which are fed as float32 as they are.
        heads: One per output, in the order of the model's outputs.
    """

    name: str
    input_shape: Tuple[int, ...]
    heads: Tuple[Head, ...]
    preprocessing: Optional[Preprocessing] = None
    variant: str = "canonical"

    def __post_init__(self) -> None:
        if not self.heads:
            raise ConfigError(f"the spec of '{self.name}' has no heads", hint="declare one head per model output")
        if any(size < 1 for size in self.input_shape):
            raise ConfigError(f"the input shape of '{self.name}' must be static and positive, got {self.input_shape}")
        if self.preprocessing and (
            len(self.input_shape) != 3 or self.input_shape[2] != CHANNELS[self.preprocessing.color]
        ):
            raise ConfigError(
                f"input shape {self.input_shape} of '{self.name}' does not fit colour '{self.preprocessing.color}'",
                hint="input_shape is (height, width, channels): 1 channel for gray, 3 for rgb and bgr",
            )

    @property
    def head(self) -> Head:
        """The first head: the only one of most models."""
        return self.heads[0]

    @property
    def labels(self) -> Tuple[str, ...]:
        """Labels of the first head."""
        return self.head.labels

    @property
    def input_range(self) -> Optional[Tuple[float, float]]:
        """Range of the input tensor over all uint8 images, zero included; None for feature vectors.

        It is known, so it is never estimated: pixel 0 and pixel 255 after `(pixel - mean) / std`, widest channel.
        """
        if self.preprocessing is None:
            return None
        channels = list(zip(self.preprocessing.mean, self.preprocessing.std))
        low, high = min((0 - m) / s for m, s in channels), max((255 - m) / s for m, s in channels)
        return min(low, 0.0), max(high, 0.0)

    def with_labels(self, labels: Tuple[str, ...]) -> ModelSpec:
        """Return the spec with the first head's labels replaced."""
        return replace(self, heads=(replace(self.head, labels=labels),) + self.heads[1:])
