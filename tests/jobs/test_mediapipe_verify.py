"""Files with TFLite Metadata in the real MediaPipe Tasks, one process a file, beside edgecv's own runtime."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgecv.core.errors import ConfigError, MissingDependencyError, UnsupportedModelError
from edgecv.jobs import mediapipe_compare as comparing
from edgecv.jobs import mediapipe_metadata, mediapipe_verify
from edgecv.jobs.run import run
from edgecv.jobs.verify import verify
from tests.mediapipe_files import CONTRACTS, SIDE, SYMMETRIC, file_of, integers, spec_of
from tests.reporters import Told

TASKS = {
    "classifier": "image_classifier", "multilabel": "image_classifier", "embedder": "image_embedder",
    "segmenter": "image_segmenter", "raw detector": "object_detector", "detector": "object_detector",
}  # fmt: skip


LIE = """name = "tiny"
[[inputs]]
name = "image"
shape = [8, 8, 3]
preprocessing = {color = "rgb", mean = [0.0, 0.0, 0.0], std = [255.0, 255.0, 255.0]}
[[heads]]
name = "out"
task = "classification"
activation = "probabilities"
outputs = ["y"]
labels = ["ape", "bee", "cat", "dog"]
"""


@pytest.fixture
def python() -> str:
    found = os.environ.get(mediapipe_verify.VARIABLE)
    if not found:
        pytest.skip(f"{mediapipe_verify.VARIABLE} names no Python with MediaPipe (make mediapipe)")
    return found


def written(folder: Path, kind: str, **options: object) -> Path:
    """Write a file of a kind with its metadata."""
    plain = folder / "plain.tflite"
    plain.write_bytes(file_of(kind, **options))  # type: ignore[arg-type]
    out = folder / "with.tflite"
    mediapipe_metadata.rewritten(plain, "mediapipe", out=out)
    return out


def data_of(folder: Path, side: int) -> str:
    images = np.random.default_rng(3).integers(0, 256, (12, side, side, 3), dtype=np.uint8)
    np.savez(folder / "images.npz", x=images)
    return f"npz:{folder / 'images.npz'}"


@pytest.mark.parametrize("kind", CONTRACTS)
def test_mediapipe_loads_it_and_agrees(kind, tmp_path, python):
    told = Told()
    found = mediapipe_verify.verify_as_mediapipe(
        written(tmp_path, kind), data=data_of(tmp_path, SIDE), split="all", reporter=told
    )
    assert found.passed, found.failure
    assert (found.task, found.n, found.as_is) == (TASKS[kind], mediapipe_verify.MOST, None)
    assert found.engine.startswith("MediaPipe ")
    assert found.fitted.value < 1e-4
    if TASKS[kind] == "object_detector":
        assert found.fitted.same == 1.0
    assert any("half-pixel" in warning for warning in told.warnings)


def test_what_it_resizes_itself_is_told_apart(tmp_path, python):
    found = mediapipe_verify.verify_as_mediapipe(
        written(tmp_path, "classifier"), data=data_of(tmp_path, 2 * SIDE + 3), split="all"
    )
    assert found.passed
    assert found.as_is is not None
    assert found.as_is.value > 10 * max(found.fitted.value, 1e-7)


def test_pixels_of_a_uint8_input_do_not_count_against_the_metadata(tmp_path, python):
    """The contract says -1..1, whose halves of a step the runtime rounds; MediaPipe writes pixels as they are."""
    plain, file, spec = tmp_path / "plain.tflite", tmp_path / "with.tflite", tmp_path / "spec.toml"
    plain.write_bytes(integers())
    spec.write_text(LIE.replace("0.0", "127.5").replace("255.0", "127.5").replace(', "dog"', ""))
    mediapipe_metadata.rewritten(plain, "mediapipe", out=file, spec=spec)
    found = mediapipe_verify.verify_as_mediapipe(file, spec=spec, data=data_of(tmp_path, SIDE), split="all")
    assert found.passed
    assert found.fitted.value == 0.0
    assert found.as_is is not None  # of the same images, by the contract
    assert any("pixels go in as they are" in limit for limit in found.limits)


def test_a_wrong_normalisation_fails(tmp_path, python):
    """The same network, whose contract says another scale than its metadata."""
    file = written(tmp_path, "classifier")
    lie = tmp_path / "lie.toml"
    lie.write_text(LIE)
    found = mediapipe_verify.verify_as_mediapipe(file, spec=lie, data=data_of(tmp_path, SIDE), split="all")
    assert not found.passed
    assert "MediaPipe answers otherwise" in found.failure


def test_a_file_that_mediapipe_refuses_is_an_error_with_its_words(tmp_path, python):
    """Score calibration with a line too many, which MediaPipe finds out when it runs."""
    file = written(tmp_path, "multilabel")
    data = file.read_bytes()
    from edgecv.convert.mediapipe import without_metadata

    file.write_bytes(without_metadata(data))
    with pytest.raises(UnsupportedModelError, match="no TFLite Metadata"):
        mediapipe_verify.verify_as_mediapipe(file, data=data_of(tmp_path, SIDE), split="all")
    with pytest.raises(UnsupportedModelError, match="refuses it"):
        mediapipe_verify.Child(
            "edgecv.runtime.mediapipe_task:MediapipeTask", "image_classifier", str(file), {}, about=file, python=python
        )


def test_files_with_metadata_are_run_and_verified_as_before(tmp_path):
    from PIL import Image

    file = written(tmp_path, "classifier")
    Image.fromarray(np.full((20, 30, 3), 90, np.uint8)).save(tmp_path / "a.png")
    assert run(file, [tmp_path / "a.png"])["labels"] == run(tmp_path / "plain.tflite", [tmp_path / "a.png"])["labels"]
    with pytest.raises(UnsupportedModelError, match="golden"):
        verify(file)  # these files hold none: what the reader says, metadata or not


def test_without_an_environment_it_says_how_to_make_one(tmp_path, monkeypatch):
    monkeypatch.delenv(mediapipe_verify.VARIABLE, raising=False)
    with pytest.raises(MissingDependencyError, match="make mediapipe"):
        mediapipe_verify.verify_as_mediapipe(written(tmp_path, "classifier"))


def test_a_python_that_is_none_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv(mediapipe_verify.VARIABLE, str(tmp_path / "no-python"))
    with pytest.raises(ConfigError, match="cannot be started"):
        mediapipe_verify.verify_as_mediapipe(written(tmp_path, "classifier"), data=data_of(tmp_path, SIDE), split="all")


def test_metadata_needs_a_contract_and_goes_again(tmp_path):
    from tests.mediapipe_files import network

    bare = tmp_path / "bare.tflite"
    bare.write_bytes(network("classifier"))
    with pytest.raises(ConfigError, match="carries no manifest"):
        mediapipe_metadata.rewritten(bare, "mediapipe", out=tmp_path / "out.tflite")
    file = written(tmp_path, "classifier")
    found = mediapipe_metadata.rewritten(file, "none", out=tmp_path / "without.tflite")
    assert found.mediapipe is None
    assert found.added_bytes < 0


class Said:
    """A prediction of edgecv's runtime."""

    def __init__(self, **fields: object) -> None:
        self.__dict__.update(fields)


def asked(kind: str) -> comparing.Asked:
    from edgecv.convert.converted import converted_tflite
    from edgecv.convert.mediapipe import describe
    from tests.mediapipe_files import network

    ends = converted_tflite(network(kind))
    spec = spec_of(kind, SYMMETRIC)
    found = describe(spec, ends.inputs, ends.outputs)
    places = (tuple(range(len(ends.outputs))),)
    return comparing.Asked(kind=found.kind, heads=found.heads, places=places, spec=spec)


def test_scores_that_are_not_told_are_infinitely_far():
    own = Said(heads={"out": Said(scores=np.array([0.1, 0.2, 0.3, 0.4], np.float32))})
    near = {"scores_0": np.array([0.1, 0.25, 0.25, 0.4], np.float32)}
    found = comparing.compared(asked("classifier"), own, near, (SIDE, SIDE))
    assert (round(found.value, 6), found.same, found.count) == (0.05, 1, 1)
    short = {"scores_0": np.array([0.1, np.nan, 0.3, 0.4], np.float32)}
    assert comparing.compared(asked("classifier"), own, short, (SIDE, SIDE)).value == float("inf")


def test_detections_are_matched_by_corners_label_and_score():
    own = Said(
        heads={"out": Said(
            xyxy=np.array([[0, 0, 4, 4], [2, 2, 6, 6], [1, 1, 3, 3]], np.float32),
            confidence=np.array([0.9, 0.8, 0.7], np.float32), class_id=np.array([0, 1, 2]), labels=(),
        )}
    )  # fmt: skip
    theirs = {
        "boxes": np.array([[0, 1, 4, 4], [2, 2, 6, 6], [5, 5, 7, 7]], np.float32),
        "scores": np.array([0.905, 0.8, 0.7], np.float32),
        "names": np.array(["ape", "cat", "cat"]),
        "classes": np.array([-1, -1, -1]),
    }
    found = comparing.compared(asked("raw detector"), own, theirs, (SIDE, SIDE))
    assert (found.same, found.count) == (1, 3)  # the second has another label, the third lies elsewhere
    assert round(found.value, 4) == 0.005


def test_boxes_of_integers_may_lie_further_apart_and_come_and_go_at_the_least_score():
    sides = np.array([[0, 0, 100, 200], [10, 10, 30, 30], [40, 40, 60, 60]], np.float32)
    own = Said(heads={"out": Said(
        xyxy=sides, confidence=np.array([0.8, 0.7, 0.45], np.float32), class_id=np.array([0, 1, 2]), labels=(),
    )})  # fmt: skip
    moved = sides[:2] + np.array([[4, 9, -4, 0], [0, 0, 9, 0]], np.float32)
    theirs = {
        "boxes": moved, "scores": np.array([0.74, 0.7], np.float32), "names": np.array(["ape", "bee"]),
        "classes": np.array([-1, -1]),
    }  # fmt: skip
    exact = asked("raw detector")
    rounded = replace(exact, tolerance=comparing.ROUNDED, least=0.4)
    found = [comparing.compared(one, own, theirs, (300, 300)) for one in (exact, rounded)]
    # 9 pixels are little beside 200 and much beside 20; 0.45 is at the border of 0.4.
    assert [(one.same, one.count) for one in found] == [(0, 3), (1, 2)]
    assert round(found[1].value, 4) == 0.06
