"""Code for apps: Python's is run, JavaScript's arithmetic where Node is there, and both say what the runtime says."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecv.convert.converted import converted_tflite
from edgecv.convert.embed import embed_tflite
from edgecv.core.errors import ConfigError
from edgecv.jobs import mediapipe_metadata
from edgecv.jobs.snippets import LANGUAGES, snippet
from edgecv.runtime import load
from edgecv.runtime.image import preprocess
from edgecv.values.manifest import Manifest, Provenance
from edgecv.values.specs import Preprocessing, one_input
from tests.mediapipe_files import CONTRACTS, SIDE, SYMMETRIC, file_of, network

TORCH = {"mean": (123.7, 116.3, 103.5), "std": (58.4, 57.1, 57.4)}
SHOWN = {
    "stretch": SYMMETRIC,
    "letterbox": Preprocessing("bgr", resize="letterbox", pad_value=114, **TORCH),
    "center_crop": Preprocessing("rgb", resize="center_crop", interpolation="nearest", **TORCH),
    "pad": Preprocessing("rgb", resize="pad", pad_value=7, **TORCH),
}


def written(folder: Path, kind: str, preprocessing: Preprocessing = SYMMETRIC) -> Path:
    path = folder / "tiny.tflite"
    path.write_bytes(file_of(kind, preprocessing))
    return path


def gray_file(folder: Path) -> Path:
    """A file of one gray channel with int8 ends: identity of what goes in."""
    from tests.graphs.tiny import N, Net, T, build

    x = T((1, SIDE, SIDE, 1), "int8", 1 / 128, zero_point=-3)
    data = build(Net({"x": x, "y": T((1, SIDE, SIDE, 1), "int8", 1 / 128, zero_point=-3)}, [N("RELU", ["x"], ["y"])]))
    head = CONTRACTS["segmenter"]
    from dataclasses import replace

    spec = one_input(
        "gray", (SIDE, SIDE, 1), (replace(head, labels=("no", "yes"), activation="probabilities"),),
        Preprocessing("gray", mean=(0.0,), std=(255.0,)),
    )  # fmt: skip
    ends = converted_tflite(data)
    manifest = Manifest(
        spec=spec, format="tflite", scheme="int8", provenance=Provenance(recipe={}, tools={}), inputs=ends.inputs,
        outputs=ends.outputs,
    )  # fmt: skip
    path = folder / "tiny.tflite"
    path.write_bytes(embed_tflite(data, manifest))
    return path


def image(rows: int = 13, columns: int = 9) -> np.ndarray:
    return np.random.default_rng(2).integers(0, 256, (rows, columns, 3), dtype=np.uint8)


def python_of(path: Path) -> dict[str, Any]:
    made: dict[str, Any] = {"__name__": "snippet"}
    exec(compile(snippet(path, "python"), "snippet.py", "exec"), made)
    return made


def asked(path: Path, given: np.ndarray) -> Any:
    made = python_of(path)
    interpreter = made["Interpreter"](str(path))
    interpreter.allocate_tensors()
    return made["answer"](interpreter, given)


@pytest.mark.parametrize("resize", SHOWN)
def test_python_prepares_images_as_the_runtime(resize, tmp_path):
    path = written(tmp_path, "classifier", SHOWN[resize])
    given = image(5, 7) if resize == "pad" else image()
    with load(path) as predictor:
        wanted = preprocess(given, predictor.spec)
    np.testing.assert_allclose(python_of(path)["to_input"](given), wanted, atol=1e-4)


@pytest.mark.parametrize("kind", ["classifier", "multilabel"])
def test_python_ranks_labels_as_the_runtime(kind, tmp_path):
    path = written(tmp_path, kind)
    with load(path) as predictor:
        wanted = predictor.predict(image()).labels
    found = asked(path, image())
    assert [label for label, _ in found] == [label for label, _ in wanted]
    np.testing.assert_allclose([score for _, score in found], [score for _, score in wanted], atol=1e-5)


def test_python_gives_the_vector_of_the_runtime(tmp_path):
    path = written(tmp_path, "embedder")
    with load(path) as predictor:
        np.testing.assert_allclose(asked(path, image()), predictor.predict(image()).vector, atol=1e-5)


def test_python_gives_the_mask_of_the_output(tmp_path):
    path = written(tmp_path, "segmenter")
    with load(path) as predictor:
        values = predictor.predict(image()).outputs[0]
    np.testing.assert_array_equal(asked(path, image()), values.argmax(axis=-1))


def test_python_gives_the_boxes_of_the_runtime(tmp_path):
    path = written(tmp_path, "detector")
    given = image(SIDE, SIDE)
    with load(path) as predictor:
        wanted = predictor.predict(given)
    found = asked(path, given)
    assert [label for label, _, _ in found] == [wanted.labels[index] for index in wanted.class_id]
    inside = np.clip(np.array([box for _, _, box in found]) * SIDE, 0, SIDE)
    np.testing.assert_allclose(inside, wanted.xyxy, atol=1e-4)


def test_integers_go_in_and_come_out_by_scale_and_zero_point(tmp_path):
    path = gray_file(tmp_path)
    given = image(SIDE, SIDE)
    made = python_of(path)
    with load(path) as predictor:
        wanted = predictor.run([preprocess(given, predictor.spec)])[0][0]
    assert made["to_input"](given).dtype == np.int8
    np.testing.assert_array_equal(asked(path, given), (wanted[..., 0] > 0.5).astype(int))


def in_node(path: Path, folder: Path, program: str) -> Any:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed: JavaScript cannot be run")
    # What is behind MediaPipe's part runs without any package.
    (folder / "snippet.mjs").write_text(snippet(path, "javascript"), encoding="utf-8")
    (folder / "asked.mjs").write_text(f'import {{read, toInput}} from "./snippet.mjs";\n{program}', encoding="utf-8")
    done = subprocess.run([node, "asked.mjs"], cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def rgba(given: np.ndarray) -> list[int]:
    alpha = np.full((*given.shape[:2], 1), 255, np.uint8)
    return [int(value) for value in np.concatenate([given, alpha], axis=2).reshape(-1)]


@pytest.mark.parametrize("resize", SHOWN)
def test_javascript_prepares_images_as_python(resize, tmp_path):
    path = written(tmp_path, "classifier", SHOWN[resize])
    given = image(5, 7) if resize == "pad" else image()
    program = f"console.log(JSON.stringify([...toInput({rgba(given)}, {given.shape[0]}, {given.shape[1]})]));"
    found = in_node(path, tmp_path, program)
    np.testing.assert_allclose(found, python_of(path)["to_input"](given).reshape(-1), atol=1e-4)


@pytest.mark.parametrize("kind", ["classifier", "multilabel", "embedder", "segmenter", "detector"])
def test_javascript_decodes_as_python(kind, tmp_path):
    path = written(tmp_path, kind)
    given = image(SIDE, SIDE)
    with load(path) as predictor:
        raw = [np.asarray(one, np.float64).reshape(-1).tolist() for one in predictor.predict(given).outputs]
    found = in_node(path, tmp_path, f"console.log(JSON.stringify(read({raw})));")
    wanted = asked(path, given)
    if kind in ("classifier", "multilabel"):
        assert [label for label, _ in found] == [label for label, _ in wanted]
        np.testing.assert_allclose([score for _, score in found], [score for _, score in wanted], atol=1e-5)
    elif kind == "detector":
        assert [one["label"] for one in found] == [label for label, _, _ in wanted]
        np.testing.assert_allclose([one["box"] for one in found], [box for _, _, box in wanted], atol=1e-5)
    else:
        values = found["classes"] if kind == "segmenter" else found
        np.testing.assert_allclose(values, np.asarray(wanted).reshape(-1), atol=1e-5)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", CONTRACTS)
def test_code_is_whole(language, kind, tmp_path):
    plain = written(tmp_path, kind)
    path = tmp_path / "with.tflite"
    mediapipe_metadata.rewritten(plain, "mediapipe", out=path)
    code = snippet(path, language)
    assert "MediaPipe Tasks" in code
    assert "half-pixel" in code  # what MediaPipe does otherwise
    assert "MediaPipe Tasks" not in snippet(plain, language)
    assert "127.5" in code
    for opening, closing in ("()", "[]", "{}"):
        assert code.count(opening) == code.count(closing)
    assert "$$" not in code
    if kind != "embedder" and kind != "raw detector":
        assert '"cat"' in code
    if language in ("kotlin", "swift"):
        assert "was not compiled" in code


def test_what_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="kotlin"):
        snippet(written(tmp_path, "classifier"), "kotlim")
    bare = tmp_path / "bare.tflite"
    bare.write_bytes(network("classifier"))
    with pytest.raises(ConfigError, match="carries no manifest"):
        snippet(bare, "kotlin")
