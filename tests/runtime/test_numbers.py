"""Quantisation of tensors and reading of outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from edgecv.core.errors import ConfigError, DataError
from edgecv.runtime.reading import read_outputs
from edgecv.runtime.tensors import to_real, to_stored
from edgecv.tasks.prediction import scores
from edgecv.values.manifest import TensorInfo
from edgecv.values.specs import Head, ModelSpec, Preprocessing, one_input

INT8 = TensorInfo(name="t", shape=(1, 4), dtype="int8", scale=0.5, zero_point=-1)
FINITE = st.floats(-1e6, 1e6, width=32)


class TestTensors:
    def test_by_hand(self):
        values = np.array([0.0, 1.0, 100.0, -100.0], np.float32)
        assert to_stored(values, INT8).tolist() == [-1, 1, 127, -128]
        assert to_real(np.array([-1, 1, 127], np.int8), INT8).tolist() == [0.0, 1.0, 64.0]

    def test_halves_round_to_even_before_the_zero_point(self):
        assert to_stored(np.array([0.25, 0.75, 1.25, -0.25], np.float32), INT8).tolist() == [-1, 1, 1, -1]

    def test_matches_the_interpreters_quantize(self, files):
        """Parity: QUANTIZE at the start of the file with float inputs, ties included."""
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(str(files.int8_float_io), experimental_preserve_all_tensors=True)
        interpreter.allocate_tensors()
        details = {entry["name"]: entry for entry in interpreter.get_tensor_details()}
        quantised = next(entry for entry in details.values() if entry["name"] == "tfl.quantize")
        scale, zero_point = quantised["quantization"]
        info = TensorInfo(name="x", shape=(1, 8, 8, 1), dtype="int8", scale=float(scale), zero_point=zero_point)
        values = (np.arange(-32, 32, dtype=np.float32).reshape(1, 8, 8, 1) * np.float32(2.5)) * np.float32(scale)
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], values)
        interpreter.invoke()
        assert np.array_equal(to_stored(values, info), interpreter.get_tensor(quantised["index"]))

    @settings(deadline=None)
    @given(arrays.arrays(np.float32, 8, elements=FINITE), st.sampled_from(["int8", "uint8", "int16"]))
    def test_the_round_trip_is_within_half_a_step_or_saturates(self, values, dtype):
        info = TensorInfo(name="t", shape=(8,), dtype=dtype, scale=0.125, zero_point=3)
        limits = np.iinfo(dtype)
        low, high = (limits.min - 3) * 0.125, (limits.max - 3) * 0.125
        error = np.abs(to_real(to_stored(values, info), info) - np.clip(values, low, high))
        assert error.max() <= 0.125 / 2

    @settings(deadline=None)
    @given(arrays.arrays(np.int8, 8), st.floats(1e-3, 10), st.integers(-128, 127))
    def test_stored_values_survive_a_round_trip(self, stored, scale, zero_point):
        info = TensorInfo(name="t", shape=(8,), dtype="int8", scale=scale, zero_point=zero_point)
        assert np.array_equal(to_stored(to_real(stored, info), info), stored)

    def test_not_finite_is_refused(self):
        with pytest.raises(DataError, match="'t'"):
            to_stored(np.array([np.nan], np.float32), INT8)

    def test_floats_are_only_cast(self):
        info = TensorInfo(name="t", shape=(1,), dtype="float16")
        assert to_stored(np.array([0.1], np.float32), info).dtype == np.float16


class TestScores:
    def test_by_hand(self):
        logits = np.log([1.0, 2.0, 5.0])
        np.testing.assert_allclose(scores(logits, "logits"), [0.125, 0.25, 0.625], rtol=1e-6)
        np.testing.assert_allclose(scores(-logits, "distances"), [0.125, 0.25, 0.625], rtol=1e-6)
        np.testing.assert_allclose(scores(logits, "logits", independent=True), [1 / 2, 2 / 3, 5 / 6], rtol=1e-6)
        assert scores(np.array([0.2, 0.7]), "probabilities").tolist() == pytest.approx([0.2, 0.7])

    @settings(deadline=None)
    @given(arrays.arrays(np.float32, (3, 5), elements=st.floats(-(2.0**99), 2.0**99, width=32)))
    def test_softmax_is_a_distribution_and_keeps_the_order(self, values):
        found = scores(values, "logits")
        np.testing.assert_allclose(found.sum(axis=-1), 1, rtol=1e-5)
        best = values.argmax(axis=-1)
        assert (found[np.arange(3), best] == found.max(axis=-1)).all()

    @settings(deadline=None)
    @given(arrays.arrays(np.float32, 6, elements=st.floats(-50, 50, width=32)))
    def test_matches_tensorflow(self, values):
        import tensorflow as tf

        np.testing.assert_allclose(scores(values, "logits"), tf.nn.softmax(values).numpy(), atol=1e-6)
        found = scores(values, "logits", independent=True)
        np.testing.assert_allclose(found, tf.nn.sigmoid(values).numpy(), atol=1e-6)

    def test_linear_has_none(self):
        with pytest.raises(ConfigError, match="linear"):
            scores(np.zeros(3), "linear")


class TestPrediction:
    @staticmethod
    def spec(**head: object) -> ModelSpec:
        values = {"name": "h", "task": "classification", "activation": "probabilities", **head}
        return one_input(name="m", input_shape=(1,), heads=(Head(**values),))

    @staticmethod
    def read(outputs: Sequence[np.ndarray], spec: ModelSpec, places: Sequence[Sequence[int]] = ((0,),)) -> Any:
        return read_outputs(outputs, spec, places, [np.zeros(1, np.float32)])

    def test_best_first_and_ties_in_the_models_order(self):
        output = np.array([[0.25, 0.5, 0.25]], np.float32)
        found = self.read([output], self.spec(labels=("a", "b", "c")))
        assert found.labels == (("b", 0.5), ("a", 0.25), ("c", 0.25))
        assert (found.label, found.score) == ("b", 0.5)
        assert found.outputs[0].shape == (3,)

    def test_without_labels_classes_are_numbered(self):
        assert self.read([np.array([[0.0, 1.0]])], self.spec()).label == "1"

    def test_regression_keeps_units_and_order(self):
        spec = self.spec(task="regression", activation="linear", labels=("x", "y"))
        assert self.read([np.array([[-3.0, 7.0]])], spec).labels == (("x", -3.0), ("y", 7.0))

    def test_multilabel_scores_stand_for_themselves(self):
        spec = self.spec(task="multilabel", activation="logits", labels=("hat", "scarf"))
        found = self.read([np.array([[0.0, 20.0]], np.float32)], spec)
        assert [label for label, _ in found.labels] == ["scarf", "hat"]
        assert [score for _, score in found.labels] == pytest.approx([1.0, 0.5])

    def test_every_head_is_read_by_name(self):
        heads = (
            Head(name="sex", task="classification", activation="probabilities", labels=("f", "m")),
            Head(name="age", task="regression", activation="linear", labels=("years",)),
            Head(name="code", task="embedding", activation="linear"),
        )
        spec = one_input(name="m", input_shape=(1,), heads=heads)
        # The file gives age, an output that no head reads, the code, and the sex.
        outputs = [np.array([[33.5]]), np.zeros((1, 9)), np.array([[3.0, 4.0]]), np.array([[0.25, 0.75]])]
        found = self.read(outputs, spec, [(3,), (0,), (2,)])
        assert found.labels == (("m", 0.75), ("f", 0.25))
        assert list(found.heads) == ["sex", "age", "code"]
        assert found.heads["sex"].labels == found.labels
        assert found.heads["age"].labels == (("years", 33.5),)
        assert found.heads["code"].vector.tolist() == [3.0, 4.0]
        assert [output.shape for output in found.outputs] == [(1,), (9,), (2,), (2,)]

    def test_a_mask_is_of_the_images_own_size(self):
        head = Head(name="mask", task="segmentation", activation="probabilities", labels=("a", "b"))
        spec = one_input("m", (2, 2, 1), (head,), Preprocessing(color="gray"))
        answer = np.zeros((1, 2, 2, 2), np.float32)
        answer[0, :, 0, 0] = answer[0, :, 1, 1] = 1
        found = read_outputs([answer], spec, [(0,)], [np.zeros((4, 6), np.uint8)])
        assert found.mask.tolist() == [[0, 0, 0, 1, 1, 1]] * 4
