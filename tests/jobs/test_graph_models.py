"""Float .onnx and .tflite as the source of every command: imported in memory, once a process, and checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from edgecv.core.errors import ConfigError, EdgecvError, UnsupportedModelError
from edgecv.core.files import sha256
from edgecv.jobs import contract, convert, evaluate, graph_models, models, split
from edgecv.jobs import prune as pruning
from edgecv.jobs import train as training
from edgecv.modelio import load_keras
from edgecv.modelio.model_file import ModelFile
from edgecv.modelio.originals import float_original
from edgecv.runtime.container import read_manifest
from tests.cli.conftest import edgecv
from tests.modelio.onnx.graphs_by_hand import Branches
from tests.reporters import Told


def graph(side: Any = 8) -> Branches:
    g = Branches({"image": ("batch", 1, side, side)})
    x = g.node("Relu", g.node("Conv", "image", g.random(6, 1, 3, 3), g.random(6), pads=[1, 1, 1, 1]))
    x = g.node("Relu", g.node("Conv", x, g.random(8, 6, 3, 3), g.random(8), pads=[1, 1, 1, 1]))
    vector = g.node("Flatten", g.node("GlobalAveragePool", x))
    g.ends(g.node("Softmax", g.node("Gemm", vector, g.random(10, 8), g.random(10), transB=1), axis=1))
    return g


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    """A classifier of 8x8 images as PyTorch writes it: channels first, an open batch, no contract."""
    return graph().written(tmp_path / "net.onnx")


def test_it_is_imported_once_and_every_load_may_change_what_it_gets(digits: Path) -> None:
    heard = Told()
    source = models.Source(path=digits, preset="unit")
    first = contract.opened(source, "digits", reporter=heard)
    told = [line for line in heard.infos if line.startswith("imported")]
    assert len(told) == 1
    assert "8 operators as 9 layers, answers within" in told[0]
    assert "of ONNX Runtime's" in told[0]
    kept = first.model.get_weights()
    first.model.set_weights([np.zeros_like(one) for one in kept])
    second = contract.opened(source, "digits", reporter=heard)
    assert len([line for line in heard.infos if line.startswith("imported")]) == 1
    assert all((a == b).all() for a, b in zip(kept, second.model.get_weights(), strict=True))
    assert second.require_spec().labels == tuple("0123456789")


def test_a_file_that_changes_is_imported_again(digits: Path) -> None:
    before = models.load(models.Source(path=digits))
    proto = onnx.load(digits)
    weights = proto.graph.initializer[0]
    weights.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(weights) * 2, weights.name))
    onnx.save(proto, digits)
    after = models.load(models.Source(path=digits))
    assert before.sha256 != after.sha256 == sha256(digits)
    assert np.allclose(before.model.get_weights()[0] * 2, after.model.get_weights()[0])


def test_the_written_file_names_the_original(digits: Path, tmp_path: Path) -> None:
    out = tmp_path / "q.tflite"
    convert.make(models.Source(path=digits, preset="unit"), convert.Plan(scheme="int8", data="digits"), out=out)
    manifest = read_manifest(out)
    assert manifest is not None
    assert manifest.provenance.source_sha256 == sha256(digits)
    assert {"step": "import", "sha256": sha256(digits)} in manifest.provenance.parents
    keras = tmp_path / "written.keras"
    assert edgecv("import", digits, "--preset", "unit", "--out", keras).code == 0
    written = load_keras(keras).manifest
    assert written is not None
    assert written.provenance.source_sha256 == sha256(digits)
    assert dict(written.provenance.parents[-1])["sha256"] == sha256(digits)
    assert written.provenance.recipe["file"] == "net.onnx"


def test_its_answers_are_those_of_the_file(digits: Path) -> None:
    import onnxruntime

    loaded = models.load(models.Source(path=digits))
    image = np.random.default_rng(0).random((1, 8, 8, 1), np.float32)
    session = onnxruntime.InferenceSession(str(digits), providers=["CPUExecutionProvider"])
    (wanted,) = session.run(None, {"image": image.transpose(0, 3, 1, 2)})
    np.testing.assert_allclose(np.asarray(loaded.model(image)), wanted, atol=1e-6)


def test_a_float_tflite_of_edgecv_keeps_its_contract_and_what_led_to_it(digits: Path, tmp_path: Path) -> None:
    tflite, back = tmp_path / "f.tflite", tmp_path / "back.onnx"
    source = models.Source(path=digits, preset="unit")
    convert.make(source, convert.Plan(scheme="float32", data="digits"), out=tflite)
    made = convert.make(models.Source(path=tflite), convert.Plan(scheme="float32"), out=back)
    assert made.max_abs_diff < 1e-5
    first, last = read_manifest(tflite), read_manifest(back)
    assert first is not None
    assert last is not None
    assert last.spec == first.spec
    assert last.provenance.parents == (*first.provenance.parents, {"step": "import", "sha256": sha256(tflite)})
    with pytest.raises(UnsupportedModelError, match="expected a float network"):
        quantised = tmp_path / "q.tflite"
        convert.make(source, convert.Plan(scheme="int8", data="digits"), out=quantised)
        models.load(models.Source(path=quantised))


def test_what_needs_layers_works(digits: Path, tmp_path: Path) -> None:
    source = models.Source(path=digits, preset="unit")
    plan = pruning.PrunePlan(sparsity=0.5, data="digits", epochs=1)
    assert pruning.prune(source, plan, out=tmp_path / "p.keras").sparsity == pytest.approx(0.5, abs=0.02)
    transfer = training.TrainPlan(source=digits, preset="unit", epochs=1)
    training.train(transfer, out=tmp_path / "t.keras")
    parents = load_keras(tmp_path / "t.keras").manifest.provenance.parents  # type: ignore[union-attr]
    assert {"step": "import", "sha256": sha256(digits)} in parents
    back, head = split.split(source, at="globalaveragepool4_0", out=tmp_path / "parts")
    assert back.input_shape == (8, 8, 1)
    assert head.input_shape == (8, 8, 8)


def test_a_contract_is_asked_for_as_of_any_foreign_model(digits: Path, tmp_path: Path) -> None:
    done = edgecv("quantize", digits, "--data", "digits", "--out", tmp_path / "q.tflite")
    assert done.code == 2
    assert "does not say how it wants its pixels" in done.err
    assert "--preset unit|raw|imagenet-tf" in done.err
    found = edgecv("spec", digits, "--preset", "unit", "--out", tmp_path / "net.toml")
    assert found.code == 0, found.err
    loaded = models.load(models.Source(path=digits, spec=tmp_path / "net.toml"))
    assert loaded.require_spec().input_shape == (8, 8, 1)
    assert loaded.manifest is not None
    assert loaded.manifest.provenance.recipe["file"] == "net.onnx"


def test_open_sizes_come_from_the_option_or_the_contract(tmp_path: Path) -> None:
    file = graph("side").written(tmp_path / "open.onnx")
    with pytest.raises(ConfigError, match="leaves its size open"):
        models.load(models.Source(path=file))
    found = edgecv("spec", file, "--input-size", 16, "--preset", "unit", "--out", tmp_path / "s.toml")
    assert found.code == 0, found.err
    for source in (
        models.Source(path=file, input_size="16"),
        models.Source(path=file, spec=tmp_path / "s.toml"),
    ):
        assert models.load(source).model.input_shape == (None, 16, 16, 1)
    fixed = graph().written(tmp_path / "fixed.onnx")
    with pytest.raises(ConfigError, match="every size of its inputs is fixed"):
        models.load(models.Source(path=fixed, input_size="16"))


def test_answers_beyond_the_tolerance_are_refused(digits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgecv.modelio.onnx import comparing

    monkeypatch.setattr(comparing, "answers_of", lambda built, arrays: [np.full((1, 10), 0.5, np.float32)])
    with pytest.raises(UnsupportedModelError, match="differs from ONNX Runtime") as caught:
        models.load(models.Source(path=digits))
    assert caught.value.hint.startswith(f"edgecv import {digits} --allow-difference")


@pytest.mark.parametrize(
    ("given", "message"),
    [({"architecture": "lenet5"}, "says itself"), ({"signature": "embed"}, "says itself")],
)
def test_what_has_nothing_to_say_is_refused(digits: Path, given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        models.load(models.Source(path=digits, **given))


def test_files_that_are_none(tmp_path: Path) -> None:
    for name, data in (("cut.tflite", b"TFL"), ("no.onnx", b"nothing"), ("cut2.tflite", b"\x1c\0\0\0TFL3\0\0")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(EdgecvError):
            models.load(models.Source(path=tmp_path / name))


def test_evaluate_and_view_take_one_without_a_contract_by_its_import(digits: Path) -> None:
    source = models.Source(path=digits, preset="unit")
    request = evaluate.EvaluationRequest(source=source, data="digits")
    with evaluate.open_predictor(digits, request) as predictor:
        assert predictor.engine.startswith("tf_keras")
        (answer,) = predictor.run([np.zeros((1, 8, 8, 1), np.float32)])
    assert answer.shape == (1, 10)
    with pytest.raises(EdgecvError, match="no edgecv manifest"):
        evaluate.open_predictor(digits, evaluate.EvaluationRequest(data="digits"))


def test_the_original_of_a_quantised_file_is_found_beside_it(tmp_path: Path) -> None:
    for name in ("net.onnx", "net-int8.tflite", "net.tflite", "net.keras", "other.tflite", "solo_quant.onnx"):
        (tmp_path / name).touch()
    assert float_original(tmp_path / "net-int8.tflite") == tmp_path / "net.tflite"
    assert float_original(tmp_path / "net.tflite") is None
    assert float_original(tmp_path / "solo_quant.onnx") is None
    (tmp_path / "net.tflite").unlink()
    assert float_original(tmp_path / "net-int8.tflite") == tmp_path / "net.onnx"


def test_a_graph_says_whether_it_is_float_and_how_it_takes_images(digits: Path) -> None:
    file = ModelFile(digits)
    assert file.is_float_graph
    assert file.takes_channels_first
    assert graph_models.read(digits).reference == "ONNX Runtime"
