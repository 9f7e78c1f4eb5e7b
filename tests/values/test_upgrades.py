"""Specs and manifests of schema 1 are read as what they meant: one input, heads bound by place, whole outputs."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from edgecv.core import codec
from edgecv.core.errors import ConfigError, UnsupportedModelError
from edgecv.values import manifest as m
from edgecv.values.binding import bind_outputs
from edgecv.values.specs import Head, ModelSpec, Preprocessing, one_input, upgraded

GRAY = {"color": "gray", "resize": "pad", "interpolation": "bilinear", "mean": [0.0], "std": [255.0], "pad_value": 0}
KIND = {
    "name": "kind", "task": "classification", "activation": "logits", "labels": ["a", "b"], "metric": "top1"
}  # fmt: skip
AGE = {"name": "age", "task": "regression", "activation": "linear", "labels": ["years"], "metric": "mae"}
SPEC = {"name": "net", "variant": "book", "input_shape": [2, 3, 1], "preprocessing": GRAY, "heads": [KIND, AGE]}
IMAGE, KIND_OUT, AGE_OUT = np.arange(6, dtype=np.uint8).reshape(2, 3), [0.25, -0.75], [40.5]


def read(document: Any) -> ModelSpec:
    return codec.decode(ModelSpec, upgraded(document), where="spec.toml")


def packed(array: Any) -> dict[str, Any]:
    found: dict[str, Any] = codec.encode(m.pack_array(np.asarray(array)))
    return found


def tensor(name: str, *shape: int) -> dict[str, Any]:
    return {"name": name, "shape": list(shape), "dtype": "float32", "scale": None, "zero_point": None}


def manifest(**changes: Any) -> str:
    outputs = [np.array(KIND_OUT, np.float32), np.array(AGE_OUT, np.float32)]
    document = {
        "schema": "edgecv.manifest/1", "spec": SPEC, "format": "tflite", "scheme": "int8", "method": "ptq",
        "provenance": {"recipe": {"step": "convert"}, "tools": {"tensorflow": "2.21"}, "seed": 0, "parents": []},
        "target": "cpu", "sparsity": None, "layer_map": ["conv"], "extra": {},
        "inputs": [tensor("serving_default_x:0", 1, 2, 3, 1)],
        "outputs": [tensor("StatefulPartitionedCall:1", 1, 2), tensor("StatefulPartitionedCall:0", 1, 1)],
        "golden": [{"image": packed(IMAGE), "outputs": [packed(output) for output in outputs]}],
        "golden_engine": "tflite 2.21", "golden_tolerance": 0.125, "golden_tolerances": [0.125, 0.5],
        **changes,
    }  # fmt: skip
    return json.dumps(document)


class TestSpec:
    def test_is_read_as_one_of_today(self):
        kind = Head("kind", "classification", "logits", ("a", "b"))
        age = Head("age", "regression", "linear", ("years",))
        gray = Preprocessing(color="gray", resize="pad")
        assert read(SPEC) == one_input("net", (2, 3, 1), (kind, age), gray, variant="book")

    @pytest.mark.parametrize("without", [{}, {"preprocessing": None}])
    def test_of_feature_vectors(self, without):
        found = read({"name": "net", "input_shape": [5], "heads": [AGE], **without})
        assert (found.input.name, found.input.shape, found.preprocessing) == ("features", (5,), None)

    def test_heads_are_bound_by_place(self):
        spec = codec.decode(ModelSpec, upgraded(SPEC, ["out:1", "out:0", "auxiliary"]), where="x")
        assert [head.outputs for head in spec.heads] == [("out:1",), ("out:0",)]
        assert bind_outputs(spec, ["out:0", "auxiliary", "out:1"], "f") == ((2,), (0,))

    def test_no_head_is_lost_where_the_model_has_fewer_outputs(self):
        spec = codec.decode(ModelSpec, upgraded(SPEC, ["only"]), where="x")
        assert [head.outputs for head in spec.heads] == [("only",), ("age",)]

    def test_what_is_of_today_stays_as_it_is(self):
        document = codec.encode(one_input("net", (5,), (Head("age", "regression", "linear"),)))
        assert upgraded(document, ["other"]) == document

    @pytest.mark.parametrize(
        ("change", "message", "hint"),
        [
            ({"input_shapes": [2, 3, 1]}, "unknown key 'input_shapes'", "inputs"),
            ({"heads": [{**KIND, "activations": "logits"}]}, "unknown key 'activations'", "did you mean 'activation'"),
            ({"heads": ["kind"]}, "expected a table, got str", None),
            ({"heads": "kind"}, "expected a list, got 'kind'", None),
            ({"heads": [{**KIND, "task": 3}]}, "expected a str, got 3", None),
        ],
    )
    def test_is_read_as_strictly(self, change, message, hint):
        with pytest.raises(ConfigError, match=message) as caught:
            read({**SPEC, **change})
        assert hint is None or hint in caught.value.hint

    def test_a_metric_is_no_key_of_today(self):
        head = {key: value for key, value in KIND.items() if key != "labels"}
        document = {"name": "net", "inputs": [{"name": "x", "shape": [5]}], "heads": [head]}
        with pytest.raises(ConfigError, match="unknown key 'metric'"):
            read(document)


class TestManifest:
    def test_heads_are_bound_to_the_outputs_of_the_file(self):
        found = m.from_json(manifest(), where="net.tflite")
        assert [head.outputs for head in found.spec.heads] == [
            ("StatefulPartitionedCall:1",), ("StatefulPartitionedCall:0",)
        ]  # fmt: skip
        assert (found.scheme, found.method, found.golden_tolerances) == ("int8", "ptq", (0.125, 0.5))

    def test_golden_vectors_have_inputs_and_named_outputs(self):
        (golden,) = m.from_json(manifest(), where="net.tflite").golden
        (image,) = golden.inputs
        assert m.unpack_array(image).tolist() == IMAGE.tolist()
        assert [output.name for output in golden.outputs] == ["StatefulPartitionedCall:1", "StatefulPartitionedCall:0"]
        assert [m.unpack_array(output.values).tolist() for output in golden.outputs] == [KIND_OUT, AGE_OUT]
        assert golden.outputs[1] == m.pack_output("StatefulPartitionedCall:0", np.array(AGE_OUT, np.float32))

    def test_a_large_output_is_sampled(self):
        values = np.random.default_rng(0).random((64, 64)).astype(np.float32)
        text = manifest(golden=[{"image": packed(IMAGE), "outputs": [packed(values), packed(np.float32([1]))]}])
        output = m.from_json(text, where="net.tflite").golden[0].outputs[0]
        assert output == m.pack_output("StatefulPartitionedCall:1", values)
        kept = values.reshape(-1)[m.sampled_positions(values.size)]
        assert m.unpack_array(output.values).tolist() == kept.tolist()

    def test_a_keras_model_knows_its_outputs_itself(self):
        text = manifest(format="keras", inputs=[], outputs=[], golden=[])
        found = m.from_json(text, where="net.keras", outputs=["kind_logits", "age_years"])
        assert [head.outputs for head in found.spec.heads] == [("kind_logits",), ("age_years",)]

    def test_is_written_as_one_of_today(self):
        found = m.from_json(manifest(), where="net.tflite")
        text = m.to_json(found)
        assert json.loads(text)["schema"] == "edgecv.manifest/2"
        assert m.from_json(text, where="net.tflite") == found

    @pytest.mark.parametrize(
        "change",
        [
            {"golden": [{"outputs": []}]},
            {"golden": [{"image": packed(IMAGE), "outputs": [{"dtype": "float32", "shape": [3], "data": "AAAA"}]}]},
            {"golden": [3]},
            {"outputs": [{}]},
            {"spec": []},
            {"surprise": 1},
        ],
    )
    def test_a_damaged_one_is_refused_with_the_file_named(self, change):
        with pytest.raises(UnsupportedModelError, match=r"net\.tflite"):
            m.from_json(manifest(**change), where="net.tflite")
