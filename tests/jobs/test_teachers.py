"""A small detector learns from a larger one, on anchors that both have fitted to the same data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgecv.core.errors import ConfigError
from edgecv.jobs.train import TrainPlan, train
from edgecv.modelio import load_keras
from edgecv.tasks.registry import task_of

Image = pytest.importorskip("PIL.Image")
PLAN = TrainPlan(name="yolo_small_gray", epochs=1, batch_size=8, input_size=32)


def boxes_on_disk(folder: Path, seed: int) -> str:
    """Images of one bright rectangle each, in the form of YOLO."""
    rng = np.random.default_rng(seed)
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    (folder / "classes.txt").write_text("wide\ntall\n")
    for index in range(40):
        image = np.zeros((32, 32), np.uint8)
        height, width = rng.integers(4, 20, 2)
        y, x = (int(rng.integers(0, 32 - side)) for side in (height, width))
        image[y : y + height, x : x + width] = 255
        Image.fromarray(image).save(folder / "images" / f"{index}.png")
        row = ((x + width / 2) / 32, (y + height / 2) / 32, width / 32, height / 32)
        (folder / "labels" / f"{index}.txt").write_text(f"{int(height > width)} {' '.join(map(str, row))}\n")
    return f"yolo:{folder}"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    return boxes_on_disk(tmp_path_factory.mktemp("data") / "boxes", seed=0)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory, data: str) -> Path:
    path = tmp_path_factory.mktemp("models") / "big.keras"
    train(replace(PLAN, width=0.5, data=data), out=path)
    return path


@pytest.mark.slow
def test_a_student_of_another_width_has_its_teachers_anchors(teacher: Path, data: str, tmp_path: Path) -> None:
    out = tmp_path / "small.keras"
    train(replace(PLAN, width=0.25, data=data, teacher=teacher), out=out)
    own, known = load_keras(out), load_keras(teacher)
    assert own.manifest.spec.head.settings == known.manifest.spec.head.settings
    assert own.model.count_params() < known.model.count_params() / 2
    assert own.manifest.provenance.source_sha256 == known.sha256
    alone = tmp_path / "alone.keras"
    train(replace(PLAN, width=0.25, data=data), out=alone)
    pairs = zip(own.model.get_weights(), load_keras(alone).model.get_weights(), strict=True)
    assert not all(np.array_equal(a, b) for a, b in pairs)


def test_a_teacher_of_other_data_has_other_anchors(teacher: Path, tmp_path: Path) -> None:
    other = boxes_on_disk(tmp_path / "boxes", seed=1)
    with pytest.raises(ConfigError, match=r"differ in their anchors.*\n.*train the teacher on the same data"):
        train(replace(PLAN, width=0.25, data=other, teacher=teacher), out=tmp_path / "small.keras")
    assert not (tmp_path / "small.keras").exists()


def test_a_teacher_that_reads_other_numbers_is_refused(teacher: Path) -> None:
    head = load_keras(teacher).manifest.spec.head
    task = task_of(head)
    task.check_teacher(head, replace(head, settings={**head.settings, "score": 0.9}))
    for change in ({"strides": [16.0, 4.0]}, {"scale_xy": [1.0, 1.0]}, {"decoder": "yolo_v3"}):
        with pytest.raises(ConfigError, match=f"differ in their {next(iter(change))}.*\n.*larger network of the same"):
            task.check_teacher(head, replace(head, settings={**head.settings, **change}))
