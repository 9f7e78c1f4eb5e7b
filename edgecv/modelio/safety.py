"""Finding what would run foreign code in a Keras config, before Keras deserialises it.

Keras imports any module that a config names and calls what it finds there, and a Lambda layer carries byte code.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from edgecv.core.errors import UnsupportedModelError
from edgecv.modelio import env
from edgecv.modelio.functions import FUNCTIONS

MODULES = frozenset({"keras", "tf_keras", "tensorflow_model_optimization"})
OWN_MODULES = ("edgecv.modelio.layers", "edgecv.modelio.tensor_function")
PLAIN = frozenset(
    [f"tensorflow.python.ops.{name}" for name in (
        "array_ops", "array_ops_stack", "bitwise_ops", "clip_ops", "einsum_ops", "image_ops_impl", "linalg.linalg_impl",
        "linalg_ops", "manip_ops", "math_ops", "nn_impl", "nn_ops", "signal.fft_ops", "sort_ops", "special_math_ops",
        "gen_array_ops", "gen_bitwise_ops", "gen_image_ops", "gen_linalg_ops", "gen_manip_ops", "gen_math_ops",
        "gen_nn_ops", "gen_special_math_ops", "gen_spectral_ops", "tensor_math_operator_overrides", "bincount_ops",
        "check_ops", "embedding_ops", "signal.dct_ops", "signal.shape_ops", "signal.window_ops",
        "tensor_getitem_override", "weights_broadcast_ops",
    )]
    + ["tensorflow.python.framework.override_binary_operator", "tensorflow.python.framework.tensor_conversion"]
    + ["tf_keras.src.activations"]
)  # fmt: skip
"""Modules of tensorflow whose functions compute with tensors and do nothing else: no files, no Python, no devices."""
PLAIN_OF = {
    "tensorflow.python.ops.gen_data_flow_ops": frozenset({"dynamic_partition", "dynamic_stitch"}),
    "tf_keras.src.backend": frozenset({
        "abs", "all", "any", "arange", "argmax", "argmin", "batch_dot", "batch_flatten", "batch_normalization",
        "bias_add", "binary_crossentropy", "cast", "clip", "concatenate", "constant", "conv1d", "conv2d",
        "conv2d_transpose", "conv3d", "cos", "cumprod", "cumsum", "depthwise_conv2d", "dot", "elu", "equal", "exp",
        "expand_dims", "flatten", "gather", "greater", "greater_equal", "hard_sigmoid", "l2_normalize", "less",
        "less_equal", "log", "max", "maximum", "mean", "min", "minimum", "not_equal", "one_hot", "ones_like",
        "permute_dimensions", "pool2d", "pool3d", "pow", "prod", "relu", "repeat", "repeat_elements", "reshape",
        "resize_images", "reverse", "round", "separable_conv2d", "shape", "sigmoid", "sign", "sin", "softmax",
        "softplus", "softsign", "spatial_2d_padding", "sqrt", "square", "squeeze", "stack", "std", "sum", "tanh",
        "temporal_padding", "tile", "transpose", "var", "zeros_like",
    }),
}  # fmt: skip
"""Of modules that hold much else, the functions that only compute."""


def refuse_code(config: Any, *, where: str, known: Collection[str] = ()) -> None:
    """Check that a model's config names no foreign code.

    Args:
        config: The parsed JSON of the whole model; nested models are searched as well.
        where: The file, for the message.
        known: Classes that Keras does not import: the user gave them, or a class of Keras takes their place.

    Raises:
        UnsupportedModelError: It does; the message lists every place.
    """
    found = list(dict.fromkeys(_dangers(config, "the model", frozenset(known))))
    if found:
        raise UnsupportedModelError(
            f"{where} can run code when it is loaded: {'; '.join(found)}",
            hint="pass --custom-objects FILE.py with the classes that it names; or model.export(FOLDER), and convert "
            "the folder; or pass --unsafe if you trust whoever made the file",
        )


def _dangers(node: Any, layer: str, known: frozenset[str]) -> Iterator[str]:
    if isinstance(node, Mapping):
        layer = _layer_name(node) or layer
        danger = _danger(node, known)
        if danger:
            yield f"{danger} in '{layer}'"
        for value in node.values():
            yield from _dangers(value, layer, known)
    elif isinstance(node, list):
        for value in node:
            yield from _dangers(value, layer, known)


def _layer_name(node: Mapping[str, Any]) -> str:
    config = node.get("config")
    name = node.get("name") or (config.get("name") if isinstance(config, Mapping) else None)
    return name if isinstance(name, str) and "class_name" in node else ""


def _danger(node: Mapping[str, Any], known: frozenset[str]) -> str:
    kind, module = node.get("class_name"), node.get("module")
    if not isinstance(kind, str):
        return ""
    registered = str(node.get("registered_name") or "")
    names = {part.split(">")[-1].split(".")[-1] for part in (kind, registered)}
    if names & {"Lambda", "__lambda__"}:
        return "a Lambda layer" if "Lambda" in names else "a lambda function"
    if isinstance(module, str) and not _trusted(module, kind) and not {kind, registered} & known:
        return f"'{module}.{kind}', which is outside keras,"
    if kind in ("TFOpLambda", "SlicingOpLambda") and not _plain_function(node):
        return "a call of a tensorflow function that is not plain arithmetic"
    if kind == "TensorFunction" and _function(node) not in FUNCTIONS:
        return f"the function '{_function(node)}', which is no plain arithmetic,"
    return ""


def _trusted(module: str, kind: str) -> bool:
    if module == "builtins":
        return kind in ("function", "dict", "str")
    return module in OWN_MODULES or module.split(".")[0] in MODULES


def _plain_function(node: Mapping[str, Any]) -> bool:
    function = _function(node)
    return isinstance(function, str) and is_plain(function)


def _function(node: Mapping[str, Any]) -> Any:
    config = node.get("config")
    return config.get("function") if isinstance(config, Mapping) else None


def is_plain(name: str) -> bool:
    """Say whether the function that a Keras file calls by a name is arithmetic: it reads and writes nothing else.

    The function itself decides, not its name: tensorflow knows most of them by several.
    """
    if name.partition(".")[0] == "raw_ops" or ".raw_ops." in name:
        return False  # nothing that Keras records
    from tensorflow.python.util import tf_decorator, tf_export

    env.keras()  # registers its own functions
    try:
        found = tf_export.get_symbol_from_name(name)
    except (AttributeError, KeyError, ValueError):
        return False
    if not callable(found) or isinstance(found, type):
        return False
    _, function = tf_decorator.unwrap(found)
    module, own = str(getattr(function, "__module__", "")), str(getattr(function, "__name__", ""))
    return module in PLAIN or own in PLAIN_OF.get(module, ())
