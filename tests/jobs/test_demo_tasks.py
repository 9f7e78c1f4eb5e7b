"""The demos of the other tasks, short and on small images: every stage runs, and its files say what they should."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from edgecv import gates
from edgecv.core.errors import ConfigError
from edgecv.jobs.demo import TARGETS, Demo, demo_names, demo_of, run_demo
from edgecv.report import read
from edgecv.runtime.container import read_manifest
from edgecv.values.report import Report

pytestmark = pytest.mark.timeout(900)

FILES = ("float32.tflite", "int8-ptq.tflite", "pruned-int8-qat.tflite", "float32.onnx")
SMALLEST = {"segmentation": 16, "localisation": 32, "detection": 32}


def quick(name: str) -> Demo:
    """Return a demo of one epoch on images as small as its network takes, with few files."""
    demo = demo_of(name)
    size = {"input_size": SMALLEST[name]} if name in SMALLEST else {}
    return replace(demo, epochs=1, items=FILES, beside={}, looks=True, training={**demo.training, **size, "epochs": 1})


def check_report(report: Report, demo: Demo, folder: Path) -> None:
    assert [a.name for a in report.artifacts] == [f"{demo.network}-{file}" for file in FILES]
    for artifact in report.artifacts:
        assert artifact.drop is not None
        assert artifact.drop_ci95 is not None
        assert artifact.drop_ci95[0] <= artifact.drop <= artifact.drop_ci95[1]
        assert artifact.mapping is not None
        assert {artifact.mapping.target, *(m.target for m in artifact.other_mappings)} == set(TARGETS)
        manifest = read_manifest(folder / artifact.path)
        assert manifest is not None
        assert (manifest.format, manifest.scheme) == (artifact.format, artifact.scheme)
        assert len(manifest.inputs) == len(manifest.spec.inputs)
    floats = [a for a in report.artifacts if a.scheme == "float32"]
    # The same weights in another file, by another interpreter, are the same model.
    assert all(a.value == pytest.approx(floats[0].value, abs=2e-3) for a in floats)
    # A network of one epoch says other things in int8, and there are pictures of it.
    for artifact in (a for a in report.artifacts if a.scheme == "int8"):
        assert artifact.exhibits, artifact.name
        assert all((folder / exhibit.path).is_file() for exhibit in artifact.exhibits)
    assert "data:image/png;base64," in (folder / "report.html").read_text()
    pruned = next(a for a in report.artifacts if "pruned" in a.name)
    assert pruned.sparsity == pytest.approx(0.5, abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "task"), [(name, name) for name in demo_names()] + [("pair", "verification")])
def test_a_demo_goes_from_training_to_a_drawn_answer(name: str, task: str, tmp_path: Path) -> None:
    demo = quick(name)
    made = run_demo(tmp_path, demo)
    report = read(made.paths.json)
    check_report(report, demo, tmp_path)
    assert {head.task for artifact in report.artifacts for head in artifact.heads} == {task}
    assert gates.check(tmp_path / "gates.toml").passed
    assert "<html" in (tmp_path / "layers.html").read_text()
    with Image.open(tmp_path / "prediction.png") as picture:
        assert picture.format == "PNG"
        assert picture.convert("L").getextrema()[0] < picture.convert("L").getextrema()[1]
    assert [p.name for p in tmp_path.iterdir() if "partial" in p.name or p.name.endswith(".state")] == []


def test_the_demos_are_of_every_kind_and_the_default_classifies() -> None:
    assert demo_names()[0] == "classification"
    assert set(demo_names()) == {
        "classification", "detection", "embedding", "imaging", "localisation", "segmentation",
    }  # fmt: skip
    assert demo_of() == demo_of("classification")


def test_a_further_network_of_a_demo_is_not_named_by_itself() -> None:
    assert demo_of("embedding").beside == {"pair": "pair"}
    assert "pair" not in demo_names()


def test_a_demo_is_found_by_its_network() -> None:
    assert demo_of(network="lenet5").network == "lenet5"
    assert demo_of("classification", network="lenet5") == demo_of(network="lenet5")
    assert demo_of(network=demo_of().network) == demo_of()
    assert demo_of(network="siamese_mnist") == demo_of("embedding")


def test_a_network_of_another_task_is_refused() -> None:
    with pytest.raises(ConfigError, match="unet_small"):
        demo_of("classification", network="unet_small")
    with pytest.raises(ConfigError, match="lenet5"):
        demo_of(network="lenet")


def test_an_unknown_demo_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="segmentation"):
        demo_of("segmentaton")
