"""A model whose files MediaPipe can feed and read: colours and scaling inside, and boxes of all scales as one output.

MediaPipe feeds RGB, with one mean and one deviation for all channels. A convolution of 1x1 in front makes of that what
a network takes: gray by luma, BGR, or channels of different scales. Nothing of it is approximate in float.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edgecv.compress.layer_graph import Call, LayerGraph, build, read
from edgecv.core.errors import ConfigError, UnsupportedModelError
from edgecv.modelio import LoadedModel
from edgecv.modelio.boundary import output_names
from edgecv.modelio.env import keras
from edgecv.runtime.image import LUMA
from edgecv.tasks.mediapipe import LOCATION, SCORE, Joining
from edgecv.tasks.registry import task_of
from edgecv.values.binding import bind_outputs
from edgecv.values.specs import InputSpec, ModelSpec, Preprocessing

FRONT = "from_rgb"
_PIXEL = 255.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ForMediapipe:
    """A model that was made so.

    Attributes:
        loaded: The model, with a contract that says how it is fed and read now.
        changes: What was changed, a sentence each; empty when nothing had to be.
    """

    loaded: LoadedModel
    changes: tuple[str, ...]


def for_mediapipe(loaded: LoadedModel) -> ForMediapipe:
    """Return a model that takes RGB, all channels scaled alike, and gives boxes and scores as two outputs.

    What is so already stays; what MediaPipe does not read for another reason stays as well.

    Raises:
        ConfigError: The model is fake-quantised already, and something would have to change.
        UnsupportedModelError: The model's graph cannot be read, or the layer that gives boxes is none that can be
            reordered.
    """
    spec = loaded.require_spec()
    shapes = [tuple(tensor.shape) for tensor in loaded.model.outputs]
    bound = bind_outputs(spec, output_names(loaded.model), spec.name)
    joined = task_of(spec.head).joining(spec.head, [shapes[place] for place in bound[0]]) if len(bound) == 1 else None
    in_front = len(spec.inputs) == 1 and _needs_front(spec.input)
    if not in_front and joined is None:
        return ForMediapipe(loaded=loaded, changes=())
    if loaded.manifest is not None and loaded.manifest.method == "qat":
        raise ConfigError(
            "a model that was trained with quantisation keeps its first and last layers, and MediaPipe does not take "
            "them as they are",
            hint="quantise the float model: edgecv quantize FLOAT.keras --method qat --metadata mediapipe",
        )
    graph, changes = read(loaded.model), []
    if in_front:
        changes.append(_put_front(graph, spec.input))
        spec = replace(spec, inputs=(_as_rgb(spec.input),))
    if joined is not None:
        _join(graph, joined, bound[0])
        changes.append(_told(joined))
        spec = replace(spec, heads=(joined.head,))
    return ForMediapipe(loaded=_with(loaded, build(graph), spec), changes=tuple(changes))


def _with(loaded: LoadedModel, model: Any, spec: ModelSpec) -> LoadedModel:
    manifest = loaded.manifest and replace(loaded.manifest, spec=spec)
    return replace(loaded, model=model, manifest=manifest)


def _needs_front(only: InputSpec) -> bool:
    settings = only.preprocessing
    if settings is None:
        return False
    return settings.color != "rgb" or len(set(settings.mean)) > 1 or len(set(settings.std)) > 1


def _as_rgb(only: InputSpec) -> InputSpec:
    """Return the contract of an input in front of which the colours are made: RGB, 0..1."""
    assert only.preprocessing is not None
    scaled = replace(only.preprocessing, color="rgb", mean=(0.0,) * 3, std=(_PIXEL,) * 3)
    return replace(only, shape=(*only.shape[:2], 3), preprocessing=scaled)


def _put_front(graph: LayerGraph, only: InputSpec) -> str:
    settings = only.preprocessing
    assert settings is not None
    taken, shape, dtype, name = graph.inputs[0]
    fresh = graph.key()
    kernel, bias = _colours(settings)
    layer = keras().layers.Conv2D(shape[-1], 1, name=FRONT)
    graph.inputs[0] = (fresh, (*shape[:-1], 3), dtype, name)
    front = Call(name=FRONT, kind="Conv2D", layer=layer, inputs=[fresh], output=taken, shape=shape,
                 weights=[kernel, bias])  # fmt: skip
    graph.calls.insert(0, front)
    return f"a convolution of 1x1 in front makes {settings.color} in the network's scale of RGB from 0 to 1"


def _colours(settings: Preprocessing) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return kernel (1, 1, 3, channels) and bias of what makes `(colour - mean) / std` of RGB in 0..1."""
    turned = {"rgb": np.eye(3), "bgr": np.eye(3)[::-1], "gray": np.asarray(LUMA)[:, None]}[settings.color]
    std = np.asarray(settings.std, np.float64)
    kernel = _PIXEL * turned / std
    bias = -np.asarray(settings.mean, np.float64) / std
    return kernel.astype(np.float32)[None, None], bias.astype(np.float32)


def _join(graph: LayerGraph, joined: Joining, places: tuple[int, ...]) -> None:
    """Put boxes and scores of all scales one after the other, and make these two the outputs."""
    boxes, scores = places[0::2], places[1::2]
    if joined.swapped:
        for place, name in zip(boxes, joined.boxes, strict=True):
            _swap(graph, graph.outputs[place], name)
    layers = keras().layers
    location = _flat(graph, [graph.outputs[place] for place in boxes], 4, LOCATION)
    score = _flat(graph, [graph.outputs[place] for place in scores], joined.values, SCORE)
    if joined.softmax:
        score = _added(graph, layers.Softmax(axis=-1, name=f"{SCORE}_softmax"), [score])
    if joined.skipped:
        score = _without_first(graph, score, joined.skipped)
    graph.outputs = [
        _added(graph, layers.Activation("linear", name=name), [key])
        for name, key in ((LOCATION, location), (SCORE, score))
    ]


def _flat(graph: LayerGraph, maps: list[int], values: int, name: str) -> int:
    """Return the key of maps (h, w, anchors x values) as rows (N, values), scale after scale."""
    layers = keras().layers
    rows = [
        _added(graph, layers.Reshape((-1, values), name=f"{name}_rows_{index}"), [key])
        for index, key in enumerate(maps)
    ]
    return rows[0] if len(rows) == 1 else _added(graph, layers.Concatenate(axis=1, name=f"{name}_all"), rows)


def _without_first(graph: LayerGraph, key: int, count: int) -> int:
    """Return the key of rows (N, values) without the first values: by layers that every reader of models has."""
    layers = keras().layers
    turned = _added(graph, layers.Permute((2, 1), name=f"{SCORE}_turned"), [key])
    cut = _added(graph, layers.Cropping1D((count, 0), name=f"{SCORE}_objects"), [turned])
    return _added(graph, layers.Permute((2, 1), name=f"{SCORE}_back"), [cut])


def _added(graph: LayerGraph, layer: Any, taken: list[int]) -> int:
    output = graph.key()
    graph.calls.append(
        Call(name=layer.name, kind=type(layer).__name__, layer=layer, inputs=taken, output=output, shape=())
    )
    return output


def _swap(graph: LayerGraph, key: int, name: str) -> None:
    """Have a layer give y before x and height before width, by the order of its filters: exact, and at no cost."""
    call = graph.maker().get(key)
    function = getattr(getattr(call and call.layer, "activation", None), "__name__", "")
    if call is None or call.kind != "Conv2D" or call.name in graph.shared or function != "linear":
        kind = "nothing" if call is None else call.kind
        raise UnsupportedModelError(
            f"MediaPipe takes boxes as y, x, height, width, and output '{name}' comes of {kind}: filters of a plain "
            "Conv2D can be reordered",
            hint="end the boxes of each scale in a Conv2D without activation, or leave --metadata mediapipe out",
        )
    filters = call.weights[0].shape[-1]
    order = np.arange(filters).reshape(-1, 4)[:, [1, 0, 3, 2]].reshape(-1)
    call.weights = [np.ascontiguousarray(weight[..., order]) for weight in call.weights]


def _told(joined: Joining) -> str:
    parts = ["boxes and scores of all scales are one output each"]
    if joined.softmax:
        parts.append("the softmax of scores is in the file")
    if joined.skipped:
        parts.append("the score of the background is left out")
    return ", ".join(parts)
