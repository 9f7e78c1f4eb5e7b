"""An operator that lacks what its kind has is one error that names it, whichever target is asked and whatever lacks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edgecv.convert.tflite import flatbuffer
from edgecv.core.errors import EdgecvError, UnsupportedModelError
from edgecv.core.progress import QUIET
from edgecv.diagnose.quantised_layers import match
from edgecv.graphs import naming_operators, read_tflite
from edgecv.jobs.delegates import warn_wrong
from edgecv.targets import gpu, inspect, vela
from tests.fuzz.corpus import tflite_files
from tests.graphs.tiny import DTYPES, N, Net, T, build, lenet

TARGETS = ("edgetpu", "gpu", "ethos-u55-128")


@pytest.fixture(autouse=True)
def by_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask no driver and no vendor's compiler, where this host has one: what reads operators here is ours."""
    monkeypatch.setattr(gpu, "drivers", tuple)
    monkeypatch.setattr(vela, "find_tool", lambda *names: None)


def variants() -> list[tuple[str, Net]]:
    """Return LeNet with one operator after another robbed of inputs, outputs or options."""
    net, found = lenet(), []
    for place, node in enumerate(net.ops):
        robbed = {
            "no inputs": replace(node, inputs=[]),
            "one input": replace(node, inputs=node.inputs[:1]),
            "inputs left out": replace(node, inputs=[""] * len(node.inputs)),
            "no outputs": replace(node, outputs=[]),
            "no options": replace(node, options=None),
        }
        for what, changed in robbed.items():
            ops = [*net.ops[:place], changed, *net.ops[place + 1 :]]
            found.append((f"{place} {node.op}: {what}", replace(net, ops=ops)))
    return found


@pytest.mark.parametrize(("what", "net"), variants(), ids=lambda value: value if isinstance(value, str) else "")
def test_every_reader_of_operators_refuses_or_takes_it(what: str, net: Net, tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(build(net))
    refusals = []
    for target in TARGETS:
        try:
            assert len(inspect(path, target).ops) == len(net.ops)
        except EdgecvError as error:
            refusals.append(error.message)
    try:
        warn_wrong(path, "gpu", QUIET)
    except UnsupportedModelError as error:
        refusals.append(error.message)
    assert all("m.tflite" in message for message in refusals)


@pytest.mark.parametrize("target", ["edgetpu", "gpu"])
@pytest.mark.parametrize("inputs", [[], ["x"]])
def test_a_convolution_without_weights_is_named(target: str, inputs: list[str], tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(build(Net({"x": T((1, 4, 4, 2)), "y": T((1, 4, 4, 2))}, [N("CONV_2D", inputs, ["y"])])))
    with pytest.raises(UnsupportedModelError, match=r"m\.tflite.*operator 0, CONV_2D that writes 'y'"):
        inspect(path, target)


def test_what_no_operator_is_to_blame_for_passes() -> None:
    graph, other = (read_tflite(data) for data in tflite_files()[:2])
    with pytest.raises(ZeroDivisionError), naming_operators(graph):
        _ = 1 // 0
    with pytest.raises(IndexError), naming_operators(graph):
        op = other.ops[0]  # of another graph
        _ = op.inputs[99]
    with pytest.raises(UnsupportedModelError, match="operator 3, CONV_2D"), naming_operators(other, graph):
        op = graph.ops[3]
        _ = op.inputs[99]


def test_the_innermost_operator_is_blamed() -> None:
    graph = read_tflite(tflite_files()[0])

    def inner(op: object) -> None:
        raise KeyError("no such option")

    with pytest.raises(UnsupportedModelError, match=r"operator 2, AVERAGE_POOL_2D.*KeyError"), naming_operators(graph):
        op = graph.ops[1]
        assert op.index == 1
        inner(graph.ops[2])


@pytest.mark.parametrize("dtype", ["float32", "float16", "int64", "uint8"])
def test_a_scale_on_a_tensor_of_another_type_is_named_or_taken(dtype: str, tmp_path: Path) -> None:
    """The first to read such a scale expects integers."""
    int8, real = tmp_path / "int8.tflite", tmp_path / "float.tflite"
    sound, reference = tflite_files()[:2]
    real.write_bytes(reference)
    model = flatbuffer.unpack(sound)
    tensors = model.subgraphs[0].tensors
    tensors[int(model.subgraphs[0].inputs[0])].type = DTYPES[dtype]
    int8.write_bytes(flatbuffer.pack(model))
    try:
        match(real, int8)
    except UnsupportedModelError as error:
        told = error.message
    else:
        told = ""
    assert ("tensor 0 'x'" in told) == (dtype in ("float32", "float16"))
