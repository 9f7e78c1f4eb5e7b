"""Detectors on the command line: what is drawn, what a call changes, and files that other tools wrote."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from edgecv.cli.settings import parsed
from edgecv.core.errors import ConfigError
from tests.detectors import ROWS, constant_onnx, exported, spec_file, yolo_folder

from .conftest import edgecv


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A detector that finds the same in every image, its contract, and images."""
    folder = tmp_path_factory.mktemp("rows")
    return SimpleNamespace(
        file=constant_onnx(folder / "rows.onnx", ROWS),
        spec=spec_file(folder / "rows.toml", 'decoder = "rows"'),
        data=yolo_folder(folder / "data"),
    )


def test_a_folder_is_drawn_with_the_settings_of_the_call(rows: SimpleNamespace, tmp_path: Path) -> None:
    asked = ["predict", rows.file, rows.data / "images", "--spec", rows.spec, "--out", tmp_path / "drawn"]
    result = edgecv(*asked, "--set", "score=0.4", "--set", "nms=none", "--json")
    assert result.code == 0, result.err
    answers = json.loads(result.out)["answers"]
    assert [Path(one["drawn"]).name for one in answers] == ["0.png", "1.png", "2.png", "3.png"]
    found = answers[0]["heads"]["objects"]["detections"]
    assert [one["confidence"] for one in found] == pytest.approx([0.9, 0.6, 0.5])
    assert found[0]["xyxy"] == [24, 20, 40, 28]  # 8 rows of padding are taken off
    before, after = (np.asarray(Image.open(path)) for path in (rows.data / "images" / "0.png", answers[0]["drawn"]))
    assert after.shape[:2] != (0, 0)
    assert not np.array_equal(before, after)


def test_evaluate_measures_at_its_own_score(rows: SimpleNamespace) -> None:
    asked = ["evaluate", rows.file, "--data", f"yolo:{rows.data}", "--split", "all", "--spec", rows.spec, "--json"]
    plain, with_overlap = (json.loads(edgecv(*asked, *more).out) for more in ((), ("--set", "iou=0.95")))
    # Two right boxes come first; the double that is kept at an overlap of 0.95 comes after all of its class is found.
    assert plain["value"] == with_overlap["value"] == 1.0
    assert plain["settings"] == {}
    assert with_overlap["settings"] == {"iou": 0.95}
    refused = edgecv(*asked, "--set", "score=0.4")
    assert refused.code == 2
    assert "'score' of head 'objects' changes nothing here: ap is measured" in refused.err


def test_an_unknown_setting_names_the_known_ones(rows: SimpleNamespace) -> None:
    result = edgecv("predict", rows.file, rows.data / "images", "--spec", rows.spec, "--set", "scor=0.4")
    assert result.code == 2
    assert "takes no setting 'scor'" in result.err
    assert "did you mean 'score'? known: score, label_scores, iou, nms, most, tree_score" in result.err


def test_values_are_toml_or_words() -> None:
    assert parsed(["score=0.4", "most = 20", "nms=agnostic"]) == {"score": 0.4, "most": 20, "nms": "agnostic"}
    assert parsed(["mask.resize=nearest", "label_scores={cat = 0.6}"]) == {
        "mask": {"resize": "nearest"},
        "label_scores": {"cat": 0.6},
    }
    assert parsed(["label_scores.cat=0.6", "label_scores.dog=0.7"]) == {"label_scores": {"cat": 0.6, "dog": 0.7}}
    for wrong in (["score"], ["=1"], ["score="], ["score=0.1", "score=0.2"], ["sc ore=it's"]):
        with pytest.raises(ConfigError, match="--set"):
            parsed(wrong)


@pytest.fixture(scope="module")
def pixels(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A keras detector with boxes in pixels beside its scores, and what `quantize` makes of it."""
    folder = tmp_path_factory.mktemp("pixels")
    exported("columns").save(folder / "m.keras")
    spec = spec_file(folder / "m.toml", 'decoder = "rows", columns = true')
    data = f"yolo:{yolo_folder(folder / 'data', 12)}"
    out = folder / "int8.tflite"
    made = edgecv("quantize", folder / "m.keras", "--spec", spec, "--data", data, "--out", out)
    assert made.code == 0, made.err
    return SimpleNamespace(file=out, said=made.err, data=data, images=folder / "data" / "images")


LOST = "holds scores and larger values (boxes) under one scale, in steps of 0.2"


def test_every_command_says_that_boxes_take_the_steps_of_the_scores(pixels: SimpleNamespace) -> None:
    evaluated = edgecv("evaluate", pixels.file, "--data", pixels.data, "--split", "test")
    told = {
        "quantize": pixels.said,
        "inspect": edgecv("inspect", pixels.file, "--target", "cpu").out,
        "verify": edgecv("verify", pixels.file).err,
        "evaluate": evaluated.err,
        "predict": edgecv("predict", pixels.file, pixels.images / "0.png").err,
    }
    for command, text in told.items():
        joined = " ".join(text.split())
        assert joined.count(LOST) == 1, (command, text)
        assert "scores of 0..1 have 4" in joined, (command, text)
    assert any(LOST in note for note in json.loads(edgecv("inspect", pixels.file, "--json").out)["notes"])
