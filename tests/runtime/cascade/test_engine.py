"""A cascade is a model file like others: it is loaded, evaluated and timed by the same code as networks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgecv.core.errors import ConfigError, UnsupportedModelError
from edgecv.graphs import read_graph
from edgecv.runtime import load, load_cascade, read_manifest
from edgecv.runtime.container import sniff
from edgecv.tasks.detection.cascades import spec_of
from edgecv.values.specs import Preprocessing, one_input
from tests.cli.conftest import edgecv
from tests.runtime.cascade.made import RIGHT_MINUS_LEFT, stage, stump, written

SIZE = (24, 32)
SPEC = """
name = "edges"

[[inputs]]
name = "image"
shape = [24, 32, 1]
preprocessing = {color = "gray", resize = "letterbox", mean = [0.0], std = [1.0]}

[[heads]]
name = "found"
task = "detection"
activation = "probabilities"
labels = ["edge"]
settings = {decoder = "rows", box = "xyxy", unit = "pixels", nms = "none"}
"""
VOC = (
    "<annotation><filename>a.png</filename><size><width>32</width><height>24</height><depth>1</depth></size>"
    "<object><name>edge</name><bndbox><xmin>9</xmin><ymin>7</ymin><xmax>20</xmax><ymax>18</ymax></bndbox></object>"
    "</annotation>"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return written(tmp_path, [stage(0.5, stump(0, 3.5))], [RIGHT_MINUS_LEFT])


def edge() -> np.ndarray:
    """A white half beside a black one on gray, in rows 6 to 17 and columns 8 to 19."""
    image = np.full(SIZE, 100, np.uint8)
    image[6:18, 8:14], image[6:18, 14:20] = 0, 255
    return image


def test_a_file_says_what_it_takes_and_gives(path: Path) -> None:
    assert sniff(path) == "cascade"
    manifest = read_manifest(path)
    assert manifest is not None
    assert manifest.spec.name == "cascade"
    assert manifest.spec.input_shape == (480, 640, 1)
    graph = read_graph(path)
    assert [op.op for op in graph.ops] == ["HAAR_CASCADE"]
    assert [graph.tensors[i].shape for i in (*graph.inputs, *graph.outputs)] == [(1, 480, 640, 1), (1, 100, 5)]


@pytest.mark.parametrize("apart", [False, True])
def test_a_loaded_cascade_answers_as_the_detector_does(path: Path, apart: bool) -> None:
    with load(path, spec=spec_of("edges", ("edge",), SIZE), apart=apart) as model:
        found = model.predict(edge())
        assert model.engine.startswith("edgecv cascade")
        again = next(iter(model.predict_many([edge()], threads=2)))
    expected = load_cascade(path, label="edge").predict(edge())
    assert len(expected) > 0
    np.testing.assert_array_equal(found.xyxy, expected.xyxy)
    np.testing.assert_allclose(found.confidence, expected.confidence)
    assert found.names[0] == "edge"
    np.testing.assert_array_equal(again.xyxy, found.xyxy)


def test_what_a_cascade_cannot_be_is_refused(path: Path) -> None:
    head = spec_of("edges").head
    colour = one_input("edges", (24, 32, 3), (head,), Preprocessing("rgb", mean=(0.0,) * 3, std=(1.0,) * 3))
    with pytest.raises(UnsupportedModelError, match="looks at gray images"):
        load(path, spec=colour)
    with pytest.raises(ConfigError, match="does not open"):
        load(path, engine="onnxruntime")
    path.write_text(path.read_text().replace("HAAR", "LBP"))
    with pytest.raises(UnsupportedModelError, match="BOOST, LBP"):
        load(path)


def test_commands_take_it_beside_networks(path: Path, tmp_path: Path) -> None:
    data, spec = tmp_path / "voc", tmp_path / "edges.toml"
    spec.write_text(SPEC)
    for folder in ("JPEGImages", "Annotations"):
        (data / folder).mkdir(parents=True)
    Image.fromarray(edge()).save(data / "JPEGImages" / "a.png")
    (data / "Annotations" / "a.xml").write_text(VOC)
    done = edgecv("evaluate", path, "--data", f"voc:{data}", "--spec", spec, "--json")
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert told["engine"].startswith("edgecv cascade")
    assert told["heads"][0]["figures"]["ap50"] > 0
    told = json.loads(edgecv("inspect", path, "--json").out)
    assert [op["op"] for op in told["ops"]] == ["HAAR_CASCADE"]
    drawn = edgecv("predict", path, data / "JPEGImages" / "a.png", "--spec", spec, "--json")
    assert drawn.code == 0, drawn.err
