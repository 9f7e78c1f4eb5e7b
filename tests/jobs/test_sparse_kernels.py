"""From a network that fulfils XNNPACK's conditions, with zeros, to a sparse file that says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecv import zoo
from edgecv.convert.check.weight_census import held_weights
from edgecv.core import codec
from edgecv.core.errors import ConversionError
from edgecv.jobs import convert as artifacts
from edgecv.jobs import models, sparse_kernels
from edgecv.jobs.traits import traits
from edgecv.modelio import manifest_for, save_keras
from tests.train.small import Listener


def network(variant: str, zeros: float) -> tuple[Any, Any]:
    model, spec = zoo.build("mobilenet_v2_small", variant=variant, labels=("a", "b"), width=0.5, seed=0)
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if type(layer).__name__ == "Conv2D" and layer.kernel_size == (1, 1):
            kernel, *rest = layer.get_weights()
            layer.set_weights([np.where(rng.random(kernel.shape) < zeros, 0, kernel), *rest])
    return model, spec


def saved(folder: Path, variant: str = "centred", zeros: float = 0.8) -> models.Source:
    model, spec = network(variant, zeros)
    recipe = {"step": "prune", "sparsity": zeros, "pattern": None}
    manifest = manifest_for(spec, recipe=recipe, seed=0, sparsity=zeros)
    return models.Source(path=save_keras(model, folder / "m.keras", manifest))


@pytest.mark.slow
def test_the_centred_mobilenet_has_sparse_kernels_throughout(tmp_path: Path) -> None:
    source, out = saved(tmp_path), tmp_path / "m.tflite"
    made = artifacts.make(source, artifacts.Plan(scheme="float32", sparse=True), out=out)
    assert made.sparse is not None
    assert (made.sparse.sparse, len(made.sparse.layers), made.sparse.danger) == (22, 22, "")
    assert {one.layer for one in made.sparse.layers} >= {"block1_1_project", "block5_2_expand", "last"}
    assert made.kept is not None
    assert made.kept.zeros == pytest.approx(0.79, abs=0.02)
    plain = artifacts.make(source, artifacts.Plan(scheme="float32"), out=tmp_path / "dense.tflite")
    assert made.size_bytes < 0.65 * plain.size_bytes
    assert held_weights(tmp_path / "dense.tflite").zeros == held_weights(out).zeros
    json.dumps(codec.encode(made))


def test_the_canonical_one_has_none_and_says_why() -> None:
    found = sparse_kernels.of_model(network("canonical", 0.8)[0], Listener())
    assert found is not None
    assert found.sparse == 0
    assert "CONV_2D 'stem' is 3x3 over 3 channels with stride 1" in found.layers[0].reason


def test_a_refused_network_leaves_no_file(tmp_path: Path) -> None:
    from edgecv.modelio import env

    layers = env.keras().layers
    x = inputs = env.keras().Input((32, 32, 3), name="image")
    x = layers.Conv2D(8, 3, strides=2, name="stem")(layers.ZeroPadding2D(1)(x))
    x = layers.Conv2D(64, 1, name="first")(x)
    x = layers.DepthwiseConv2D(3, strides=2, padding="same", name="halved")(layers.Conv2D(64, 1, name="second")(x))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(64, 1, name="third")(x))
    model = env.keras().Model(inputs, layers.Dense(2, activation="softmax", name="out")(x))
    for name in ("first", "second", "third"):
        kernel, bias = model.get_layer(name).get_weights()
        model.get_layer(name).set_weights([np.where(np.arange(kernel.size).reshape(kernel.shape) % 5, 0, kernel), bias])
    _, spec = network("centred", 0.0)
    source = models.Source(path=save_keras(model, tmp_path / "m.keras", manifest_for(spec, recipe={}, seed=0)))
    with pytest.raises(ConversionError, match="DEPTHWISE_CONV_2D 'halved' has padding 'same'"):
        artifacts.make(source, artifacts.Plan(scheme="float32", sparse=True), out=tmp_path / "m.tflite")
    assert not (tmp_path / "m.tflite").exists()


def test_clusters_are_known_from_the_last_step_only() -> None:
    _, spec = network("centred", 0.0)

    def after(**recipe: Any) -> Any:
        return traits(manifest_for(spec, recipe=recipe, seed=0, sparsity=0.5))

    assert (
        after(step="cluster", clusters=16, pattern=[2, 4]).words
        == "50.0% zeros in 2:4 blocks, 16 values in each kernel"
    )
    assert after(step="qat", clusters=16).facts == {"sparsity": 0.5, "clusters": 16}
    assert after(step="prune", clusters=16).clusters is None
    assert after(step="qat", clusters=None).clusters is None
    assert traits(None).facts == {}
