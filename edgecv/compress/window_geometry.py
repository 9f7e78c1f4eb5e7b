"""How far apart the windows are that a network's places see, and which layers see beyond a window."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from edgecv.compress.layer_graph import Call, LayerGraph
from edgecv.core.errors import UnsupportedModelError

GATE = "is a mean over the whole image in place of the window"


def stride_of(graph: LayerGraph) -> tuple[int, int]:
    """Return how many pixels (down, across) of the input lie between two places of the output.

    Raises:
        UnsupportedModelError: The outputs differ, or there are several places to a pixel.
    """
    strides: dict[int, tuple[Fraction, ...]] = {key: (Fraction(1), Fraction(1)) for key, *_ in graph.inputs}
    for call in graph.calls:
        taken = [strides[key] for key in call.inputs] or [(Fraction(1), Fraction(1))]
        own = _own_stride(call)
        strides[call.output] = tuple(max(one[axis] for one in taken) * own[axis] for axis in (0, 1))
    found = {strides[key] for key in graph.outputs}
    if len(found) != 1 or any(step.denominator != 1 for one in found for step in one):
        told = ", ".join(sorted("x".join(map(str, one)) for one in found))
        raise UnsupportedModelError(
            f"'{graph.name}' has no one distance between windows: its strides come to {told}",
            hint="windows are told for outputs of one stride, a whole number of pixels",
        )
    down, across = found.pop()
    return int(down), int(across)


def _own_stride(call: Call) -> tuple[Fraction, Fraction]:
    config = call.layer.get_config()
    if call.kind == "Subsampling2D":
        return Fraction(config["pool_size"]), Fraction(config["pool_size"])
    if call.kind == "UpSampling2D":
        down, across = config["size"]
        return Fraction(1, down), Fraction(1, across)
    down, across = _pair(config.get("strides", 1))
    return (Fraction(1, down), Fraction(1, across)) if "Transpose" in call.kind else (Fraction(down), Fraction(across))


def differing(graph: LayerGraph, gates: frozenset[str]) -> dict[str, str]:
    """Return the layers that see something else in a window of a larger image, with the reason.

    Args:
        graph: Of the network at the size of one window.
        gates: Layers whose mean over the window becomes one over the image.
    """
    shapes = {key: shape for key, shape, *_ in graph.inputs} | {call.output: call.shape for call in graph.calls}
    found = {}
    for call in graph.calls:
        if call.name in gates:
            found[call.name] = GATE
        elif call.inputs and _pads(call, shapes[call.inputs[0]]):
            found[call.name] = "pads: inside the image it sees the window's neighbours"
    return found


def _pads(call: Call, shape: tuple[int, ...]) -> bool:
    config = call.layer.get_config()
    if call.kind in ("ZeroPadding2D", "Cropping2D"):
        edges = config.get("padding", config.get("cropping"))
        return any(side for pair in edges for side in pair)
    if config.get("padding") != "same" or len(shape) != 3:
        return False
    kernels = _pair(config.get("kernel_size") or config.get("pool_size") or 1)
    steps, spread = _pair(config.get("strides", 1)), _pair(config.get("dilation_rate", 1))
    return any(
        (-(-size // step) - 1) * step + (kernel - 1) * rate + 1 > size
        for size, kernel, step, rate in zip(shape, kernels, steps, spread, strict=False)
    )


def _pair(value: Any) -> tuple[int, int]:
    if isinstance(value, (list, tuple)):
        return int(value[0]), int(value[-1])
    return (1, 1) if value is None else (int(value), int(value))
