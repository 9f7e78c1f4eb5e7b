"""Layers in float because they are faster there: the choice costs least, and the file is timed beside int8."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from edgecv.core.errors import ConfigError, ConversionError
from edgecv.core.progress import Quiet
from edgecv.graphs import Graph, read_graph, read_tflite
from edgecv.jobs import float_islands
from edgecv.jobs.float_islands import Costs, cheapest
from tests.cli.conftest import edgecv
from tests.graphs.tiny import N, Net, T, build

pytest.importorskip("ai_edge_litert.interpreter", reason="ai-edge-litert is not installed")


def network() -> tuple[Graph, tuple[str, ...]]:
    """Return a graph with a branch, a sum and two results, and its layers."""
    shapes = {"x": 8, "a": 30, "b": 30, "c": 12, "d": 30, "s": 30, "y": 4, "z": 2}
    tensors = {name: T((1, size), "float32", None) for name, size in shapes.items()}
    ops = [
        N("RELU", ["x"], ["a"]), N("TANH", ["a"], ["b"]), N("ABS", ["a"], ["c"]), N("TANH", ["b"], ["d"]),
        N("ADD", ["b", "d"], ["s"]), N("ABS", ["s"], ["y"]), N("ABS", ["c"], ["z"]),
    ]  # fmt: skip
    return read_tflite(build(Net(tensors, ops, outputs=["y", "z"]))), ("A", "B", "C", "D", "S", "Y", "Z")


def price_of(chosen: frozenset[str], costs: Costs, price: float) -> int:
    """Return what a choice costs, counted tensor by tensor."""
    graph, total = costs.graph, 0
    for layer in set(costs.layers):
        total += round((costs.real if layer in chosen else costs.integer).get(layer, 0.0))
    made_in_float = {i: costs.layers[op.index] in chosen for op in graph.ops for i in op.outputs}
    for tensor in graph.tensors:
        takers = [costs.layers[op.index] in chosen for op in graph.ops if tensor.index in op.inputs]
        takers += [False] * (tensor.index in graph.outputs)
        total += round(price * tensor.elements) * ((not made_in_float.get(tensor.index, False)) in takers)
    return total


@pytest.mark.parametrize("seed", range(40))
def test_no_other_choice_costs_less(seed: int) -> None:
    graph, layers = network()
    random = np.random.default_rng(seed)

    def times() -> Mapping[str, float]:
        return {name: float(random.integers(0, 100)) for name in layers}

    costs, price = (
        Costs(graph=graph, layers=layers, integer=times(), real=times()),
        float(random.choice([0, 0.3, 1, 3])),
    )
    every = [frozenset(some) for n in range(8) for some in itertools.combinations(layers, n)]
    least = min(price_of(some, costs, price) for some in every)
    assert price_of(frozenset(cheapest(costs, price)), costs, price) == least
    assert costs.least == min(price_of(some, costs, 0.0) for some in every) <= least


def test_names_with_wildcards_mean_themselves() -> None:
    graph, _ = network()
    layers = ("a[0]", "b*", "C", "D", "S", "Y", "Z")
    costs = Costs(graph=graph, layers=layers, integer=dict.fromkeys(layers, 10.0), real={})
    assert cheapest(costs, 0.0) == ("C", "D", "S", "Y", "Z", "a[[]0]", "b[*]")


@pytest.mark.parametrize(
    ("choice", "said"), [((), float_islands.NONE), (("A", "B"), float_islands.ALL)], ids=["none", "all"]
)
def test_no_layer_and_every_layer_are_plain_int8(monkeypatch, choice, said) -> None:
    graph, _ = network()
    opened = SimpleNamespace(graph=graph, layers=("A", "B", "", "", "", "", ""))
    monkeypatch.setattr(float_islands, "model_file", lambda path: opened)
    monkeypatch.setattr(float_islands, "_profile", lambda path, seed: [])
    monkeypatch.setattr(float_islands, "cheapest", lambda costs, price: choice)
    made, told = [], Told()
    found = float_islands.found(lambda scheme, kept, out: made.append((scheme, kept)), reporter=told)
    assert found == float_islands.Islands(layers=())
    assert made == [("int8", ()), ("float32", ())]
    assert told.infos == [said]


def test_layers_that_the_quantiser_does_not_leave_are_no_islands(monkeypatch) -> None:
    graph, layers = network()
    monkeypatch.setattr(float_islands, "model_file", lambda path: SimpleNamespace(graph=graph, layers=layers))
    monkeypatch.setattr(float_islands, "_profile", lambda path, seed: [])
    monkeypatch.setattr(float_islands, "cheapest", lambda costs, price: ("A",))

    def refuses(scheme: str, kept: tuple[str, ...], out: Path) -> None:
        if kept:
            raise ConversionError("'A' was to stay float and became int8")

    told = Told()
    assert float_islands.found(refuses, reporter=told) == float_islands.Islands(layers=())
    assert "'A' was to stay float and became int8" in told.infos[0]


class Told(Quiet):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.infos: list[str] = []

    def info(self, message: str) -> None:
        self.infos.append(message)


@pytest.mark.parametrize("target", ["edgetpu", "armv7", "ethos-u65-256"])
def test_times_of_this_machine_say_nothing_of_another_target(target: str) -> None:
    with pytest.raises(ConfigError, match=f"{target} is something else"):
        float_islands.check([target])
    float_islands.check(["cpu"])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network with depthwise convolutions, untrained."""
    out = tmp_path_factory.mktemp("islands") / "m.keras"
    done = edgecv("zoo", "build", "xception_small", "--out", out)
    assert done.code == 0, done.err
    return out


def test_a_file_with_islands_is_int8_but_for_layers_that_were_timed_faster(model: Path, tmp_path: Path) -> None:
    data = tmp_path / "few.npz"
    random = np.random.default_rng(0)
    images, labels = random.integers(0, 256, (160, 32, 32, 3), np.uint8), random.integers(0, 10, 160)
    np.savez(data, x_train=images[:128], y_train=labels[:128], x_test=images[128:], y_test=labels[128:])
    out = tmp_path / "m-int8.tflite"
    done = edgecv("quantize", model, "--data", f"npz:{data}", "--keep-float", "faster", "--out", out, "--json")
    assert done.code in (0, 1), done.err  # an untrained network may lose anything
    told = json.loads(done.out)
    assert 0 < told["islands"]["bound"] <= 1
    kinds = {op.op for op in read_graph(out).ops}
    if told["islands"]["layers"]:
        assert told["scheme"] == "mixed"
        assert told["islands"]["ratio_ci95"][1] < 1
        assert {"QUANTIZE", "DEQUANTIZE"} <= kinds
        assert "of plain int8's time" in done.err
    else:
        assert told["scheme"] == "int8"
        assert "DEQUANTIZE" not in kinds


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--out", "m.onnx"], "of int8 .tflite files by ptq"),
        (["--scheme", "int4", "--out", "m.tflite"], "of int8 .tflite files by ptq"),
        (["--target", "edgetpu", "--out", "m.tflite"], "edgetpu is something else"),
    ],
    ids=["onnx", "int4", "another target"],
)
def test_what_has_no_islands_says_so(model: Path, tmp_path: Path, more: list[str], said: str) -> None:
    more = [str(tmp_path / one) if one.startswith("m.") else one for one in more]
    done = edgecv("quantize", model, "--data", "digits", "--keep-float", "faster", *more)
    assert done.code == 2
    assert said in done.err
