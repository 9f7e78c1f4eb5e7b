"""Which layers of an int4 file keep 8 bits: the depthwise ones, or those that are named."""

from __future__ import annotations

import numpy as np
import pytest

from edgecv.compress import PtqRecipe, prepare
from edgecv.convert import Preparation
from edgecv.convert.check.integers import stored_weights
from edgecv.core.errors import ConfigError
from edgecv.graphs import read_tflite
from edgecv.jobs import convert as artifacts
from tests.convert.check.test_dead_channels import LEARNED, convert_, network, pixels


@pytest.fixture(scope="module")
def model():
    return network(1.0)


def types(path):
    """Return the types of the weights by operator, in order."""
    graph = read_tflite(path)
    tensors = {tensor.name: tensor.dtype for tensor in graph.tensors}
    kernels = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
    return [(op.op, tensors[graph.tensors[op.inputs[1]].name]) for op in graph.ops if op.op in kernels]


CASES = [
    (None, ["int8", "int8", "int8", "int4", "int4"]),
    ((), ["int4"] * 5),
    (("stem", "s?de"), ["int8", "int4", "int4", "int4", "int8"]),
]


@pytest.mark.parametrize(("int8", "expected"), CASES)
def test_named_layers_keep_8_bits(model, dataset, spec, tmp_path, int8, expected):
    done = prepare(model, pixels(dataset), PtqRecipe(**LEARNED, bits=4, int8=int8))
    preparation = Preparation(reference=model, integers=done.integers, facts={})
    out = tmp_path / "m.tflite"
    made = convert_(model=done.model, spec=spec, dataset=dataset, out=out, format="tflite", scheme="int4", method="ptq",
                    preparation=preparation)  # fmt: skip
    assert [kind for _, kind in types(out)] == expected
    assert made.check.sqnr_db > 12
    stored = stored_weights(out.read_bytes(), done.model)
    for layer in done.facts.get("int8", ()):
        assert np.abs(stored[layer]).max() == 127
    assert len(done.facts.get("int8", ())) == expected.count("int8")


def test_more_bits_answer_more_like_the_float_model(model, dataset, spec, tmp_path):
    noise = []
    for index, int8 in enumerate(((), None, ("*",))):
        done = prepare(model, pixels(dataset), PtqRecipe(**LEARNED, bits=4, int8=int8))
        # Of the logarithms: the network is so sure that its probabilities hardly move.
        both = [np.log(np.maximum(one.predict(pixels(dataset), verbose=0), 1e-30)) for one in (done.model, model)]
        noise.append(float(np.abs(both[0] - both[1]).mean()))
        assert len(done.integers) == 5, index
    assert noise[0] > noise[1] > noise[2]


def test_a_name_that_no_layer_has(model, dataset):
    with pytest.raises(ConfigError, match="unknown layer with weights 'stam'") as caught:
        prepare(model, pixels(dataset), PtqRecipe(**LEARNED, bits=4, int8=("stam",)))
    assert "did you mean 'stem'" in (caught.value.hint or "")


def test_it_is_an_option_of_int4_files():
    with pytest.raises(ConfigError, match="--int8 names layers of an int4 file"):
        artifacts.check_plan(artifacts.Plan(scheme="int8", int8=("stem",)))
