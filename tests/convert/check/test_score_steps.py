"""Boxes and scores in one integer tensor: found in files of other tools, and nothing else is."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecv.convert.check.score_steps import lost_scores
from edgecv.graphs import joined_outputs, output_steps, read_graph, read_tflite
from edgecv.modelio import env
from edgecv.runtime.engines import open_session
from edgecv.runtime.tensors import to_real, to_stored
from edgecv.values.specs import Head
from tests.detectors import AB, exported, onnx_detector, rows_head, spec, stock_int8, stock_onnx_int8


def answers(path: Path) -> list[np.ndarray]:
    """What a file says of noise, in real units."""
    with contextlib.closing(open_session(path)) as session:
        noise = np.random.default_rng(1).random(session.inputs[0].shape, np.float32)
        raw = session.run([to_stored(noise, session.inputs[0])])
        return [to_real(one, info) for one, info in zip(raw, session.outputs, strict=True)]


@pytest.mark.parametrize("io", ["int8", "float32"])
def test_pixels_beside_scores_kill_every_score(io: str, tmp_path: Path) -> None:
    model = exported("columns", side=640)
    path = stock_int8(model, tmp_path / "m.tflite", io=io)
    (said,) = answers(path)
    exact = np.asarray(model(np.random.default_rng(1).random((1, 640, 640, 3), np.float32)))
    assert exact[:, 4:].min() > 0.05
    np.testing.assert_allclose(said[:, :4], exact[:, :4], atol=12)
    assert (said[:, 4:] != 0).mean() == 0.0
    (text,) = lost_scores(read_graph(path))
    (step,) = output_steps(read_graph(path))
    assert step == pytest.approx(640 / 255, rel=0.1)
    assert f"in steps of {step:.3g}: scores of 0..1 have {1 / step:.2g} steps left, so every score is 0" in text
    assert "an output for each scale and kind" in text


@pytest.mark.parametrize("form", ["columns", "rows"])
def test_boxes_as_shares_of_the_input_leave_the_scores_alone(form: str, tmp_path: Path) -> None:
    path = stock_int8(exported(form, shares=True, side=640), tmp_path / "m.tflite")
    (said,) = answers(path)
    scores = said[:, 4:] if form == "columns" else said[..., 4:]
    assert (scores != 0).mean() > 0.9
    assert len(np.unique(scores)) > 30
    assert joined_outputs(read_graph(path))  # it is looked at, and fine
    assert lost_scores(read_graph(path)) == ()


def test_scales_that_are_joined_once_more_are_looked_through(tmp_path: Path) -> None:
    path = stock_int8(exported("rows"), tmp_path / "m.tflite")
    graph = read_graph(path)
    (text,) = lost_scores(graph)
    (step,) = output_steps(graph)
    assert step == pytest.approx(64 / 255, rel=0.1)
    assert f"have {1 / step:.2g} steps left, so scores below 0.12 are 0" in text
    assert len(np.unique(answers(path)[0][..., 4:])) <= 5


def test_outputs_apart_and_float_files_lose_nothing(tmp_path: Path) -> None:
    apart = stock_int8(exported("apart", side=640), tmp_path / "apart.tflite")
    assert sorted(step > 1 for step in output_steps(read_graph(apart))) == [False, True]
    assert lost_scores(read_graph(apart)) == ()
    assert lost_scores(read_graph(onnx_detector(tmp_path / "float.onnx", side=640))) == ()


def test_sixteen_bits_are_counted_too(tmp_path: Path) -> None:
    """640 / 32767 is a step of 0.02: about 51 of them for a score; of an input of 64 pixels, ten times as many."""
    wide = stock_int8(exported("columns", side=640), tmp_path / "wide.tflite", io="int16", wide=True)
    (text,) = lost_scores(read_graph(wide))
    (step,) = output_steps(read_graph(wide))
    assert step == pytest.approx(640 / 32767, rel=0.1)
    assert f"scores of 0..1 have {1 / step:.2g} steps left. End" in text
    narrow = stock_int8(exported("columns"), tmp_path / "narrow.tflite", io="int16", wide=True)
    assert lost_scores(read_graph(narrow)) == ()


@pytest.mark.parametrize("form", ["QDQ", "QOperator"])
def test_onnx_files_of_other_tools(form: str, tmp_path: Path) -> None:
    source = onnx_detector(tmp_path / "float.onnx", side=640)
    path = stock_onnx_int8(source, tmp_path / "int8.onnx", form)
    (said,) = answers(path)
    assert (said[:, 4:] != 0).mean() == 0.0
    (text,) = lost_scores(read_graph(path))
    assert "'objects' holds scores and larger values (boxes) under one scale" in text
    assert "every score is 0" in text
    shares = stock_onnx_int8(onnx_detector(tmp_path / "s.onnx", shares=True), tmp_path / "s8.onnx", form)
    assert lost_scores(read_graph(shares)) == ()


def _inception(image: Any) -> Sequence[Any]:
    """Branches of unlike ranges are joined inside; the end is a softmax."""
    layers = env.keras().layers
    a = layers.Conv2D(4, 3, padding="same", activation="relu")(image)
    b = layers.Rescaling(200.0)(layers.Conv2D(4, 1, activation="sigmoid")(image))
    x = layers.Concatenate()([a, b, layers.Conv2D(2, 1, activation="sigmoid")(image)])
    return [layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling2D()(x))]


def _pyramid(image: Any) -> Sequence[Any]:
    """Maps of two scales are joined, and the network computes on; gates multiply what they gate."""
    layers = env.keras().layers
    low = layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(image)
    gate = layers.Conv2D(4, 1, activation="sigmoid")(low)
    high = layers.UpSampling2D(2)(layers.Multiply()([layers.Rescaling(90.0)(low), gate]))
    joined = layers.Concatenate()([high, layers.Conv2D(2, 1, activation="sigmoid")(image)])
    return [layers.Conv2D(8, 1)(joined), layers.Conv2D(6, 1, activation="sigmoid")(joined)]


def _features(image: Any) -> Sequence[Any]:
    """A backbone that ends at joined features, of which none is a probability."""
    layers = env.keras().layers
    wide = layers.Rescaling(300.0)(layers.Conv2D(4, 3, activation="relu")(image))
    return [layers.Concatenate()([wide, layers.Conv2D(4, 3, activation="relu6")(image)])]


def _probabilities(image: Any) -> Sequence[Any]:
    """Two softmaxes in one output share a scale that is theirs."""
    layers = env.keras().layers
    flat = layers.GlobalAveragePooling2D()(image)
    return [layers.Concatenate()([layers.Dense(n, activation="softmax")(flat) for n in (3, 5)])]


@pytest.mark.parametrize("build", [_inception, _pyramid, _features, _probabilities])
def test_other_concatenations_are_none_of_its_business(build: Any, tmp_path: Path) -> None:
    keras = env.keras()
    image = keras.Input((64, 64, 3))
    path = stock_int8(keras.Model(image, build(image)), tmp_path / "m.tflite")
    graph = read_graph(path)
    assert any(op.op == "CONCATENATION" for op in graph.ops)
    assert lost_scores(graph) == ()


def test_a_contract_tells_what_no_operator_does(tmp_path: Path) -> None:
    """One convolution gives boxes in pixels and scores: only the contract says which is which."""
    keras = env.keras()
    keras.utils.set_random_seed(0)
    image = keras.Input((64, 64, 3), name="image")
    raw = keras.layers.Conv2D(6, 8, strides=8, bias_initializer=keras.initializers.Constant(300.0))(image)
    model = keras.Model(image, keras.layers.Reshape((64, 6), name="objects")(raw))
    graph = read_graph(stock_int8(model, tmp_path / "m.tflite"))
    assert lost_scores(graph) == ()
    (text,) = lost_scores(graph, spec(rows_head()))
    assert "output 'objects' holds scores and larger values" in text
    (text,) = lost_scores(graph, spec(rows_head("logits")))
    assert "have 3" in text
    assert "are 0" not in text  # a logit of 0 is a score of a half
    classes = Head("objects", "segmentation", "probabilities", AB)
    assert lost_scores(graph, spec(classes)) == ()


def test_maps_with_logits_of_boxes_and_scores_are_well() -> None:
    """As Darknet has them: a scale of -12 to 12 leaves what a map of scores alone would have."""
    from edgecv.tasks.registry import task_of

    settings = {"decoder": "yolo_v3", "anchors": [[[10.0, 10.0]]], "strides": [8.0]}
    head = Head("objects", "detection", "logits", AB, ("map",), settings)
    assert task_of(head).too_coarse(head, [(1, 8, 8, 7)], [24 / 255]) == ""
    assert "have 13 steps" in task_of(head).too_coarse(head, [(1, 8, 8, 7)], [0.3])
    assert task_of(head).too_coarse(head, [(1, 8, 8, 7)], [None]) == ""
    split = Head("objects", "detection", "logits", AB, ("boxes", "scores"), settings)
    assert task_of(split).too_coarse(split, [(1, 8, 8, 4), (1, 8, 8, 3)], [2.5, 0.3]) == ""


def test_a_loop_of_operators_ends() -> None:
    """Of a damaged file: a concatenation that joins its own output."""
    from edgecv.graphs import Graph, Op, Tensor

    def tensor(index: int) -> Tensor:
        return Tensor(
            index=index, name=str(index), shape=(1, 2), shape_signature=(1, 2), dtype="int8", is_constant=False,
            size_bytes=2, scales=(2.0,), zero_points=(0,),
        )  # fmt: skip

    ops = (
        Op(index=0, op="LOGISTIC", version=1, inputs=(0,), outputs=(1,)),
        Op(index=1, op="CONCATENATION", version=1, inputs=(1, 2, 3), outputs=(3,)),
    )
    graph = Graph(format="tflite", ops=ops, tensors=tuple(map(tensor, range(4))), inputs=(0,), outputs=(3,))
    (found,) = joined_outputs(graph)
    assert (found.probabilities, found.others, found.step) == (("1",), ("2",), 2.0)


def test_the_reader_of_bytes_gives_the_same(tmp_path: Path) -> None:
    path = stock_int8(exported("columns"), tmp_path / "m.tflite")
    assert lost_scores(read_tflite(path.read_bytes())) == lost_scores(read_graph(path))
