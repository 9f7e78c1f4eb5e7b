"""`edgecv export`: a model from elsewhere to the file to ship, in one command."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from edgecv.core.errors import ConfigError, GateFailure, MissingDependencyError
from edgecv.jobs import export as job
from edgecv.jobs import models
from edgecv.jobs.evaluate import open_artifact
from edgecv.modelio import env
from edgecv.web import packages
from tests.cli.conftest import edgecv

TRIALS = 2


def folder_of_classes(root: Path) -> tuple[np.ndarray, np.ndarray]:
    """Write scanned digits as a folder of images per class; return them."""
    found = load_digits()
    images = np.round(found.images * 255 / 16).astype(np.uint8)
    for index, (image, label) in enumerate(zip(images, found.target, strict=True)):
        path = root / str(label) / f"{index:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    return images, found.target


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images and a Keras 3 model that was trained on them without edgecv, on pixels in -1..1."""
    folder = tmp_path_factory.mktemp("foreign")
    images, labels = folder_of_classes(folder / "photos")
    keras = env.keras3()
    keras.utils.set_random_seed(0)
    layers = keras.layers
    net = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(16, 3, padding="same", activation="relu", name="stem"),
            layers.Conv2D(16, 3, padding="same", activation="relu", name="body"),
            layers.Flatten(name="flat"),
            layers.Dense(10, activation="softmax", name="digit"),
        ]
    )
    net.compile("adam", "sparse_categorical_crossentropy")
    net.fit(images[..., None] / 127.5 - 1.0, labels, epochs=12, batch_size=32, verbose=0)
    net.save(folder / "mine.keras")
    return folder


@pytest.fixture(scope="module")
def exported(foreign: Path) -> dict:
    done = edgecv(
        "export", foreign / "mine.keras", "--data", f"folder:{foreign / 'photos'}", "--out", foreign / "out",
        "--max-trials", TRIALS, "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    return json.loads(done.out)


def test_one_command_without_a_contract_ships_a_file_that_is_right(foreign: Path, exported: dict) -> None:
    assert exported["verdict"].startswith("ship mine-")
    assert {a["name"] for a in exported["artifacts"]} == {
        "mine-float32.tflite", "mine-float16.tflite", "mine-int8.tflite",
    }  # fmt: skip
    for name in ("report.json", "report.html", "report.md"):
        assert (foreign / "out" / name).exists()
    # Pixels in 0..1 or 0..255 would leave the model guessing.
    with open_artifact(Path(exported["winner"])) as model:
        found = [model.predict(path).label for path in sorted((foreign / "photos" / "3").glob("*.png"))[:40]]
    assert found.count("3") >= 38
    (climb,) = exported["climbs"]
    assert climb["split"] == "validation"
    assert len(climb["trials"]) <= TRIALS
    report = json.loads((foreign / "out" / "report.json").read_text())
    assert report["dataset"]["split"] == "test"


@pytest.mark.slow
def test_a_second_run_keeps_what_was_made(foreign: Path, exported: dict) -> None:
    line = ["export", foreign / "mine.keras", "--data", f"folder:{foreign / 'photos'}", "--out", foreign / "out",
            "--max-trials", TRIALS]  # fmt: skip
    refused = edgecv(*line)
    assert (refused.code, "finished export" in refused.err) == (2, True)
    before = {path: path.stat().st_mtime_ns for path in (foreign / "out").glob("*.tflite")}
    # A file that was tampered with is made again; the others are kept.
    int8 = foreign / "out" / "mine-int8.tflite"
    content = int8.read_bytes()
    int8.write_bytes(content[:-1])
    page = ["--web", foreign / "page"] if packages.available() else []  # make web brings what it needs
    again = edgecv(*line, "--force", *page)
    assert again.code == 0, again.err
    if page:
        assert f"page: {foreign / 'page' / 'index.html'}" in again.out
        contract = json.loads((foreign / "page" / "contract.json").read_text())
        assert contract["file"]["path"] == Path(exported["winner"]).name
        assert contract["judged"].startswith("top1 ")
    assert again.out.count("\nship ") + again.out.startswith("ship ") == 1
    assert int8.read_bytes() == content
    changed = {path.name for path, time in before.items() if path.stat().st_mtime_ns != time}
    assert changed == {"mine-int8.tflite"}


def test_a_page_that_cannot_be_written_is_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(packages.FOLDER_VARIABLE, str(tmp_path / "none"))
    asked = models.Source(path=tmp_path / "absent.keras")
    with pytest.raises(MissingDependencyError, match="not installed"):
        job.export(asked, job.ExportPlan(), out=tmp_path / "out", web=tmp_path / "page")
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "page").exists()


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (job.ExportPlan(max_drop=-1.0), "--max-drop must be 0 or more"),
        (job.ExportPlan(targets=("cpus",)), "unknown target 'cpus'"),
        (job.ExportPlan(bench="fast"), "unknown bench plan 'fast'"),
        (job.ExportPlan(device="pi55"), "unknown device 'pi55'"),
    ],
)
def test_a_wrong_plan_is_refused_before_anything_is_made(plan: job.ExportPlan, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        job.export(models.Source(path=tmp_path / "m.keras"), plan, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").touch()
    with pytest.raises(ConfigError, match="is a file"):
        job.export(models.Source(path=tmp_path / "m.keras"), job.ExportPlan(), out=tmp_path / "m.tflite")


def test_a_target_without_a_file_fails(exported: dict) -> None:
    from edgecv.core import codec

    done = codec.decode(job.Exported, exported, where="test")
    job.require_winners(done)
    (one,) = done.shipped
    with pytest.raises(GateFailure, match="for edgetpu"):
        job.require_winners(dataclasses.replace(done, shipped=(dataclasses.replace(one, target="edgetpu", file=None),)))
