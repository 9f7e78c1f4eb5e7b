"""The one contract per model: what it takes, what it returns, and how both are read.

Training, calibration, evaluation, benchmark and the on-device runtime all use this object, and it travels inside
every artifact, so nobody can feed a model wrongly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, Dict, Literal, Mapping, Optional, Sequence, Tuple, get_args

from edgecv.core.errors import ConfigError

Color = Literal["gray", "rgb", "bgr"]
Resize = Literal["stretch", "letterbox", "center_crop", "pad"]
Interpolation = Literal["bilinear", "nearest"]
Activation = Literal["probabilities", "logits", "distances", "linear"]
Format = Literal["keras", "tflite", "onnx", "cascade", "bundle"]
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
class InputSpec:
    """One input of a model.

    Attributes:
        name: Of the input, unique in the model. In a model of several inputs it is that of the file's tensor.
        shape: Without the batch: (H, W, C) for images, (N,) for feature vectors. NHWC always.
        preprocessing: None for feature vectors, which are fed as float32 as they are.
    """

    name: str
    shape: Tuple[int, ...]
    preprocessing: Optional[Preprocessing] = None

    def __post_init__(self) -> None:
        if any(size < 1 for size in self.shape):
            raise ConfigError(f"the shape of input '{self.name}' must be static and positive, got {self.shape}")
        if self.preprocessing and (len(self.shape) != 3 or self.shape[2] != CHANNELS[self.preprocessing.color]):
            raise ConfigError(
                f"shape {self.shape} of input '{self.name}' does not fit colour '{self.preprocessing.color}'",
                hint="a shape is (height, width, channels): 1 channel for gray, 3 for rgb and bgr",
            )

    @property
    def range(self) -> Optional[Tuple[float, float]]:
        """Range of the input tensor over all uint8 images, zero included; None for feature vectors.

        It is known, so it is never estimated: pixel 0 and pixel 255 after `(pixel - mean) / std`, widest channel.
        """
        if self.preprocessing is None:
            return None
        channels = list(zip(self.preprocessing.mean, self.preprocessing.std))
        low, high = min((0 - m) / s for m, s in channels), max((255 - m) / s for m, s in channels)
        return min(low, 0.0), max(high, 0.0)


@dataclass(frozen=True)
class Head:
    """One answer of a model: the outputs that hold it, and how they are read.

    Attributes:
        name: Of the head, unique in the model.
        task: What it answers: the name of a task of `edgecv.tasks`.
        activation: What the numbers are. "probabilities" sum to 1 (classification) or lie each in 0..1
            (multilabel); "logits" become those by softmax or sigmoid in the runtime; "distances" are >= 0, smallest
            wins, and softmax(-d) is the posterior (LeCun et al. 1998, section II.C: the output is the unnormalised
            negative log-likelihood of a Gaussian); "linear" is a value in the label's own unit.
        labels: One per output unit, in order; empty when unknown.
        outputs: Names of the model's outputs that it reads, in the task's order. One output called like the head when
            nothing is given.
        settings: What the task has to know beyond that; the task decodes it strictly to a type of its own.
    """

    name: str
    task: str
    activation: Activation
    labels: Tuple[str, ...] = ()
    outputs: Tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if not self.outputs:
            object.__setattr__(self, "outputs", (self.name,))


@dataclass(frozen=True)
class ModelSpec:
    """The contract of one model.

    Attributes:
        name: Architecture id ("lenet5"), or the file's stem for a foreign model.
        inputs: What it takes; most models have one input.
        heads: What it answers.
        variant: "canonical", "book", or another of the architecture's variants.
    """

    name: str
    inputs: Tuple[InputSpec, ...]
    heads: Tuple[Head, ...]
    variant: str = "canonical"

    def __post_init__(self) -> None:
        if not self.inputs:
            raise ConfigError(f"the spec of '{self.name}' has no inputs", hint="declare one input per model input")
        if not self.heads:
            raise ConfigError(f"the spec of '{self.name}' has no heads", hint="declare what each model output answers")
        for what, names in (("an input", [i.name for i in self.inputs]), ("a head", [h.name for h in self.heads])):
            if len(set(names)) != len(names):
                raise ConfigError(f"the spec of '{self.name}' names {what} twice: {', '.join(names)}")

    @property
    def input(self) -> InputSpec:
        """The first input: the only one of most models."""
        return self.inputs[0]

    @property
    def input_shape(self) -> Tuple[int, ...]:
        """Shape of the first input."""
        return self.input.shape

    @property
    def preprocessing(self) -> Optional[Preprocessing]:
        """Preprocessing of the first input."""
        return self.input.preprocessing

    @property
    def head(self) -> Head:
        """The first head: the only one of most models."""
        return self.heads[0]

    @property
    def labels(self) -> Tuple[str, ...]:
        """Labels of the first head."""
        return self.head.labels

    @property
    def outputs(self) -> Tuple[str, ...]:
        """Names of every output that a head reads, in the order of the heads."""
        return tuple(name for head in self.heads for name in head.outputs)

    def with_labels(self, labels: Tuple[str, ...]) -> ModelSpec:
        """Return the spec with the first head's labels replaced."""
        return replace(self, heads=(replace(self.head, labels=labels),) + self.heads[1:])


def one_input(
    name: str,
    input_shape: Tuple[int, ...],
    heads: Tuple[Head, ...],
    preprocessing: Optional[Preprocessing] = None,
    variant: str = "canonical",
) -> ModelSpec:
    """Return the contract of a model of one input, called "image", or "features" when it takes vectors."""
    only = InputSpec("image" if preprocessing else "features", tuple(input_shape), preprocessing)
    return ModelSpec(name=name, inputs=(only,), heads=tuple(heads), variant=variant)


def upgraded(document: Mapping[str, Any], outputs: Sequence[str] = ()) -> Dict[str, Any]:
    """Return a spec's document in today's form: one of schema 1 has `input_shape`, and heads with a metric.

    Args:
        document: Parsed TOML or JSON.
        outputs: Names of the model's outputs, in order, to which heads of schema 1 were bound by place. Empty binds
            each head to the output of its own name.
    """
    found = dict(document)
    if "input_shape" in found:
        settings = found.pop("preprocessing", None)
        only = {"name": "image" if settings else "features", "shape": found.pop("input_shape")}
        found["inputs"] = [{**only, "preprocessing": settings} if settings else only]
        heads = found.get("heads", ())
        if isinstance(heads, (list, tuple)):
            found["heads"] = [_upgraded_head(head, outputs[place : place + 1]) for place, head in enumerate(heads)]
    return found


def _upgraded_head(head: Any, outputs: Sequence[str]) -> Any:
    if not isinstance(head, Mapping):
        return head  # The strict decoding says what is wrong.
    kept = {key: value for key, value in head.items() if key != "metric"}
    return {**kept, "outputs": list(outputs)} if outputs else kept
