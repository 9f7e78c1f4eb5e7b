"""Channels whose normalisation kept a shift and no scale, as trained MobileNets have: every path quantises them."""

from dataclasses import replace

import numpy as np
import pytest

from edgecv.compress import PtqRecipe, prepare
from edgecv.compress.cloning import copy
from edgecv.convert import Preparation, convert
from edgecv.modelio import manifest_for
from edgecv.values import profiles
from tests.convert.conftest import loaded


@pytest.fixture(scope="module", params=[1e-5, 1e-8, 1e-11])
def dead(source, request):
    """The trained network with one dead channel of four, which matters by its shift."""
    model = copy(source.model)
    norm = model.get_layer("norm")
    gamma, beta, mean, variance = norm.get_weights()
    gamma[1], beta[1] = request.param, 0.8
    norm.set_weights([gamma, beta, mean, variance])
    return model


@pytest.mark.parametrize(
    ("scheme", "recipe"),
    [
        ("int8", PtqRecipe()),
        ("int8", PtqRecipe(correct_bias=True)),
        ("int8", PtqRecipe(adaround=True, iterations=60)),
        ("int8", PtqRecipe(adaround=True, iterations=60, per_channel=False)),
        ("int4", PtqRecipe(adaround=True, iterations=60, bits=4)),
        ("int16x8", PtqRecipe(adaround=True, iterations=60)),
        ("int16x8", PtqRecipe()),
    ],
    ids=str,
)
def test_the_file_answers_like_the_float_model(dead, dataset, spec, scheme, recipe, tmp_path):
    inputs = np.stack(list(dataset.split("train").images))[..., None].astype(np.float32) / 255
    done = prepare(dead, inputs, recipe)
    preparation = Preparation(reference=dead, integers=done.integers, facts={}) if recipe.steps else None
    granularity = "per_channel" if recipe.per_channel else "per_tensor"
    calibration = replace(profiles.calibration("minmax"), granularity=granularity)
    made = convert(
        loaded(done.model if recipe.steps else dead, manifest_for(spec, recipe={"step": "test"})),
        format="tflite", scheme=scheme, method="ptq", calibration=calibration, dataset=dataset,
        preparation=preparation, out=tmp_path / "m.tflite",
    )  # fmt: skip
    assert made.check.sqnr_db > (8 if scheme == "int4" else 18)
