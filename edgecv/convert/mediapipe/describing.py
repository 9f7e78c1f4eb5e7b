"""From a contract and the tensors of a file to its TFLite Metadata, or to the reason why there is none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from edgecv.convert.mediapipe import schema
from edgecv.convert.mediapipe.image_input import image_input, no
from edgecv.convert.mediapipe.tables import Table
from edgecv.tasks.mediapipe import COUNT, MediapipeHead, ReadOutput
from edgecv.tasks.registry import task_of
from edgecv.values.binding import bind_inputs, bind_outputs
from edgecv.values.manifest import TensorInfo
from edgecv.values.specs import ModelSpec

LABELS, CALIBRATION = "labels", "score_calibration"
"""Stems of the files behind a model."""
GROUP = "detection_result"
"""Outputs of a detector that belong together, as other writers call them."""
SIGMOID = "1.0,1.0,0.0"
"""A line of a calibration: scale, slope and offset of `scale / (1 + exp(-(slope * score + offset)))`."""
_ONE_HEAD = ("image_embedder", "image_segmenter", "object_detector")


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """The metadata of a file.

    Attributes:
        kind: The task of MediaPipe that reads it: "image_classifier", "image_embedder", "image_segmenter" or
            "object_detector".
        metadata: What goes into the buffer TFLITE_METADATA.
        files: What goes behind the file, by name.
        limits: What MediaPipe does otherwise than edgecv's runtime with such a file, a sentence each.
        heads: How it reads each head of the contract.
    """

    kind: str
    metadata: bytes
    files: Mapping[str, bytes] = field(default_factory=dict)
    limits: tuple[str, ...] = ()
    heads: tuple[MediapipeHead, ...] = ()


def describe(spec: ModelSpec, inputs: Sequence[TensorInfo], outputs: Sequence[TensorInfo]) -> Described:
    """Return the metadata of a file.

    Args:
        spec: Its contract.
        inputs: Its tensors, in its order.
        outputs: Likewise.

    Raises:
        UnsupportedModelError: MediaPipe cannot be told what the contract says; the message is the reason.
    """
    if len(inputs) != 1:
        raise no(f"it feeds one input, and the file has {len(inputs)}")
    bind_inputs(spec, [info.name for info in inputs], spec.name)
    image, limits = image_input(spec.input, inputs[0])
    _check_types(outputs)
    heads = tuple(_heads(spec, outputs))
    kinds = {head.kind for head, _ in heads}
    if len(kinds) > 1 or (len(heads) > 1 and kinds & set(_ONE_HEAD)):
        raise no(f"no task of it reads heads of several kinds: {', '.join(head.name for head in spec.heads)}")
    files: dict[str, bytes] = {}
    tables: dict[int, Table] = {}
    for number, (head, places) in enumerate(heads):
        for read, place in zip(head.outputs, places, strict=True):
            tables[place] = _output(read, head, f"_{number}" if number else "", files)
    if len(tables) != len(outputs):
        raise no(f"the file has {len(outputs)} outputs, and its contract reads {len(tables)}")
    first = heads[0][0]
    group = [read.name for read in first.outputs if read.name != COUNT]
    metadata = schema.model(
        spec.name,
        [image],
        [tables[place] for place in range(len(outputs))],
        group=(GROUP, group) if len(group) > 1 else None,
        custom=_custom(first),
    )
    told = (*limits, *(limit for head, _ in heads for limit in head.limits))
    return Described(
        kind=first.kind,
        metadata=metadata,
        files=files,
        limits=tuple(dict.fromkeys(told)),
        heads=tuple(head for head, _ in heads),
    )


def _check_types(outputs: Sequence[TensorInfo]) -> None:
    types = sorted({info.dtype for info in outputs})
    if types not in (["float32"], ["uint8"]):
        raise no(
            f"it reads outputs that are all float32 or all uint8, and these are {', '.join(types)}",
            hint="--io uint8 or --io float32" if "int8" in types else "",
        )


def _heads(spec: ModelSpec, outputs: Sequence[TensorInfo]) -> Iterator[tuple[MediapipeHead, tuple[int, ...]]]:
    """Yield how each head is read, with the places of its outputs in the file."""
    bound = bind_outputs(spec, [info.name for info in outputs], spec.name)
    for head, places in zip(spec.heads, bound, strict=True):
        shapes = [outputs[place].shape for place in places]
        yield task_of(head).mediapipe(head, shapes, tuple(spec.input_shape[:2])), places


def _output(read: ReadOutput, head: MediapipeHead, suffix: str, files: dict[str, bytes]) -> Table:
    """Return the metadata of one output, and put the files that it names into `files`."""
    units, named = [], []
    if read.labels and head.labels:
        name = f"{LABELS}{suffix}.txt"
        files[name] = _lines(head.labels)
        kind = schema.AXIS_LABELS if read.labels == "axis" else schema.VALUE_LABELS
        named.append(schema.associated_file(name, kind))
    if read.sigmoid:
        name = f"{CALIBRATION}{suffix}.txt"
        # Without a line's end at the last: MediaPipe counts what stands behind it as one more.
        files[name] = "\n".join((SIGMOID,) * len(head.labels)).encode()
        named.append(schema.associated_file(name, schema.SCORE_CALIBRATION))
        units.append(schema.calibration())
    if read.threshold is not None:
        units.append(schema.threshold(read.threshold))
    content = schema.feature_content() if read.boxes is None else schema.box_content(read.boxes)
    return schema.tensor(read.name, content, units=units, files=named)


def _lines(lines: Sequence[str]) -> bytes:
    for line in lines:
        if not line.strip() or line.splitlines() != [line]:
            raise no(f"a label is a line of text, and one is {line!r}")
    return ("\n".join(lines) + "\n").encode()


def _custom(head: MediapipeHead) -> tuple[str, bytes] | None:
    if head.activation:
        return "SEGMENTER_METADATA", schema.segmenter(head.activation)
    if head.decoding is not None:
        found = head.decoding
        return "DETECTOR_METADATA", schema.detector(
            found.anchors, classes=found.classes, scales=found.scales, sigmoid=found.sigmoid
        )
    return None
