"""Calls of layers that stay in training's ways at inference: `layer(x, training=True)`.

Dropout then draws at random in every answer, noise is added, and batch normalisation uses the statistics of the batch,
which on a device is one image. No file for a device does that, and a converter that leaves the argument out gives other
answers than the model.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from edgecv.core.errors import UnsupportedModelError

HINT = (
    "build the model again without training=True, and load its weights; in place of batch normalisation over one image "
    "use GroupNormalization(groups=-1)"
)


def check_inference(model: Any, *, where: str) -> None:
    """Check that no layer of a tf_keras or Keras 3 model is called with training=True, in models inside it neither.

    Raises:
        UnsupportedModelError: One is; the message names all.
    """
    found = sorted(set(_always_training(model)))
    if found:
        named, verb = ", ".join(f"layer '{name}'" for name in found), "is" if len(found) == 1 else "are"
        raise UnsupportedModelError(
            f"{where}: {named} {verb} called with training=True, which no file for a device can do", hint=HINT
        )


def _always_training(model: Any) -> Iterator[str]:
    """Yield the name of the layer of each call with training=True that matters."""
    graph = getattr(model, "_functional", None) or model
    for nodes in getattr(graph, "_nodes_by_depth", {}).values():
        for node in nodes:
            layer = getattr(node, "operation", None) or node.layer
            if _arguments(node).get("training") and any(map(_depends_on_training, _parts(layer))):
                yield str(layer.name)
            if hasattr(layer, "layers"):
                yield from _always_training(layer)


def _arguments(node: Any) -> dict[str, Any]:
    given = getattr(node, "arguments", None)
    return dict(node.call_kwargs if given is None else given.kwargs)


def _parts(layer: Any) -> Iterator[Any]:
    """Yield the layers that a call reaches: the layer itself, or those of a model."""
    if not hasattr(layer, "layers"):
        yield layer
    for inner in getattr(layer, "layers", ()):
        yield from _parts(inner)


def _depends_on_training(layer: Any) -> bool:
    """Say whether a layer does something else in training; where that is its default, nobody has asked for it.

    Such are the layers that augment images: they do nothing in inference all the same.
    """
    training = inspect.signature(layer.call).parameters.get("training")
    return training is not None and training.default is not True and getattr(layer, "rate", 1) != 0
