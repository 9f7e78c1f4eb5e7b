"""TFLite Metadata read back by the places of the schema's fields, with flatbuffers' own reader."""

from __future__ import annotations

import dataclasses
from typing import Any

import flatbuffers.number_types as numbers
import numpy as np
import pytest
from flatbuffers.table import Table

from edgecv.convert.converted import converted_tflite
from edgecv.convert.mediapipe import describe
from edgecv.convert.mediapipe.tables import Numbers, Scalar, written
from edgecv.convert.mediapipe.tables import Table as Written
from edgecv.core.errors import UnsupportedModelError
from edgecv.values.manifest import TensorInfo
from edgecv.values.specs import Preprocessing, one_input
from tests.mediapipe_files import CONTRACTS, SIDE, SYMMETRIC, network, spec_of

# Places of fields, as metadata_schema.fbs orders them; fields of a union count twice, type and value.
NAME, SUBGRAPHS, PARSER = 0, 3, 7
INPUTS, OUTPUTS, GROUPS, CUSTOM = 2, 3, 8, 9
CONTENT, UNITS, STATS, FILES = 3, 4, 5, 6


class Read:
    """A table of a finished FlatBuffer, by slots."""

    def __init__(self, data: bytes, at: int) -> None:
        self.table = Table(bytearray(data), at)
        self.data = data

    def at(self, slot: int) -> int:
        offset = self.table.Offset(4 + 2 * slot)
        return int(offset + self.table.Pos) if offset else 0

    def text(self, slot: int) -> str:
        return str(self.table.String(self.at(slot)).decode())

    def byte(self, slot: int) -> int:
        return int(self.table.Get(numbers.Int8Flags, self.at(slot)))

    def number(self, slot: int, kind: Any = numbers.Float32Flags) -> float:
        return float(self.table.Get(kind, self.at(slot)))

    def child(self, slot: int) -> Read:
        return Read(self.data, int(self.table.Indirect(self.at(slot))))

    def count(self, slot: int) -> int:
        return int(self.table.VectorLen(self.at(slot) - self.table.Pos)) if self.at(slot) else 0

    def start(self, slot: int) -> int:
        return int(self.table.Vector(self.at(slot) - self.table.Pos))

    def children(self, slot: int) -> list[Read]:
        start = self.start(slot) if self.count(slot) else 0
        return [Read(self.data, int(self.table.Indirect(start + 4 * i))) for i in range(self.count(slot))]

    def texts(self, slot: int) -> list[str]:
        return [str(self.table.String(self.start(slot) + 4 * i).decode()) for i in range(self.count(slot))]

    def floats(self, slot: int, dtype: str = "<f4") -> list[float]:
        return [float(v) for v in np.frombuffer(self.data, dtype, self.count(slot), self.start(slot))]


def root(data: bytes) -> Read:
    return Read(data, int(np.frombuffer(data, "<u4", 1)[0]))


def described(kind: str, preprocessing: Preprocessing = SYMMETRIC, **changes: Any) -> Any:
    ends = converted_tflite(network(kind))
    inputs = tuple(dataclasses.replace(info, **changes) for info in ends.inputs)
    return describe(spec_of(kind, preprocessing), inputs, ends.outputs)


def graph(found: Any) -> Read:
    assert found.metadata[4:8] == b"M001"
    return root(found.metadata).children(SUBGRAPHS)[0]


def refused(kind: str, **options: Any) -> str:
    with pytest.raises(UnsupportedModelError) as raised:
        described(kind, **options)
    return str(raised.value)


def test_a_table_holds_its_fields_at_their_slots():
    inner = Written({0: Numbers("float32", (1.5, -2.0)), 3: Scalar("bool", True)})
    data = written(Written({0: "é", 2: inner, 5: (inner, inner), 6: b"\x01\x02", 7: ("a", "b")}), b"TEST")
    assert data[4:8] == b"TEST"
    read = root(data)
    assert read.text(0) == "é"
    assert read.at(1) == 0
    assert read.child(2).floats(0) == [1.5, -2.0]
    assert read.child(2).byte(3) == 1
    assert [one.floats(0) for one in read.children(5)] == [[1.5, -2.0]] * 2
    assert read.texts(7) == ["a", "b"]
    assert read.count(6) == 2
    assert read.start(6) % 16 == 0  # a FlatBuffer inside is read in place
    assert data == written(Written({0: "é", 2: inner, 5: (inner, inner), 6: b"\x01\x02", 7: ("a", "b")}), b"TEST")


def test_an_image_is_normalised():
    found = described("classifier")
    image = graph(found).children(INPUTS)[0]
    assert image.text(NAME) == "image"
    assert image.child(CONTENT).byte(0) == 2
    assert image.child(CONTENT).child(1).byte(0) == 1
    unit = image.children(UNITS)[0]
    assert unit.byte(0) == 1  # NormalizationOptions
    assert (unit.child(1).floats(0), unit.child(1).floats(1)) == ([127.5], [127.5])
    assert (image.child(STATS).floats(0), image.child(STATS).floats(1)) == ([1.0], [-1.0])  # max, min


def test_a_classifier_names_its_labels():
    found = described("classifier")
    output = graph(found).children(OUTPUTS)[0]
    assert output.child(CONTENT).byte(0) == 1  # FeatureProperties
    assert [(one.text(0), one.byte(2)) for one in output.children(FILES)] == [("labels.txt", 2)]  # TENSOR_AXIS_LABELS
    assert found.kind == "image_classifier"
    assert found.files == {"labels.txt": b"ape\nbee\ncat\ndog\n"}
    assert root(found.metadata).text(PARSER) == "1.0.0"


def test_logits_of_labels_become_probabilities_by_calibration():
    found = described("multilabel")
    output = graph(found).children(OUTPUTS)[0]
    unit = output.children(UNITS)[0]
    assert unit.byte(0) == 2
    assert unit.child(1).byte(0) == 0
    assert [(one.text(0), one.byte(2)) for one in output.children(FILES)][1] == ("score_calibration.txt", 4)
    # scale / (1 + exp(-(slope * x + offset))), a line for each label and none behind the last.
    assert found.files["score_calibration.txt"] == b"1.0,1.0,0.0\n1.0,1.0,0.0\n1.0,1.0,0.0\n1.0,1.0,0.0"


def test_an_embedder_says_what_is_left_to_the_app():
    found = described("embedder")
    assert found.kind == "image_embedder"
    assert not found.files
    assert any("l2_normalize" in limit for limit in found.limits)


def test_a_segmenter_says_what_makes_confidences():
    found = described("segmenter")
    custom = graph(found).children(CUSTOM)[0]
    assert custom.text(0) == "SEGMENTER_METADATA"
    inner = found.metadata[custom.start(1) :][: custom.count(1)]
    assert inner[4:8] == b"V001"
    assert root(inner).byte(0) == 2
    assert root(found.metadata).text(PARSER) == "1.5.0"


def test_a_detector_names_four_outputs():
    found = described("detector")
    outputs = graph(found).children(OUTPUTS)
    assert [one.text(NAME) for one in outputs] == ["location", "category", "score", "number of detections"]
    box = outputs[0].child(CONTENT)
    assert box.byte(0) == 3
    assert box.child(1).floats(0, "<u4") == [1, 0, 3, 2]
    assert (box.child(1).byte(1), box.child(1).byte(2)) == (1, 0)  # BOUNDARIES, RATIO
    assert [(one.text(0), one.byte(2)) for one in outputs[1].children(FILES)] == [("labels.txt", 3)]  # of values
    threshold = outputs[2].children(UNITS)[0]
    assert threshold.byte(0) == 3
    assert threshold.child(1).number(0) == 0.5
    group = graph(found).children(GROUPS)[0]
    assert group.text(0) == "detection_result"
    assert group.texts(1) == ["location", "category", "score"]


def test_raw_boxes_come_with_their_anchors():
    found = described("raw detector")
    custom = graph(found).children(CUSTOM)[0]
    assert custom.text(0) == "DETECTOR_METADATA"
    options = root(found.metadata[custom.start(1) :][: custom.count(1)])
    anchors = options.child(1).child(0).children(0)
    assert len(anchors) == 32
    # The second anchor of the second cell: centre (1.5, 0.5) of 4 cells, sides (5, 2.5) of 8 pixels.
    assert [anchors[3].number(slot) for slot in range(4)] == [0.375, 0.125, 0.625, 0.3125]
    decoding = options.child(2)
    whole = [int(decoding.number(slot, numbers.Int32Flags)) for slot in range(6)]
    assert whole == [3, 32, 4, 0, 0, 2]
    assert [round(decoding.number(slot), 5) for slot in range(6, 10)] == [10.0, 10.0, 5.0, 5.0]
    assert (decoding.byte(10), decoding.byte(11)) == (1, 1)  # exponential sizes, sigmoid of scores


@pytest.mark.parametrize(
    ("preprocessing", "why"),
    [
        (Preprocessing("bgr", mean=(0.0,) * 3, std=(1.0,) * 3), "the network takes bgr"),
        (Preprocessing("rgb", mean=(1.0, 2.0, 3.0), std=(1.0,) * 3), "(1, 2, 3) and (1, 1, 1)"),
    ],
)
def test_what_cannot_be_fed_is_refused_with_the_reason(preprocessing, why):
    said = refused("classifier", preprocessing=preprocessing)
    assert why in said
    assert "--metadata mediapipe" in said


def test_gray_is_refused():
    ends = converted_tflite(network("classifier"))
    gray = one_input("tiny", (SIDE, SIDE, 1), (CONTRACTS["classifier"],), Preprocessing("gray"))
    with pytest.raises(UnsupportedModelError, match="the network takes gray"):
        describe(gray, ends.inputs, ends.outputs)


def test_int8_ends_are_refused():
    assert "'x' is int8" in refused("classifier", dtype="int8", scale=1 / 127.5, zero_point=0)


def test_a_uint8_input_must_hold_pixels():
    unit = Preprocessing("rgb", mean=(0.0,) * 3, std=(255.0,) * 3)
    exact = described("classifier", preprocessing=unit, dtype="uint8", scale=1 / 255, zero_point=0)
    assert not any("pixels go in" in limit for limit in exact.limits)
    near = described("classifier", dtype="uint8", scale=1 / 127.5, zero_point=128)
    assert any("up to 1 of 255" in limit for limit in near.limits)
    assert "up to" in refused("classifier", dtype="uint8", scale=1 / 64, zero_point=128)


def test_what_it_does_otherwise_is_said():
    assert described("classifier").limits == ("it resizes without half-pixel centres, and the contract with them",)
    boxed = described("classifier", preprocessing=dataclasses.replace(SYMMETRIC, resize="letterbox"))
    assert "keeps the aspect of images and pads" in boxed.limits[0]


@pytest.mark.parametrize(
    ("kind", "changes", "why"),
    [
        ("classifier", {"activation": "logits"}, "gives logits"),
        ("classifier", {"labels": ("a", "b\nc", "d", "e")}, "a label is a line of text"),
        ("segmenter", {"activation": "linear"}, "indices of the best"),
        ("raw detector", {"settings": {**CONTRACTS["raw detector"].settings, "box": "cxcywh"}}, "'cxcywh'"),
        ("raw detector", {"settings": {**CONTRACTS["raw detector"].settings, "decoder": "yolo_v3"}}, "yolo_v3"),
        ("detector", {"settings": {**CONTRACTS["detector"].settings, "unit": "pixels"}}, "counted in pixels"),
        ("embedder", {"task": "regression", "settings": {}}, "has no task for regression"),
    ],
)
def test_heads_that_it_would_misread_are_refused(kind, changes, why):
    ends = converted_tflite(network(kind))
    spec = one_input("tiny", (SIDE, SIDE, 3), (dataclasses.replace(CONTRACTS[kind], **changes),), SYMMETRIC)
    with pytest.raises(UnsupportedModelError) as raised:
        describe(spec, ends.inputs, ends.outputs)
    assert why in str(raised.value)


def test_outputs_of_two_types_are_refused():
    ends = converted_tflite(network("raw detector"))
    mixed = (ends.outputs[0], TensorInfo("scores", (1, 32, 3), "uint8", 1 / 256, 0))
    with pytest.raises(UnsupportedModelError, match="all float32 or all uint8"):
        describe(spec_of("raw detector"), ends.inputs, mixed)
