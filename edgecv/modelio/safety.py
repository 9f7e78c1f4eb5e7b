"""Finding what would run foreign code in a Keras config, before Keras deserialises it.

Keras imports any module that a config names and calls what it finds there, and a Lambda layer carries byte code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from edgecv.core.errors import UnsupportedModelError

MODULES = frozenset({"keras", "tf_keras", "tensorflow_model_optimization"})
OWN_MODULE = "edgecv.modelio.layers"
# TFOpLambda calls a tensorflow function by name: arithmetic passes, functions that read or write files do not.
TF_FUNCTIONS = ("math.", "nn.", "image.", "linalg.", "__operators__.", "keras.activations.", "compat.v1.nn.")
TF_NAMES = frozenset({"abs", "cast", "clip_by_value", "concat", "expand_dims", "maximum", "minimum", "pad", "reshape",
                      "shape", "slice", "split", "sqrt", "square", "squeeze", "stack", "strided_slice", "tile",
                      "transpose", "unstack"})  # fmt: skip


def refuse_code(config: Any, *, where: str) -> None:
    """Check that a model's config names no foreign code.

    Args:
        config: The parsed JSON of the whole model; nested models are searched as well.
        where: The file, for the message.

    Raises:
        UnsupportedModelError: It does; the message lists every place.
    """
    found = list(dict.fromkeys(_dangers(config, "the model")))
    if found:
        raise UnsupportedModelError(
            f"{where} can run code when it is loaded: {'; '.join(found)}",
            hint="replace it by a standard layer; or pass --unsafe if you trust whoever made the file",
        )


def _dangers(node: Any, layer: str) -> Iterator[str]:
    if isinstance(node, Mapping):
        layer = _layer_name(node) or layer
        danger = _danger(node)
        if danger:
            yield f"{danger} in '{layer}'"
        for value in node.values():
            yield from _dangers(value, layer)
    elif isinstance(node, list):
        for value in node:
            yield from _dangers(value, layer)


def _layer_name(node: Mapping[str, Any]) -> str:
    config = node.get("config")
    name = node.get("name") or (config.get("name") if isinstance(config, Mapping) else None)
    return name if isinstance(name, str) and "class_name" in node else ""


def _danger(node: Mapping[str, Any]) -> str:
    kind, module = node.get("class_name"), node.get("module")
    if not isinstance(kind, str):
        return ""
    registered = str(node.get("registered_name") or "")
    names = {part.split(">")[-1].split(".")[-1] for part in (kind, registered)}
    if names & {"Lambda", "__lambda__"}:
        return "a Lambda layer" if "Lambda" in names else "a lambda function"
    if isinstance(module, str) and not _trusted(module, kind):
        return f"'{module}.{kind}', which is outside keras,"
    if kind in ("TFOpLambda", "SlicingOpLambda") and not _plain_function(node):
        return "a call of a tensorflow function that is not plain arithmetic"
    return ""


def _trusted(module: str, kind: str) -> bool:
    if module == "builtins":
        return kind in ("function", "dict", "str")
    return module == OWN_MODULE or module.split(".")[0] in MODULES


def _plain_function(node: Mapping[str, Any]) -> bool:
    config = node.get("config")
    function = config.get("function") if isinstance(config, Mapping) else None
    return isinstance(function, str) and (function.startswith(TF_FUNCTIONS) or function in TF_NAMES)
