"""Pictures of a report: which samples they are of, and that they are there, the same each time."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgecv.report as reports
from edgecv.core.errors import ConfigError
from edgecv.data import Dataset, Split, Target
from edgecv.data.schemes import SCHEMES, Scheme
from edgecv.data.sources import ArrayImages
from edgecv.evaluate import KerasPredictor
from edgecv.jobs import convert, exhibits, models
from edgecv.jobs import report as measure
from edgecv.jobs.exhibits import Answers
from edgecv.modelio import env, manifest_for, save_keras
from edgecv.values.specs import Head, InputSpec, ModelSpec, Preprocessing, one_input

PIL = pytest.importorskip("PIL.Image", reason="Pillow draws")
LABELS = ("dark", "bright")
GRAY = Preprocessing(color="gray")
SPEC = one_input("bright", (4, 4, 1), (Head("output", "classification", "probabilities", LABELS),), GRAY)
SHARP, BLURRED = 9.0, 3.0
VALUES = np.array([0, 255, 90, 250, 110, 5, 140, 10, 160, 100, 240, 0], np.uint8)
ADDRESS = "exhibited"


def network(slope: float) -> Any:
    """A network that says how bright the mean of an image is; both slopes agree at 0.5, and far from it."""
    keras = env.keras()
    image = keras.Input((4, 4, 1), name="image")
    mean = keras.layers.GlobalAveragePooling2D()(image)
    weights = [np.array([[-slope, slope]]), np.array([slope / 2, -slope / 2])]
    return keras.Model(image, keras.layers.Dense(2, activation="softmax", name="output", weights=weights)(mean))


def data() -> Dataset:
    images = np.broadcast_to(VALUES[:, None, None], (len(VALUES), 6, 6)).copy()
    truths = ((VALUES > 127).astype(np.int64),)
    splits = {
        name: Split(name=name, images=ArrayImages(images, np.arange(len(VALUES))), targets=truths)
        for name in ("train", "test")
    }
    return Dataset(
        name=ADDRESS, uri=ADDRESS, targets=(Target(name="output", task="classification", labels=LABELS),), splits=splits
    )


def answered(slope: float) -> Answers:
    found = exhibits.answers(KerasPredictor.of(network(slope), SPEC), data(), "test")
    assert found is not None
    return found


def expected_order() -> list[int]:
    """The samples by how far two sigmoids lie apart: two classes' softmax is one of twice the slope."""
    mean = VALUES / 255 - 0.5
    apart = np.abs(1 / (1 + np.exp(-2 * SHARP * mean)) - 1 / (1 + np.exp(-2 * BLURRED * mean)))
    return np.argsort(-apart, kind="stable")[: exhibits.MOST].tolist()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The float model, and two files: one of another slope, and one that answers like the float model."""
    folder = tmp_path_factory.mktemp("exhibits")
    SCHEMES.add(ADDRESS, Scheme(form=ADDRESS, title="", takes_path=False, open=lambda _, seed: data()))
    try:
        for name, slope in (("float", SHARP), ("other", BLURRED)):
            save_keras(network(slope), folder / f"{name}.keras", manifest_for(SPEC, recipe={}, dataset=ADDRESS))
        for name, source, scheme in (("int8", "other", "int8"), ("same", "float", "float32")):
            plan = convert.Plan(scheme=scheme, data=ADDRESS if scheme == "int8" else None)
            convert.make(models.Source(path=folder / f"{source}.keras"), plan, out=folder / f"{name}.tflite")
        yield folder
    finally:
        SCHEMES.remove(ADDRESS)


def reported(folder: Path, out: Path, *, force: bool = False) -> measure.MadeReport:
    request = measure.ReportRequest(data=ADDRESS, targets=("cpu",), baseline_engine="litert")
    files = (folder / "int8.tflite", folder / "same.tflite")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure, "_time", lambda *_: ())
        return measure.report_files(files, request, baseline=folder / "float.keras", out=out, force=force)


def test_the_samples_that_are_answered_most_differently() -> None:
    apart = exhibits.differences(answered(SHARP), answered(BLURRED))
    assert exhibits.most_different(apart) == expected_order()
    assert exhibits.most_different(np.array([0, 2, np.inf, 2, 0.5])) == [2, 1, 3, 4]
    assert exhibits.most_different(np.array([0.0, 0.5, 0.0])) == [1]


def test_what_float32_rounds_away_is_no_difference() -> None:
    base = answered(SHARP)
    for factor, is_apart in ((1 + 1e-6, False), (1 + 1e-3, True)):
        moved = tuple((first * np.float32(factor),) for (first,) in base.outputs)
        apart = exhibits.differences(base, dataclasses.replace(base, outputs=moved))
        assert (apart > 0).tolist() == [is_apart] * len(VALUES)


def test_answers_of_other_shapes_are_apart() -> None:
    base = answered(SHARP)
    wider = dataclasses.replace(base, outputs=tuple((np.zeros(3, np.float32),) for _ in base.outputs))
    assert exhibits.most_different(exhibits.differences(base, wider)) == [0, 1, 2, 3]


def test_large_answers_are_asked_for_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exhibits, "_KEPT_BYTES", 7 * 8)  # two float32 a sample
    assert len(answered(SHARP).outputs) == 7
    monkeypatch.setattr(exhibits, "_KEPT_BYTES", 1)
    assert len(answered(SHARP).outputs) == exhibits.MOST


def test_vectors_are_not_drawn() -> None:
    keras = env.keras()
    model = keras.Sequential(
        [keras.Input((3,), name="input"), keras.layers.Dense(2, activation="softmax", name="output")]
    )
    spec = ModelSpec("vectors", (InputSpec("input", (3,)),), SPEC.heads)
    assert exhibits.answers(KerasPredictor.of(model, spec), data(), "test") is None


def test_a_report_lists_and_holds_its_pictures(folder: Path, tmp_path: Path) -> None:
    made = reported(folder, tmp_path)
    int8, same = reports.read(made.paths.json).artifacts
    assert same.exhibits == (), "it answers like the float model"
    assert [one.path for one in int8.exhibits] == [f"pictures/int8.tflite-{n}.png" for n in (1, 2, 3, 4)]
    # Rounding to int8 may swap samples that lie as far on either side of 0.5, and no others.
    shown = {int(one.title.split()[1]) for one in int8.exhibits}
    assert shown == set(expected_order())
    assert all("int8" in one.title and "differ by 0." in one.note for one in int8.exhibits)
    for one in int8.exhibits:
        with PIL.open(tmp_path / one.path) as picture:
            # Three panels of 252 pixels (6 x 42) or more.
            assert (picture.mode, picture.width > 3 * 250) == ("RGB", True)
    assert made.paths.html.read_text().count("data:image/png;base64,") == 4
    assert int8.exhibits[0].path in made.paths.markdown.read_text()


@pytest.mark.slow
def test_two_reports_have_the_same_pictures(folder: Path, tmp_path: Path) -> None:
    contents = []
    for name in ("one", "two"):
        reported(folder, tmp_path / name)
        contents.append({path.name: path.read_bytes() for path in (tmp_path / name / "pictures").iterdir()})
    assert contents[0] == contents[1]
    assert len(set(contents[0].values())) == 4


def test_pictures_are_replaced_only_by_force(folder: Path, tmp_path: Path) -> None:
    stale, foreign = (tmp_path / "pictures" / name for name in ("same.tflite-2.png", "holiday.png"))
    stale.parent.mkdir()
    for path in (stale, foreign):
        path.write_bytes(b"old")
    with pytest.raises(ConfigError, match=r"same\.tflite-2\.png already exists"):
        reported(folder, tmp_path)
    assert not (tmp_path / "report.json").exists()
    reported(folder, tmp_path, force=True)
    assert not stale.exists(), "the new report has no such picture"
    assert foreign.read_bytes() == b"old"


def test_a_report_that_fails_leaves_no_pictures(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise ConfigError("no table")

    monkeypatch.setattr(measure, "inspect", fails)
    with pytest.raises(ConfigError, match="no table"):
        reported(folder, tmp_path)
    assert not (tmp_path / "pictures").exists()


def test_pairs_are_drawn_as_pairs(tmp_path: Path) -> None:
    inputs = tuple(InputSpec(name, (4, 4, 1), GRAY) for name in ("one", "two"))
    head = Head("output", "verification", "distances", settings={"threshold": 0.5})
    spec = ModelSpec("pair", inputs, (head,))
    base = Answers(spec=spec, outputs=tuple((np.array([0.1], np.float32),) for _ in range(6)))
    other = Answers(spec=spec, outputs=tuple((np.array([0.1 + index / 10], np.float32),) for index in range(6)))
    drawn = exhibits.pictures(base, other, data(), "test", name="pair.tflite", scheme="int8")
    assert [one.exhibit.title.split()[1] for one in drawn] == ["5", "4", "3", "2"]
    (tmp_path / "pair.png").write_bytes(drawn[0].png)
    with PIL.open(tmp_path / "pair.png") as picture:
        assert picture.width > 6 * 250, "three panels of two images"


def test_a_file_that_knows_the_samples_that_judge_it_is_warned_of() -> None:
    dataset = data()
    fresh = manifest_for(SPEC, recipe={}, dataset=ADDRESS)
    knows = manifest_for(SPEC, recipe={}, dataset=ADDRESS, dataset_sha256=dataset.split("test").sha256)
    (warning,) = measure._seen({Path("a.tflite"): knows, Path("b.tflite"): fresh}, dataset, "test")
    assert "trained on test" in warning
    assert warning.endswith(": a.tflite")
    assert measure._seen({Path("b.tflite"): fresh}, dataset, "test") == ()
