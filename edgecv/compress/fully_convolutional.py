"""A classifier as a fully convolutional network: one run on a large image answers for every window of it.

A dense layer behind Flatten is a convolution of the size of the feature map without padding; a dense layer on a vector
is a 1x1 convolution; a global mean is a mean over windows of the size of the feature map. Each place of the answer is
then what the classifier says of one window of the image, whose distance is the product of the strides.

That is exact where nothing pads. A layer that pads sees zeros at the border of a window, and here, inside the image,
the window's neighbours: the answers differ, and `differs` names the layers.

Source: Sermanet et al. 2014, "OverFeat", section 3.5; Long, Shelhamer, Darrell 2015, "Fully Convolutional Networks for
Semantic Segmentation", section 3.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from edgecv.compress.convolutional_head import converted, gated
from edgecv.compress.layer_graph import LayerGraph, build, read
from edgecv.compress.window_geometry import differing, stride_of
from edgecv.core.errors import ConfigError, UnsupportedModelError
from edgecv.tasks.registry import task_of
from edgecv.values.specs import ModelSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class FullyConvolutional:
    """A classifier that answers for every window of its input.

    Attributes:
        model: Takes (n, H, W, C) and gives maps (n, rows, columns, K).
        spec: Its contract: heads that answer for every place, as the tasks say.
        window: (height, width) that the classifier took.
        stride: (down, across) from one window to the next, in pixels.
        cells: (rows, columns) of the answer.
        differs: Layer to the reason why answers are not exactly those for the windows; empty when they are.
    """

    model: Any
    spec: ModelSpec
    window: tuple[int, int]
    stride: tuple[int, int]
    cells: tuple[int, int]
    differs: Mapping[str, str]


def fully_convolutional(model: Any, spec: ModelSpec, size: tuple[int, int]) -> FullyConvolutional:
    """Return a classifier for inputs of another size, which answers for every window of them.

    Args:
        model: A functional or sequential tf_keras classifier of one image.
        spec: Its contract; each head's task says how a map of it is read.
        size: (height, width) of the new input: the window, and a multiple of the stride more.

    Raises:
        ConfigError: No task reads a map of a head, or no whole number of strides fits in `size`.
        UnsupportedModelError: A layer ties the network to its input's size; it is named.
    """
    _check_contract(spec)
    graph = read(model)
    window, gates = (spec.input_shape[0], spec.input_shape[1]), gated(graph)
    differs = differing(graph, gates)
    made = converted(graph, gates)
    stride = stride_of(made)
    cells = _cells(window, stride, size)
    contract = _contract(spec, size, window, stride, cells)
    network = _built(made, (*size, spec.input_shape[2]))
    _check_answers(network, cells, spec.name)
    return FullyConvolutional(
        model=network, spec=contract, window=window, stride=stride, cells=cells, differs=differs
    )  # fmt: skip


def _check_contract(spec: ModelSpec) -> None:
    if len(spec.inputs) != 1 or len(spec.input_shape) != 3:
        taken = ", ".join(f"{one.name} {'x'.join(map(str, one.shape))}" for one in spec.inputs)
        raise ConfigError(f"'{spec.name}' takes {taken}: only a classifier of one image has windows")
    if any(len(head.outputs) != 1 for head in spec.heads):
        raise ConfigError(f"a head of '{spec.name}' reads several outputs: no task reads them as maps")


def _cells(window: tuple[int, int], stride: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    rest = [whole - part for whole, part in zip(size, window, strict=True)]
    if min(rest) < 0 or any(left % step for left, step in zip(rest, stride, strict=True)):
        below = [part + max(0, left) // step * step for part, left, step in zip(window, rest, stride, strict=True)]
        above = [
            low + step * (left > 0 and left % step > 0) for low, left, step in zip(below, rest, stride, strict=True)
        ]
        sizes = " or ".join(dict.fromkeys(f"{height}x{width}" for height, width in (below, above)))
        raise ConfigError(
            f"no whole number of windows fits in {size[0]}x{size[1]}: a window is {window[0]}x{window[1]}, and the "
            f"next one is {stride[0]} pixels down and {stride[1]} across",
            hint=f"the nearest sizes are {sizes}",
        )
    return rest[0] // stride[0] + 1, rest[1] // stride[1] + 1


def _built(graph: LayerGraph, shape: tuple[int, ...]) -> Any:
    key, old, dtype, name = graph.inputs[0]
    try:
        return build(replace(graph, inputs=[(key, shape, dtype, name)]))
    except (ValueError, TypeError) as error:
        raise UnsupportedModelError(
            f"'{graph.name}' cannot be built for {shape[0]}x{shape[1]} in place of {old[0]}x{old[1]}: {error}",
            hint="a layer of it knows the size of its maps",
        ) from error


def _check_answers(network: Any, cells: tuple[int, int], name: str) -> None:
    for tensor in network.outputs:
        found = tuple(tensor.shape)[1:]
        if found[:2] != cells or len(found) != 3:
            raise UnsupportedModelError(
                f"'{name}' gives a map of shape {found}, expected {cells[0]}x{cells[1]} cells by its strides",
                hint="a layer of it moves windows in a way that its settings do not tell",
            )


def _contract(
    spec: ModelSpec, size: tuple[int, int], window: tuple[int, int], stride: tuple[int, int], cells: tuple[int, int]
) -> ModelSpec:
    """Return the contract: each cell stands for a box of one stride around the middle of its window."""
    top, left = ((part - step) / 2 for part, step in zip(window, stride, strict=True))
    covers = (left, top, left + stride[1] * cells[1], top + stride[0] * cells[0])
    only = replace(spec.input, shape=(*size, spec.input_shape[2]))
    return replace(spec, inputs=(only,), heads=tuple(task_of(head).on_windows(head, covers) for head in spec.heads))
