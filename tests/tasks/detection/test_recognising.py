"""What outputs that nothing describes are: boxes and scores are told from other numbers, and nothing is made up."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgecv.core.errors import ConfigError, UnsupportedModelError
from edgecv.tasks.detection import DetectionTask
from edgecv.tasks.detection.recognising import POSTPROCESS
from edgecv.tasks.recognised import Seen
from edgecv.values.specs import Head

TASK = DetectionTask()
SIZE = (96, 128)
RNG = np.random.default_rng(0)


def seen(values: Any, ends_in: str = "linear", name: str = "out", place: int = 0) -> Seen:
    return Seen(name, ends_in, place, np.asarray(values, np.float32))


def boxes(unit: str = "pixels", corners: bool = False) -> np.ndarray:
    """Two answers of 60 boxes whose centres lie all over the input."""
    height, width = SIZE
    grid = np.stack(np.meshgrid(np.linspace(4, width - 4, 10), np.linspace(4, height - 4, 6)), -1).reshape(1, -1, 2)
    centre, side = grid + RNG.normal(0, 1, (2, 60, 2)), RNG.uniform(2, 30, (2, 60, 2))
    found = np.concatenate([centre - side / 2, centre + side / 2] if corners else [centre, side], axis=-1)
    return found / np.array([width, height] * 2) if unit == "share" else found


def rows(unit: str = "pixels", corners: bool = False, values: int = 5) -> np.ndarray:
    return np.concatenate([boxes(unit, corners), RNG.uniform(0, 1, (2, 60, values))], axis=-1)


@pytest.mark.parametrize("unit", ["pixels", "share"])
@pytest.mark.parametrize("corners", [False, True])
@pytest.mark.parametrize("columns", [False, True])
def test_unit_order_and_form_are_found_out(unit: str, corners: bool, columns: bool) -> None:
    values = rows(unit, corners)
    found = TASK.recognise_outputs([seen(np.swapaxes(values, 1, 2) if columns else values)], SIZE, 0)
    assert found is not None
    assert found.head.settings == {
        "decoder": "rows", "columns": columns, "box": "xyxy" if corners else "cxcywh", "unit": unit,
    }  # fmt: skip
    assert set(found.ask) == {"objectness"}
    assert (found.resize, found.pad_value) == ("letterbox", 114)


def test_boxes_and_scores_apart_come_in_the_tasks_order() -> None:
    scores = seen(RNG.uniform(0, 1, (2, 60, 3)), "sigmoid", "scores")
    found = TASK.recognise_outputs([scores, seen(boxes(), name="boxes")], SIZE, 3)
    assert found is not None
    assert found.head.outputs == ("boxes", "scores")
    assert found.head.settings["objectness"] is False
    assert not found.ask


@pytest.mark.parametrize(("labels", "objectness"), [(5, False), (4, True), (0, None), (7, None)])
def test_the_number_of_labels_tells_an_objectness(labels: int, objectness: bool | None) -> None:
    found = TASK.recognise_outputs([seen(rows())], SIZE, labels)
    assert found is not None
    assert found.head.settings.get("objectness") is objectness
    asked = Head("objects", "detection", "probabilities", settings={**found.head.settings, **found.ask})
    if objectness is None:
        with pytest.raises(ConfigError, match="objectness: expected a bool, got 'true or false"):
            TASK.settings(asked)
    else:
        assert TASK.settings(asked).objectness is objectness


@pytest.mark.parametrize(
    "values",
    [
        RNG.normal(0, 1, (2, 60, 9)),  # features of a sequence
        RNG.dirichlet(np.ones(9), (2, 60)),  # probabilities of a sequence
        np.concatenate([RNG.normal(0, 0.1, (2, 60, 4)), RNG.uniform(0, 1, (2, 60, 5))], axis=-1),  # offsets of anchors
        np.concatenate([boxes(), RNG.normal(0, 3, (2, 60, 5))], axis=-1),  # scores that are logits
        boxes(),  # boxes alone
        RNG.uniform(0, 1, (2, 9, 9)),  # rows or columns
        RNG.uniform(0, 1, (2, 9)),  # a classifier
        RNG.uniform(0, 1, (2, 8, 8, 9)),  # maps
    ],
)
def test_other_outputs_are_not_taken_for_a_detectors(values: Any) -> None:
    assert TASK.recognise_outputs([seen(values)], SIZE, 0) is None


def test_an_output_that_is_all_a_sigmoid_holds_no_boxes() -> None:
    values = RNG.uniform(0, 1, (2, 60, 9))
    assert TASK.recognise_outputs([seen(values, "sigmoid")], SIZE, 0) is None


def test_the_operator_of_tensorflows_detectors_says_all_of_it() -> None:
    """In whatever order the file lists its outputs."""
    parts = [(2, (2, 10)), (0, (2, 10, 4)), (3, (2,)), (1, (2, 10))]
    outputs = [seen(np.zeros(shape), POSTPROCESS, f"out_{place}", place) for place, shape in parts]
    found = TASK.recognise_outputs(outputs, SIZE, 0)
    assert found is not None
    assert found.head.outputs == ("out_0", "out_1", "out_2", "out_3")
    assert found.head.settings == {"decoder": "postprocessed", "unit": "share"}
    assert TASK.recognise_outputs(outputs[:2], SIZE, 0) is None


POSTPROCESSED = Head(
    "objects", "detection", "probabilities", ("a", "b"), tuple("bcsn"), {"decoder": "postprocessed", "unit": "share"}
)


def test_behind_the_count_there_may_be_anything() -> None:
    nan = np.nan
    outputs = [
        np.array([[0.1, 0.2, 0.5, 0.6], [nan, nan, nan, np.inf]], np.float32),
        np.array([1, 1e30], np.float32),
        np.array([0.8, 0.9], np.float32),
        np.float32(1),
    ]
    with np.errstate(all="raise"):
        found = TASK.decode(outputs, POSTPROCESSED)
    np.testing.assert_allclose(found.xyxy, [[0.2, 0.1, 0.6, 0.5]])
    assert found.class_id.tolist() == [1]
    batch = [np.asarray(output)[None] for output in outputs]
    assert TASK.is_finite(batch, POSTPROCESSED)
    batch[3] = np.array([2.0])
    assert not TASK.is_finite(batch, POSTPROCESSED)
    batch[3] = np.array([nan])
    assert not TASK.is_finite(batch, POSTPROCESSED)


@pytest.mark.parametrize(("offset", "said"), [(0, [0, 1]), (1, None), (-1, None)])
def test_a_label_offset_that_cannot_be_is_refused(offset: int, said: list[int] | None) -> None:
    head = Head(**{**vars(POSTPROCESSED), "settings": {**POSTPROCESSED.settings, "label_offset": offset}})
    outputs = [np.tile(np.float32([0.1, 0.2, 0.5, 0.6]), (2, 1)), np.float32([0, 1]), np.float32([0.8, 0.7])]
    if said is not None:
        assert TASK.decode(outputs, head).class_id.tolist() == said
        return
    with pytest.raises(UnsupportedModelError, match=f"none of its 2 labels at a label_offset of {offset}"):
        TASK.decode(outputs, head)


def test_boxes_say_what_they_are_counted_in() -> None:
    def head(unit: str, **settings: Any) -> Head:
        return Head("objects", "detection", "probabilities", settings={"decoder": "rows", "unit": unit, **settings})

    assert TASK.contradiction([rows("share")], head("share")) is None
    assert TASK.contradiction([rows("pixels")], head("pixels")) is None
    wrong = TASK.contradiction([rows("share")], head("pixels"))
    assert wrong is not None
    assert wrong.certain
    assert 'unit = "share"' in wrong.hint
    columns = np.swapaxes(rows("pixels"), 1, 2)
    wrong = TASK.contradiction([columns], head("share", columns=True))
    assert wrong is not None
    assert 'unit = "pixels"' in wrong.hint
