"""What code that uses a file has to know of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgecv.convert.mediapipe import describe, has_metadata
from edgecv.core.errors import ConfigError, UnsupportedModelError
from edgecv.core.files import read_bytes
from edgecv.modelio.model_file import model_file
from edgecv.tasks.protocol import Form
from edgecv.tasks.registry import task_of
from edgecv.values.binding import bind_outputs
from edgecv.values.manifest import TensorInfo
from edgecv.values.spec_file import read_spec
from edgecv.values.specs import ModelSpec, Preprocessing

MOST_LABELS = 100
"""Labels that stand in the code; more are read from a file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """A file of one image input, as code sees it.

    Attributes:
        name: Of the file.
        height, width: Of its input; `preprocessing`: how an image becomes it.
        input: The tensor.
        outputs: Tensors of the first head, in its order; `places`: which outputs of the file they are.
        count: Outputs of the file.
        form: What they are.
        activation: Of the head.
        labels: Of the head.
        normalise: Whether a vector is made as long as 1.
        score, most: Least score and most answers of a detector.
        decoder: Of a detector; `offset`: the class of its label 0.
        task: MediaPipe's task that reads the file by its metadata; "" without.
        limits: What MediaPipe does otherwise.
    """

    name: str
    height: int
    width: int
    preprocessing: Preprocessing
    input: TensorInfo
    outputs: tuple[TensorInfo, ...]
    places: tuple[int, ...]
    count: int
    form: Form
    activation: str
    labels: tuple[str, ...]
    normalise: bool
    score: float
    most: int
    decoder: str
    offset: int
    task: str
    limits: tuple[str, ...]


def facts_of(file: Path, spec: Path | None = None) -> Facts:
    """Return the facts of a .tflite.

    Raises:
        ConfigError: It has no contract, is no .tflite, or takes something else than one image.
    """
    from edgecv.convert.converted import converted_tflite

    opened = model_file(file)
    if opened.format != "tflite":
        raise ConfigError(f"code is written for .tflite files, and {file} is none", hint="convert it to .tflite")
    contract = read_spec(spec) if spec is not None else opened.required_manifest.spec
    only = contract.input
    if len(contract.inputs) != 1 or only.preprocessing is None:
        raise ConfigError(f"code is written for models of one image, and {file} takes {len(contract.inputs)} inputs")
    content = read_bytes(file, what="model")
    ends = converted_tflite(content)
    places = bind_outputs(contract, [info.name for info in ends.outputs], str(file))[0]
    head = contract.head
    settings = task_of(head).settings(head)
    task, limits = _mediapipe(contract, ends.inputs, ends.outputs) if has_metadata(content) else ("", ())
    return Facts(
        name=file.name, height=only.shape[0], width=only.shape[1], preprocessing=only.preprocessing,
        input=ends.inputs[0], outputs=tuple(ends.outputs[place] for place in places), places=places,
        count=len(ends.outputs), form=task_of(head).form, activation=head.activation, labels=head.labels,
        normalise=bool(getattr(settings, "normalise", False)), score=float(getattr(settings, "score", 0.0)),
        most=int(getattr(settings, "most", 0)), decoder=str(getattr(settings, "decoder", "")),
        offset=int(getattr(settings, "label_offset", 0)), task=task, limits=limits,
    )  # fmt: skip


def _mediapipe(
    contract: ModelSpec, inputs: tuple[TensorInfo, ...], outputs: tuple[TensorInfo, ...]
) -> tuple[str, tuple[str, ...]]:
    try:
        found = describe(contract, inputs, outputs)
    except UnsupportedModelError:  # metadata of another tool, by another contract
        return "", ()
    return found.kind, found.limits
