"""Bilinear resizing in the three forms that runtimes have an operator for."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgecv.compress.fakequant import annotated
from edgecv.compress.layer_graph import read
from edgecv.compress.slim.channels import dependencies
from edgecv.core.errors import ConfigError
from edgecv.graphs import read_tflite
from edgecv.jobs import convert, models
from edgecv.modelio import env, load_keras, save_keras
from tests.modelio.onnx.graphs_by_hand import Branches

Array = np.ndarray[Any, Any]
FORMS = ("half_pixel", "align_corners", "asymmetric")


def resized(x: Array, size: int, form: str) -> Array:
    """Resize the rows of (h, c) by the formulas of ONNX's Operators.md."""
    old, at = len(x), np.arange(size)
    places = {
        "half_pixel": (at + 0.5) * old / size - 0.5,
        "align_corners": at * (old - 1) / (size - 1),
        "asymmetric": at * old / size,
    }[form].clip(0, old - 1)
    low = np.floor(places).astype(int)
    share = (places - low)[:, None]
    return np.asarray(x[low] * (1 - share) + x[np.minimum(low + 1, old - 1)] * share)


def layer(size: tuple[int, int], form: str) -> Any:
    from edgecv.modelio.layers import BilinearResize

    return BilinearResize(size, form, name="grow")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", [(7, 10), (3, 4)])
def test_values_lie_where_the_formulas_say(form: str, size: tuple[int, int]) -> None:
    x = np.random.default_rng(0).random((1, 5, 6, 2), np.float32)
    rows = np.stack([resized(x[0, :, column], size[0], form) for column in range(6)], axis=1)
    wanted = np.stack([resized(rows[row], size[1], form) for row in range(size[0])])
    np.testing.assert_allclose(np.asarray(layer(size, form)(x))[0], wanted, atol=1e-6)


def test_other_coordinates_are_refused() -> None:
    with pytest.raises(ConfigError, match="no coordinates of a bilinear resize"):
        layer((2, 2), "round")


def test_it_is_saved_with_its_settings(tmp_path: Path) -> None:
    image = env.keras().Input((4, 4, 2))
    model = env.keras().Model(image, layer((7, 9), "align_corners")(image))
    back = load_keras(save_keras(model, tmp_path / "m.keras", None)).model
    x = np.random.default_rng(0).random((1, 4, 4, 2), np.float32)
    np.testing.assert_array_equal(np.asarray(back(x)), np.asarray(model(x)))
    assert back.get_layer("grow").coordinates == "align_corners"


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A decoder as PyTorch writes it: align_corners, and an asymmetric resize by no whole factor."""
    g = Branches({"image": (1, 3, 8, 8)})
    x = g.node("Relu", g.node("Conv", "image", g.random(6, 3, 3, 3), g.random(6), pads=[1, 1, 1, 1]))
    for size, form in ((16, "align_corners"), (24, "asymmetric")):
        sizes = g.hold((1, 6, size, size))
        x = g.node("Resize", x, "", "", sizes, mode="linear", coordinate_transformation_mode=form)
        x = g.node("Relu", g.node("Conv", x, g.random(6, 6, 3, 3), g.random(6), pads=[1, 1, 1, 1]))
    g.ends(g.node("Conv", x, g.random(2, 6, 1, 1), g.random(2)))
    return g.written(tmp_path_factory.mktemp("resize") / "net.onnx")


def test_an_imported_decoder_resizes_by_one_operator(network: Path, tmp_path: Path) -> None:
    source = models.Source(path=network, preset="unit")
    made = convert.make(source, convert.Plan(scheme="float32"), out=tmp_path / "net.tflite")
    assert made.max_abs_diff < 1e-4
    kinds = Counter(op.op for op in read_tflite(tmp_path / "net.tflite").ops)
    assert kinds == {"CONV_2D": 4, "RESIZE_BILINEAR": 2}
    back = convert.make(source, convert.Plan(scheme="float32"), out=tmp_path / "net_again.onnx")
    assert back.max_abs_diff < 1e-4


def test_a_single_value_spreads_by_an_upsampling(tmp_path: Path) -> None:
    """As behind the pooled branch of DeepLab."""
    g = Branches({"image": (1, 3, 8, 8)})
    x = g.node("GlobalAveragePool", g.node("Conv", "image", g.random(4, 3, 3, 3)))
    for form in ("pytorch_half_pixel", "align_corners"):
        sizes = g.hold((1, 4, 6, 6))
        g.ends(g.node("Resize", x, "", "", sizes, mode="linear", coordinate_transformation_mode=form))
    model = models.load(models.Source(path=g.written(tmp_path / "net.onnx"))).model
    kinds = Counter(type(one).__name__ for one in model.layers)
    assert kinds["UpSampling2D"] == 1
    assert kinds["BilinearResize"] == 0


def test_training_with_quantisation_and_slimming_know_it(network: Path) -> None:
    model = models.load(models.Source(path=network)).model
    assert annotated(model)[1] == ()
    known = dependencies(read(model))
    assert known.removable.sum() == 18
