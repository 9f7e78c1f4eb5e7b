"""Quantisation-aware training gives models that become fully integer files which answer as they were trained to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgecv import runtime, zoo
from edgecv.compress import PruneRecipe, QatRecipe, measure, prune, quantize_aware
from edgecv.convert import convert
from edgecv.core.errors import ConfigError
from edgecv.data import Dataset, open_dataset
from edgecv.graphs import read_tflite
from edgecv.modelio import LoadedModel, manifest_for
from edgecv.runtime import preprocess_batch
from edgecv.train import train
from edgecv.values import profiles
from edgecv.values.specs import ModelSpec
from tests.train.small import RECIPE, SPEC, Listener, dataset, model

QAT = QatRecipe(epochs=2, learning_rate=5e-4, seed=1)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return dataset(tmp_path_factory.mktemp("data"))


def loaded(net: object, spec: ModelSpec) -> LoadedModel:
    manifest = manifest_for(spec, recipe={"step": "qat"}, seed=0, method="qat")
    return LoadedModel(model=net, manifest=manifest, path=Path("qat.keras"), sha256="0" * 64)


def agreement(file: Path, net: object, spec: ModelSpec, data: Dataset) -> float:
    """Share of test images to which the file and the fake-quantised model give the same label."""
    split = data.split("test")
    inputs = preprocess_batch([split.image(i) for i in range(min(60, len(split)))], spec)
    expected = np.argmax(net(inputs, training=False), axis=1)  # type: ignore[operator]
    with runtime.load(file) as predictor:
        answers = [int(np.argmax(predictor.run([image[None]])[0])) for image in inputs]
    return float(np.mean(np.array(answers) == expected))


def float_tensors(file: Path) -> list[str]:
    return [tensor.name for tensor in read_tflite(file).tensors if tensor.dtype.startswith("float")]


def test_a_small_net_becomes_a_fully_integer_file_that_agrees(digits: Dataset, tmp_path: Path) -> None:
    source = train(model(), SPEC, digits, RECIPE)
    done = quantize_aware(source.model, SPEC, digits, QAT)
    assert done.unquantised == ()
    assert done.best_value > source.best_value - 0.1
    out = tmp_path / "qat.tflite"
    convert(loaded(done.model, SPEC), format="tflite", scheme="int8", method="qat", out=out, dataset=digits)
    assert float_tensors(out) == []
    assert agreement(out, done.model, SPEC, digits) >= 0.97


@pytest.mark.parametrize("name", ["lenet5", pytest.param("cnn_fashion", marks=pytest.mark.slow)])
def test_the_zoo_converts_to_integers_after_qat(name: str, tmp_path: Path) -> None:
    data = open_dataset("digits")
    net, spec = zoo.build(name, labels=data.labels, seed=0)
    small = QatRecipe(epochs=1, seed=0, batch_size=128)
    done = quantize_aware(net, spec, data, small)
    out = tmp_path / "qat.tflite"
    made = convert(loaded(done.model, spec), format="tflite", scheme="int8", method="qat", out=out, dataset=data)
    assert float_tensors(out) == []
    assert set(made.manifest.layer_map) - {""} <= {layer.name for layer in net.layers}


@pytest.mark.slow
def test_layers_that_tfmot_does_not_know_are_named_and_completed_by_calibration(tmp_path: Path) -> None:
    data = open_dataset("digits")
    net, spec = zoo.build("lenet5", variant="book", labels=data.labels, seed=0)
    listener = Listener()
    done = quantize_aware(net, spec, data, QatRecipe(epochs=1, seed=0, batch_size=128), reporter=listener)
    assert "output" in done.unquantised
    assert "output" in listener.warnings[0]
    out = tmp_path / "book.tflite"
    made = convert(
        loaded(done.model, spec), format="tflite", scheme="int8", method="qat", out=out, dataset=data,
        calibration=profiles.calibration("minmax"),
    )  # fmt: skip
    assert float_tensors(out) == []
    assert "calibration" in made.manifest.provenance.recipe


@pytest.mark.parametrize("preserve", [True, False])
def test_a_pruned_model_stays_pruned_when_asked(preserve: bool, digits: Dataset) -> None:
    pruned = prune(model(), SPEC, digits, PruneRecipe(sparsity=0.5, epochs=2, learning_rate=2e-3))
    recipe = QatRecipe(epochs=1, learning_rate=5e-4, preserve_sparsity=preserve)
    done = quantize_aware(pruned.model, SPEC, digits, recipe)
    assert measure(done.model).share == done.sparsity.share
    if preserve:
        assert done.sparsity.share >= pruned.sparsity.share
    else:
        assert done.sparsity.share < 0.4


def test_the_source_model_is_not_changed(digits: Dataset) -> None:
    source = model()
    before = [w.copy() for w in source.get_weights()]
    quantize_aware(source, SPEC, digits, QatRecipe(epochs=1))
    assert all(np.array_equal(a, b) for a, b in zip(before, source.get_weights(), strict=True))


def test_it_resumes_with_the_same_weights(digits: Dataset, tmp_path: Path) -> None:
    first = quantize_aware(model(), SPEC, digits, QAT, state=tmp_path / "state")
    listener = Listener()
    again = quantize_aware(model(), SPEC, digits, QAT, state=tmp_path / "state", reporter=listener)
    assert any("resuming" in remark for remark in listener.remarks)
    for a, b in zip(first.model.get_weights(), again.model.get_weights(), strict=True):
        assert np.array_equal(a, b)


def test_a_float_model_is_no_qat_model(digits: Dataset, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="quantisation-aware"):
        convert(loaded(model(), SPEC), format="tflite", scheme="int8", method="qat", out=tmp_path / "m.tflite")
