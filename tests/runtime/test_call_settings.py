"""Settings of one call: what they change, what they leave alone, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecv import runtime
from edgecv.core.errors import ConfigError
from edgecv.runtime.call_settings import CallSettings, with_settings
from edgecv.values.specs import Head
from tests.conformance.counting import CountTask
from tests.detectors import ROWS, SIDE, constant_onnx, rows_head, spec

IMAGE = np.zeros((SIDE, SIDE, 3), np.uint8)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return constant_onnx(tmp_path_factory.mktemp("rows") / "rows.onnx", ROWS)


@pytest.fixture
def model(file: Path) -> Any:
    with runtime.load(file, spec=spec(rows_head())) as opened:
        yield opened


def test_score_overlap_and_number_are_those_of_the_call(model: Any) -> None:
    # By hand: boxes 0 and 1 overlap by 15 / 17 = 0.88, so at 0.5 the second goes; 0.25 is the least score.
    assert model.predict(IMAGE).confidence.tolist() == pytest.approx([0.9, 0.6, 0.3])
    assert model.predict(IMAGE, score=0.4).confidence.tolist() == pytest.approx([0.9, 0.6])
    assert model.predict(IMAGE, iou=0.9).confidence.tolist() == pytest.approx([0.9, 0.6, 0.5, 0.3])
    assert model.predict(IMAGE, most=1, score=0.01).confidence.tolist() == pytest.approx([0.9])
    assert model.predict(IMAGE, label_scores={"a": 0.95}).class_id.tolist() == [1, 1]
    assert len(model.predict(IMAGE)) == 3  # the file's own again
    assert model.spec.head.settings == {"decoder": "rows"}


@pytest.mark.parametrize("threads", [1, 2])
def test_many_samples_take_the_same_settings(model: Any, threads: int) -> None:
    found = list(model.predict_many([IMAGE] * 3, threads=threads, score=0.55, iou=0.95))
    assert [one.confidence.tolist() for one in found] == [pytest.approx([0.9, 0.6])] * 3


def test_a_wrong_setting_is_refused_by_name(model: Any) -> None:
    with pytest.raises(ConfigError, match="no setting 'scroe'") as told:
        model.predict(IMAGE, scroe=0.4)
    assert "did you mean 'score'" in told.value.hint
    assert "iou" in told.value.hint
    with pytest.raises(ConfigError, match="no setting 'decoder'") as told:
        model.predict(IMAGE, decoder="ssd")
    assert "contract" in told.value.hint
    with pytest.raises(ConfigError, match=r"score is in 0\.\.1, got 4"):
        model.predict(IMAGE, score=4)
    with pytest.raises(ConfigError, match="expected a float"):
        model.predict(IMAGE, iou="much")
    with pytest.raises(ConfigError, match="'cow', which is none of its labels"):
        model.predict(IMAGE, label_scores={"cow": 0.5})
    with pytest.raises(ConfigError, match="unknown value 'hard'"):
        model.predict_many([IMAGE], nms="hard")  # before the first sample is asked for


def test_a_task_without_settings_of_a_call_takes_none() -> None:
    of = spec(Head("values", "regression", "linear", ("u",)))
    with pytest.raises(ConfigError, match=r"\(regression\) takes no setting 'score'") as told:
        with_settings(of, {"score": 0.5})
    assert told.value.hint == "known: none"


def test_another_head_is_named() -> None:
    first = rows_head()
    second = Head("kind", "classification", "probabilities", ("x", "y"))
    both = replace(spec(first), heads=(first, second))
    changed = with_settings(both, {"score": 0.5, "kind": {"threshold": 0.2}})
    assert changed.heads[0].settings["score"] == 0.5
    assert changed.heads[1].settings == {"threshold": 0.2}
    assert with_settings(both, {"objects": {"score": 0.5}}).heads[0].settings["score"] == 0.5
    with pytest.raises(ConfigError, match=r"'kind' \(classification\) takes no setting 'score'"):
        with_settings(both, {"kind": {"score": 0.2}})


def test_what_the_metric_says_itself_is_refused_where_answers_are_judged() -> None:
    of = spec(rows_head())
    assert with_settings(of, {"iou": 0.7}, judged=True).head.settings["iou"] == 0.7
    with pytest.raises(ConfigError, match="'score' of head 'objects' changes nothing here: ap is measured") as told:
        with_settings(of, {"score": 0.4}, judged=True)
    assert told.value.hint == "known: iou, nms, tree_score"


def test_a_task_of_ones_own_says_what_a_call_may_change() -> None:
    from edgecv.tasks.registry import registered

    with registered(CountTask()):
        of = spec(Head("blobs", "count", "linear"))
        assert with_settings(of, {"most": 3}).head.settings == {"most": 3}


def test_settings_that_stay_the_same_are_checked_once_and_changes_are_seen() -> None:
    of, kept = spec(rows_head()), CallSettings()
    labels = {"a": 0.5}
    made = kept.of(of, {"score": 0.4, "label_scores": labels})
    assert kept.of(of, {"score": 0.4, "label_scores": {"a": 0.5}}) is made
    labels["a"] = 0.7  # the caller's own, changed between two calls
    assert kept.of(of, {"score": 0.4, "label_scores": labels}).head.settings["label_scores"] == {"a": 0.7}
    assert kept.of(of, {}) is of
