"""Sums whose scales lie far apart keep their fast kernels; what is lost is below a step of the sum."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgecv.convert.freeze import freeze
from edgecv.convert.tflite import ranges
from edgecv.convert.tflite.converter import convert_float
from edgecv.convert.tflite.kernel_limits import within_limits
from edgecv.core.progress import QUIET
from edgecv.graphs import read_tflite
from edgecv.graphs.scale_limits import refused
from edgecv.modelio import env
from edgecv.runtime.engines.tflite import delegate_nodes
from edgecv.values import profiles


def summed(share: float):
    """A sum of two branches, the second `share` times as large as the first, and what else reads the first."""
    layers = env.keras().layers
    image = layers.Input((8, 8, 4))
    first = layers.Conv2D(4, 3, padding="same", kernel_initializer="ones", name="first")(image)
    second = layers.Conv2D(
        4, 1, kernel_initializer=env.keras().initializers.Constant(share), use_bias=False, name="second"
    )(image)  # fmt: skip
    return env.keras().Model(image, layers.Conv2D(3, 3, name="out")(layers.Add(name="sum")([first, second])))


def made(share: float) -> tuple[bytes, bytes, dict[int, ranges.Range]]:
    """Return the float file, the int8 one, and the ranges that it was made with."""
    data = convert_float(freeze(summed(share)), "float32")
    images = [[np.random.default_rng(i).uniform(-1, 1, (1, 8, 8, 4)).astype(np.float32)] for i in range(4)]
    recipe = profiles.CalibrationRecipe(name="r", title="t", estimator="minmax")
    found = ranges.observe(data, images, recipe, reporter=QUIET, total=4)
    int8 = ranges.quantize(data, found, io_dtype="int8", per_channel=True, name="sums")
    return data, int8, found


def sum_of(data: bytes):
    graph = read_tflite(data)
    return graph, next(op for op in graph.ops if op.op == "ADD")


@pytest.mark.parametrize("share", [1.0, 1e-3, 1e-6, 0.0])
def test_a_sum_with_a_branch_that_says_nothing_stays_with_xnnpack(share: float, tmp_path: Path) -> None:
    _, int8, _ = made(share)
    graph, add = sum_of(int8)
    assert refused(graph, add) == ""
    (tmp_path / "m.tflite").write_bytes(int8)
    (node,) = delegate_nodes(str(tmp_path / "m.tflite"))
    assert set(node[0]) >= set(graph.inputs)
    assert set(graph.outputs) <= set(node[1])


def test_the_limit_is_the_interpreters_own(tmp_path: Path) -> None:
    """Without wider ranges, XNNPACK leaves the sum, and the reason is told; just inside the limit it takes it."""
    data, _, found = made(1e-6)
    _, add = sum_of(data)
    (out,), small = add.outputs, add.inputs[1]
    width = found[out][1] - found[out][0]
    for share, taken in ((2.0**-10 * 1.02, True), (2.0**-10 * 0.98, False)):
        narrow = found | {small: (-width * share / 2, width * share / 2)}
        file = tmp_path / f"{taken}.tflite"
        file.write_bytes(ranges.quantize(data, narrow, io_dtype="int8", per_channel=True, name="sums"))
        whole = len(delegate_nodes(str(file))) == 1
        made_graph, made_add = sum_of(file.read_bytes())
        assert whole == taken
        assert (refused(made_graph, made_add) == "") == taken
    assert "times the output's, outside 0.000977 to 256" in refused(made_graph, made_add)


def test_by_hand() -> None:
    data, _, _ = made(1.0)
    _, add = sum_of(data)
    first, second = add.inputs
    (out,) = add.outputs
    found = within_limits(data, {first: (-100.0, 300.0), second: (-0.01, 0.03), out: (-100.0, 300.0)})
    # 400 * 2^-10 * 1.01, a quarter of it below zero; what suffices stays as it is.
    assert found[second] == pytest.approx((-0.0986328125, 0.2958984375))
    assert (found[first], found[out]) == ((-100.0, 300.0), (-100.0, 300.0))
    # Two branches that cancel out: the sum's range is at least 1/256 of the wider one's.
    found = within_limits(data, {first: (-512.0, 512.0), second: (-512.0, 512.0), out: (-1.0, 1.0)})
    assert found[out] == pytest.approx((-2.02, 2.02))
    assert within_limits(data, {first: (0.0, 1.0), second: (0.0, 0.0), out: (0.0, 1.0)})[second][1] > 0


def test_a_branch_that_something_else_reads_keeps_its_steps() -> None:
    layers = env.keras().layers
    image = layers.Input((8, 8, 4))
    small = layers.Conv2D(4, 1, name="small")(image)
    total = layers.Add()([layers.Conv2D(4, 1, name="large")(image), small])
    model = env.keras().Model(image, [layers.Conv2D(2, 1, name="a")(total), layers.Conv2D(2, 1, name="b")(small)])
    data = convert_float(freeze(model), "float32")
    _, add = sum_of(data)
    given = {add.inputs[0]: (-100.0, 100.0), add.inputs[1]: (-1e-4, 1e-4), add.outputs[0]: (-100.0, 100.0)}
    given = {index: given[index] for index in (*add.inputs, *add.outputs)}
    read_elsewhere = [i for i in add.inputs if sum(i in op.inputs for op in read_tflite(data).ops) > 1]
    assert len(read_elsewhere) == 1
    given |= {index: (-1e-4, 1e-4) if index in read_elsewhere else (-100.0, 100.0) for index in add.inputs}
    assert within_limits(data, given) == given
