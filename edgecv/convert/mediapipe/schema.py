"""The tables of TFLite's metadata that edgecv writes, by their fields' places.

Source: mediapipe/tasks/metadata/metadata_schema.fbs, image_segmenter_metadata_schema.fbs and
object_detector_metadata_schema.fbs, of MediaPipe 1.2.3.
"""

from __future__ import annotations

from collections.abc import Sequence

from edgecv.convert.mediapipe.tables import Field, Numbers, Scalar, Table, written

MODEL, CUSTOM = b"M001", b"V001"
"""File identifiers: of the metadata, and of what a task wants beside it."""
AXIS_LABELS, VALUE_LABELS, SCORE_CALIBRATION = 2, 3, 4  # AssociatedFileType
_FEATURES, _IMAGE, _BOXES = 1, 2, 3  # ContentProperties
_NORMALIZATION, _CALIBRATION, _THRESHOLD = 1, 2, 3  # ProcessUnitOptions
_RGB = 1  # ColorSpaceType
_BOUNDARIES, _RATIO = 1, 0  # BoundingBoxType, CoordinateType
_IDENTITY = 0  # ScoreTransformationType
ACTIVATIONS = {"none": 0, "sigmoid": 1, "softmax": 2}
PARSER = {"plain": "1.0.0", "groups": "1.2.1", "custom": "1.5.0"}
"""Version of the parser from which on fields are read. Source: mediapipe/tasks/cc/metadata/metadata_version.cc."""


def associated_file(name: str, kind: int) -> Table:
    return Table({0: name, 2: _enum(kind)})


def image_content() -> Table:
    return _content(_IMAGE, Table({0: _enum(_RGB)}))


def feature_content() -> Table:
    return _content(_FEATURES, Table({}))


def box_content(order: Sequence[int]) -> Table:
    """Boxes by their sides, as shares of the image; `order`: where x1, y1, x2 and y2 stand."""
    return _content(_BOXES, Table({0: Numbers("uint32", tuple(order)), 1: _enum(_BOUNDARIES), 2: _enum(_RATIO)}))


def normalization(mean: Sequence[float], std: Sequence[float]) -> Table:
    return _unit(_NORMALIZATION, Table({0: _floats(mean), 1: _floats(std)}))


def calibration() -> Table:
    """Scores through the sigmoids of an associated file; a score that it does not calibrate becomes 0."""
    return _unit(_CALIBRATION, Table({0: _enum(_IDENTITY), 1: Scalar("float32", 0.0)}))


def threshold(score: float) -> Table:
    return _unit(_THRESHOLD, Table({0: Scalar("float32", score)}))


def tensor(
    name: str,
    content: Table,
    *,
    units: Sequence[Table] = (),
    files: Sequence[Table] = (),
    limits: tuple[Sequence[float], Sequence[float]] | None = None,
) -> Table:
    """Return the metadata of a tensor; `limits`: least and largest values."""
    fields: dict[int, Field] = {0: name, 3: content}
    if units:
        fields[4] = tuple(units)
    if limits is not None:
        fields[5] = Table({0: _floats(limits[1]), 1: _floats(limits[0])})
    if files:
        fields[6] = tuple(files)
    return Table(fields)


def model(
    name: str,
    inputs: Sequence[Table],
    outputs: Sequence[Table],
    *,
    group: tuple[str, Sequence[str]] | None = None,
    custom: tuple[str, bytes] | None = None,
) -> bytes:
    """Return the metadata of a model of one graph.

    Args:
        name: Of the model.
        inputs: Of its tensors, in the file's order.
        outputs: Likewise.
        group: Outputs that belong together, by name.
        custom: Name and content of what one task wants beside it.
    """
    graph: dict[int, Field] = {2: tuple(inputs), 3: tuple(outputs)}
    if group is not None:
        graph[8] = (Table({0: group[0], 1: tuple(group[1])}),)
    if custom is not None:
        graph[9] = (Table({0: custom[0], 1: custom[1]}),)
    least = PARSER["custom" if custom is not None else "groups" if group is not None else "plain"]
    return written(Table({0: name, 3: (Table(graph),), 7: least}), MODEL)


def segmenter(activation: str) -> bytes:
    """Return what an image segmenter wants beside the metadata: what makes confidences of a mask's numbers."""
    return written(Table({0: _enum(ACTIVATIONS[activation]), 1: "1.0"}), CUSTOM)


def detector(
    anchors: Sequence[tuple[float, float, float, float]],
    *,
    classes: int,
    scales: tuple[float, float, float, float],
    sigmoid: bool,
) -> bytes:
    """Return what an object detector of raw outputs wants beside the metadata.

    Args:
        anchors: (x, y, width, height), shares of the input.
        classes: Scores of an anchor.
        scales: What x, y, width and height are divided by.
        sigmoid: Whether scores are logits.
    """
    fixed = tuple(Table({place: Scalar("float32", value) for place, value in enumerate(one)}) for one in anchors)
    # Two values of a keypoint even where there are none: MediaPipe ends the process otherwise.
    counts = (classes, len(anchors), 4, 0, 0, 2)
    fields: dict[int, Field] = {place: Scalar("int32", value) for place, value in enumerate(counts)}
    fields.update({6 + place: Scalar("float32", value) for place, value in enumerate(scales)})
    fields.update({10: Scalar("bool", True), 11: Scalar("bool", sigmoid)})
    return written(Table({0: "1.0", 1: Table({0: Table({0: fixed})}), 2: Table(fields)}), CUSTOM)


def _content(kind: int, properties: Table) -> Table:
    return Table({0: _enum(kind), 1: properties})


def _unit(kind: int, options: Table) -> Table:
    return Table({0: _enum(kind), 1: options})


def _enum(value: int) -> Scalar:
    return Scalar("int8", value)


def _floats(values: Sequence[float]) -> Numbers:
    return Numbers("float32", tuple(values))
