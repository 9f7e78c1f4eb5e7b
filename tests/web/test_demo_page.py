"""The page as a static host serves it: whole, without another host, and of one mind with the runtime."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecv import runtime
from edgecv.core.errors import ConfigError, MissingDependencyError, UnsupportedModelError
from edgecv.tasks import boxes
from edgecv.values.manifest import TensorInfo
from edgecv.values.specs import Head, InputSpec, ModelSpec, Preprocessing
from edgecv.web import demo_page, packages
from tests.web.browser import asked, chromium

INSTALLED = pytest.mark.skipif(not packages.available(), reason="LiteRT.js is not installed: make web brings it")
BROWSER = pytest.mark.skipif(chromium() is None, reason="Chromium is not installed: make swiftshader brings it")
IMAGE = TensorInfo("image", (1, 16, 16, 1), "int8", 1 / 255, -128)


def spec(head: Head, **changes: Any) -> ModelSpec:
    made = ModelSpec("net", (InputSpec("image", (16, 16, 1), Preprocessing("gray")),), (head,))
    return replace(made, **changes)


KIND = Head("kind", "classification", "probabilities", ("<a>", "b"))


@pytest.mark.parametrize(
    ("model", "tensor", "message"),
    [
        (spec(Head("x", "regression", "linear")), IMAGE, "does not read regression"),
        (spec(KIND, inputs=(InputSpec("f", (4,)),)), IMAGE, "does not take one image"),
        (spec(KIND), replace(IMAGE, dtype="int16"), "does not take tensors of int16"),
        (
            spec(Head("x", "detection", "logits", settings={"decoder": "regions", "strides": [16.0]})), IMAGE,
            'does not read decoder = "regions"',
        ),
    ],
)  # fmt: skip
def test_what_the_page_cannot_show_is_refused_before_anything_is_written(
    model: ModelSpec, tensor: TensorInfo, message: str
) -> None:
    with pytest.raises(UnsupportedModelError, match=message) as caught:
        demo_page.readable(model, (tensor,))
    assert caught.value.hint


def test_without_its_interpreter_no_page_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgecv.jobs import web_page

    monkeypatch.setenv(packages.FOLDER_VARIABLE, str(tmp_path / "none"))
    with pytest.raises(MissingDependencyError, match="not installed"):
        web_page.write(tmp_path / "m.tflite", out=tmp_path / "page")


def test_no_file_of_the_page_names_another_host() -> None:
    for path in demo_page.SCRIPTS.rglob("*.*"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"https?://(?!localhost)|//[a-z]+\.[a-z]{2,}/", text), path


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    """Of each task a tiny network, the classifier in int8, and its page."""
    from edgecv.convert import convert
    from edgecv.jobs import web_page
    from edgecv.modelio import load_keras, save_keras
    from edgecv.modelio.provenance import manifest_for
    from edgecv.values.profiles import calibration as recipe
    from tests.conformance import networks

    folder, found = tmp_path_factory.mktemp("pages"), {}
    for row in ("classification", "detection", "segmentation"):
        model, contract = networks.network(row, 1)
        if row == "detection":  # random weights are sure of nothing
            shown = replace(contract.head, settings={**contract.head.settings, "score": 0.05})
            contract = replace(contract, heads=(shown,))
        keras = save_keras(model, folder / f"{row}.keras", manifest_for(contract, recipe={"step": "build"}))
        file = folder / f"{row}.tflite"
        integers = {"scheme": "int8", "method": "ptq", "dataset": _pictures(folder), "calibration": recipe("minmax")}
        how: Any = integers if row == "classification" else {"scheme": "float32"}
        convert(load_keras(keras), format="tflite", out=file, **how)
        made = web_page.write(file, out=folder / row, judged="a <test>")
        assert Path(made.index) == folder / row / "index.html"
        found[row] = (file, folder / row)
    return found


def _pictures(folder: Path) -> Any:
    """Return noise to calibrate with, in classes."""
    from edgecv.data import open_dataset

    x, y = np.random.default_rng(8).integers(0, 256, (60, 16, 16), np.uint8), np.arange(60) % 3
    parts = {f"{axis}_{split}": values for split in ("train", "test") for axis, values in (("x", x), ("y", y))}
    np.savez(folder / "noise.npz", **parts)
    return open_dataset(f"npz:{folder / 'noise.npz'}")


ASK = """
  const { Model } = await import("./model.js"), { pixelsOf } = await import("./image.js");
  const model = await Model.open();
  const blob = await (await fetch("picture.png")).blob();
  const bitmap = await createImageBitmap(blob, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
  const { answer } = await model.predict(pixelsOf(bitmap, bitmap.width, bitmap.height));
  return answer.mask ? { ...answer, mask: Array.from(answer.mask) } : answer;
"""


@INSTALLED
def test_a_page_is_written_once(pages: dict[str, tuple[Path, Path]]) -> None:
    from edgecv.jobs import web_page

    file, folder = pages["classification"]
    with pytest.raises(ConfigError, match="already exists"):
        web_page.write(file, out=folder)
    assert web_page.write(file, out=folder, judged="a <test>", force=True).model == "classification.tflite"


@INSTALLED
def test_a_page_holds_one_task_and_its_model(pages: dict[str, tuple[Path, Path]]) -> None:
    file, folder = pages["segmentation"]
    assert [path.name for path in (folder / "tasks").iterdir()] == ["segmentation.js"]
    assert (folder / file.name).read_bytes() == file.read_bytes()
    contract = json.loads((folder / "contract.json").read_text())
    assert contract["file"]["size_bytes"] == file.stat().st_size
    assert contract["judged"] == "a <test>"
    builds = {path.name.split(".")[0] for path in (folder / "litert/wasm").iterdir()}
    assert builds == set(demo_page.LITERT_BUILDS)


@INSTALLED
@BROWSER
@pytest.mark.parametrize("task", ["classification", "detection", "segmentation"])
def test_the_browser_says_what_the_runtime_says(pages: dict[str, tuple[Path, Path]], task: str) -> None:
    from PIL import Image

    file, folder = pages[task]
    picture = np.random.default_rng(7).integers(0, 256, (40, 56, 3), np.uint8)
    Image.fromarray(picture).save(folder / "picture.png")
    said = asked(folder, ASK)
    with runtime.load(file) as predictor:
        expected = predictor.predict(folder / "picture.png")
    assert _AGREE[task](said, expected) > 0, "nothing was compared"


def _same_classes(said: Any, expected: Any) -> int:
    assert said["labels"][0]["label"] == expected.label
    scores = {one["label"]: one["score"] for one in said["labels"]}
    for label, score in expected:
        assert scores[label] == pytest.approx(score, abs=1e-4)
    return len(scores)


def _same_boxes(said: Any, expected: Any) -> int:
    assert len(expected) > 3
    found = said["detections"]
    assert [one["class_id"] for one in found] == expected.class_id.tolist()
    np.testing.assert_allclose([one["confidence"] for one in found], expected.confidence, atol=1e-4)
    overlaps = boxes.iou_rows(np.array([one["xyxy"] for one in found]), expected.xyxy)
    assert overlaps.min() > 0.99
    return len(found)


def _same_masks(said: Any, expected: Any) -> int:
    assert (np.array(said["mask"]).reshape(said["size"]) == expected.mask).mean() > 0.999
    return len(said["mask"])


_AGREE = {"classification": _same_classes, "detection": _same_boxes, "segmentation": _same_masks}


SHOW = """
  const frame = document.createElement("iframe");
  frame.src = "index.html?picture=picture.png";
  frame.width = 390; frame.height = 800;
  document.body.append(frame);
  for (let tries = 0; tries < 600; tries++) {
    await new Promise((done) => setTimeout(done, 100));
    if (frame.contentDocument?.body?.dataset.state === "ready") break;
  }
  const page = frame.contentDocument, text = (id) => page.getElementById(id).textContent;
  return {
    summary: text("summary"), rows: page.querySelectorAll("#list li").length, facts: text("facts"),
    error: text("error"),
    wide: page.documentElement.scrollWidth, canvas: !page.getElementById("canvas").hidden,
    loaded: performance.getEntriesByType("resource").map((entry) => new URL(entry.name).host)
      .concat(frame.contentWindow.performance.getEntriesByType("resource").map((entry) => new URL(entry.name).host)),
    here: location.host,
  };
"""


@INSTALLED
@BROWSER
def test_a_person_sees_the_answer_the_file_and_the_time(pages: dict[str, tuple[Path, Path]]) -> None:
    from PIL import Image

    file, folder = pages["classification"]
    Image.fromarray(np.full((20, 30, 3), 90, np.uint8)).save(folder / "picture.png")
    seen = asked(folder, SHOW)
    assert seen["error"] == ""
    assert seen["canvas"]
    with runtime.load(file) as predictor:
        assert seen["summary"].startswith(predictor.predict(folder / "picture.png").label)
    assert seen["rows"] == 3
    for fact in ("classification.tflite", "LiteRT.js", "median of 10", "a <test>"):
        assert fact in seen["facts"]
    assert seen["wide"] <= 390
    assert set(seen["loaded"]) == {seen["here"]}
