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
from tests.detectors import (
    POSTPROCESS,
    ROWS,
    constant_onnx,
    exported,
    postprocessed,
    spec_file,
    stock_float,
    yolo_folder,
)

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


def ap(file: Path, spec: Path, data: Path) -> float:
    result = edgecv("evaluate", file, "--data", f"yolo:{data}", "--split", "all", "--spec", spec, "--json")
    assert result.code == 0, result.err
    return float(json.loads(result.out)["value"])


@pytest.mark.slow
def test_columns_and_an_objectness_are_read_as_the_contract_says(tmp_path: Path, rows: SimpleNamespace) -> None:
    """The same boxes as columns, as shares of the input, and with half of the confidence in an objectness."""
    forms = {
        "columns": (ROWS.T, "columns = true"),
        "shares": (ROWS / np.array([64, 64, 64, 64, 1, 1], np.float32), 'unit = "share"'),
        "objectness": (np.insert(ROWS, 4, 0.5, axis=1), "objectness = true"),
    }
    for name, (values, settings) in forms.items():
        file = constant_onnx(tmp_path / f"{name}.onnx", values)
        spec = spec_file(tmp_path / f"{name}.toml", f'decoder = "rows", score = 0.22, {settings}')
        assert ap(file, spec, rows.data) == 1.0
        told = edgecv("predict", file, rows.data / "images" / "0.png", "--spec", spec, "--json")
        found = json.loads(told.out)["heads"]["objects"]["detections"]
        factor = 0.5 if name == "objectness" else 1.0
        expected = [score for score in (0.9 * factor, 0.6 * factor, 0.3 * factor) if score >= 0.22]
        assert [one["confidence"] for one in found] == pytest.approx(expected, rel=1e-5)
        assert found[0]["xyxy"] == pytest.approx([24, 20, 40, 28], abs=1e-4)
        verified = edgecv("verify", file, "--spec", spec)
        assert verified.code == 0, verified.err
        assert "passed, 4 made-up images by its contract" in verified.out
        assert "holds no golden vectors" in verified.out


def test_a_wrong_unit_is_an_error(tmp_path: Path, rows: SimpleNamespace) -> None:
    spec = spec_file(tmp_path / "wrong.toml", 'decoder = "rows", unit = "share"')
    result = edgecv("evaluate", rows.file, "--data", f"yolo:{rows.data}", "--split", "all", "--spec", spec)
    assert result.code == 2
    assert "reads its boxes as share, and the largest number in them is 50" in result.err
    assert 'unit = "pixels"' in result.err


@pytest.fixture(scope="module")
def coral(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A file that ends in the operator of TensorFlow's object detection, and images of what it finds."""
    folder = tmp_path_factory.mktemp("coral")
    scores = np.array([[0, 0.9, 0.1], [0, 0.2, 0.7], [0, 0.3, 0.05]], np.float32)
    found = [(0, 32, 32, 16, 16), (1, 16, 40, 16, 8)]  # by hand: the first two of ANCHORS, times 64
    (folder / "labels.txt").write_text("a\nb\n")
    return SimpleNamespace(
        file=postprocessed(folder / "coral.tflite", scores),
        data=yolo_folder(folder / "data", found=found),
        folder=folder,
    )


def test_the_operator_of_tensorflows_detectors_is_recognised_and_read(coral: SimpleNamespace) -> None:
    spec = coral.folder / "coral.toml"
    told = edgecv("spec", coral.file, "--preset", "imagenet-tf", "--out", spec)
    assert told.code == 0, told.err
    text = spec.read_text()
    assert 'decoder = "postprocessed"\nunit = "share"' in text
    assert 'labels = ["a", "b"]' in text
    assert f'"{POSTPROCESS}:3"]' in text
    assert "# guessed: class 0 is label 0" in text
    spec.write_text(text.replace('"stretch"', '"letterbox"'))
    assert ap(coral.file, spec, coral.data) == 1.0
    result = edgecv("predict", coral.file, coral.data / "images" / "0.png", "--spec", spec, "--json")
    found = json.loads(result.out)["heads"]["objects"]["detections"]
    assert [(one["label"], one["xyxy"]) for one in found][:2] == [
        ("a", pytest.approx([24, 16, 40, 32], abs=1e-3)),
        ("b", pytest.approx([8, 28, 24, 36], abs=1e-3)),
    ]
    assert edgecv("verify", coral.file, "--spec", spec).code == 0


def test_labels_off_by_one_are_an_error_with_the_way_out(coral: SimpleNamespace) -> None:
    """A list of labels that begins with one for the background, or classes that do."""
    outputs = ", ".join(f'"{POSTPROCESS}{end}"' for end in ("", ":1", ":2", ":3"))
    for offset, code in ((0, 0), (-1, 2), (1, 2)):
        spec = spec_file(
            coral.folder / f"offset{offset}.toml",
            f'decoder = "postprocessed", unit = "share", label_offset = {offset}',
            outputs=f"outputs = [{outputs}]",
        )
        result = edgecv("predict", coral.file, coral.data / "images" / "0.png", "--spec", spec)
        assert result.code == code, result.err
        assert ("label_offset is the class of label 0" in result.err) == bool(code)


def test_what_nothing_tells_is_asked_and_not_guessed(tmp_path: Path, rows: SimpleNamespace) -> None:
    file = stock_float(exported("columns"), tmp_path / "yolo.tflite")
    asked = edgecv("spec", file, "--preset", "unit", "--out", tmp_path / "asked.toml")
    assert asked.code == 0, asked.err
    assert "asked:   objectness of 'objects': true or false" in asked.out
    text = (tmp_path / "asked.toml").read_text()
    assert 'decoder = "rows"\ncolumns = true\nbox = "cxcywh"\nunit = "pixels"' in text
    assert 'resize = "letterbox"' in text
    image = rows.data / "images" / "0.png"
    refused = edgecv("predict", file, image, "--spec", tmp_path / "asked.toml")
    assert refused.code == 2
    assert "objectness: expected a bool, got 'true or false" in refused.err
    told = edgecv("spec", file, "--preset", "unit", "--data", f"yolo:{rows.data}", "--out", tmp_path / "told.toml")
    assert "2 scores for 2 labels: no objectness" in told.out
    assert "objectness = false" in (tmp_path / "told.toml").read_text()
    assert edgecv("predict", file, image, "--spec", tmp_path / "told.toml").code == 0
