"""The contract and the manifest hold together: what is inconsistent is refused, what is written is read back."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgecv.core.errors import ConfigError, UnsupportedModelError
from edgecv.values import manifest as m
from edgecv.values.specs import Head, Preprocessing, one_input

GRAY = Preprocessing(color="gray")
HEAD = Head(name="class", task="classification", activation="probabilities", labels=("a", "b"))
SPEC = one_input(name="net", input_shape=(8, 8, 1), heads=(HEAD,), preprocessing=GRAY)


def sample(**changes: object) -> m.Manifest:
    golden = m.Golden(
        inputs=(m.pack_array(np.arange(6, dtype=np.uint8).reshape(2, 3)),),
        outputs=(m.pack_output("class", np.array([0.25, 0.75], np.float32)),),
    )
    provenance = m.Provenance(recipe={"step": "train", "epochs": 3}, tools={"tf": "1"}, seed=0)
    values = {"spec": SPEC, "format": "tflite", "scheme": "int8", "provenance": provenance, "golden": (golden,)}
    return m.Manifest(**{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("color", "mean", "std"),
    [("gray", (0.0, 0.0), (1.0, 1.0)), ("rgb", (0.0,), (1.0,)), ("gray", (0.0,), (0.0,)), ("cmyk", (0.0,), (1.0,))],
)
def test_inconsistent_preprocessing_is_refused(color: str, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError):
        Preprocessing(color=color, mean=mean, std=std)  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(8, 8, 3), (8, 8), (0, 8, 1)])
def test_an_input_shape_that_does_not_fit_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError):
        one_input(name="net", input_shape=shape, heads=(HEAD,), preprocessing=GRAY)


def test_a_spec_needs_a_head() -> None:
    with pytest.raises(ConfigError, match="no heads"):
        one_input(name="net", input_shape=(8, 8, 1), heads=(), preprocessing=GRAY)


def test_with_labels_changes_only_the_first_head() -> None:
    second = Head(name="box", task="regression", activation="linear")
    spec = one_input(name="net", input_shape=(8, 8, 1), heads=(HEAD, second), preprocessing=GRAY)
    relabelled = spec.with_labels(("x",))
    assert relabelled.labels == ("x",)
    assert relabelled.heads[1] == second


def test_manifest_round_trip_is_exact_and_bytes_are_stable() -> None:
    text = m.to_json(sample())
    assert m.from_json(text, where="test") == sample()
    assert m.to_json(m.from_json(text, where="test")) == text


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"schema":"edgecv.manifest/99"}', '{"schema":"edgecv.manifest/1"}'],
)
def test_what_is_not_a_manifest_is_refused_with_the_file_named(text: str) -> None:
    with pytest.raises(UnsupportedModelError, match=r"net\.tflite"):
        m.from_json(text, where="net.tflite")


def test_an_unknown_key_is_refused() -> None:
    document = json.loads(m.to_json(sample()))
    document["surprise"] = 1
    with pytest.raises(UnsupportedModelError, match="surprise"):
        m.from_json(json.dumps(document), where="net.tflite")


@given(
    hnp.arrays(
        dtype=st.sampled_from([np.uint8, np.int8, np.float32, np.int32]),
        shape=hnp.array_shapes(max_dims=3, max_side=5),
    )
)
def test_packed_arrays_come_back_bit_for_bit(array: np.ndarray) -> None:
    packed = m.unpack_array(m.pack_array(array))
    assert packed.dtype == array.dtype
    assert packed.shape == array.shape
    assert packed.tobytes() == array.tobytes()


def test_a_golden_array_of_the_wrong_size_is_refused() -> None:
    with pytest.raises(ConfigError, match="an array of type"):
        m.unpack_array(m.GoldenArray(dtype="float32", shape=(3,), data="AAAA"))
