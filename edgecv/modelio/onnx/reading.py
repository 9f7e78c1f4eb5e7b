"""Reading an ONNX file for import: weights beside it included, functions opened, sizes fixed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgecv.core import files
from edgecv.core.errors import ConfigError, UnsupportedModelError
from edgecv.core.optional import require
from edgecv.modelio.onnx.net import Array, Net, Node
from edgecv.modelio.originals import float_original

QUANTISED = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "ConvInteger", "MatMulInteger")
STANDARD = ("", "ai.onnx")
OLDEST = 7
"""Operator set: older ones broadcast by attributes of their own."""
# What onnx's helpers raise on types, attributes and sizes that make no sense.
CORRUPT = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RuntimeError, MemoryError, OSError)


def read_proto(path: Path) -> Any:
    """Return the ModelProto of a float file, with functions opened and external weights read.

    Raises:
        ConfigError: The path is missing or unreadable.
        UnsupportedModelError: It is no ONNX file, is quantised, or its weights are missing.
    """
    data = files.read_bytes(path, what="model")
    onnx = require("onnx", why="to read ONNX files")
    decode_error = require("google.protobuf.message").DecodeError
    try:
        model = onnx.load_model_from_string(data)
    except (decode_error, *CORRUPT) as error:
        raise _unreadable(path, "it is not an ONNX model, or it is truncated") from error
    if model.ir_version <= 0 or not model.graph.node:
        raise _unreadable(path, "it has no ONNX graph")
    _refuse_quantised(model, path)
    try:
        onnx.external_data_helper.load_external_data_for_model(model, str(path.parent))
    except (*CORRUPT, onnx.checker.ValidationError) as error:
        raise _unreadable(path, f"its weights lie in another file, which cannot be read ({error})") from error
    if not model.functions:
        return model
    try:
        return require("onnx.inliner").inline_local_functions(model)
    except CORRUPT as error:
        raise _unreadable(path, f"its functions do not fit ({error})") from error


def _refuse_quantised(model: Any, path: Path) -> None:
    nodes = [*model.graph.node, *(node for function in model.functions for node in function.node)]
    found = [node for node in nodes if node.op_type in QUANTISED or node.op_type.startswith("QLinear")]
    if not found:
        return
    original = float_original(path)
    raise UnsupportedModelError(
        f"{path} is quantised: {len(found)} nodes such as {found[0].op_type} '{found[0].name}'; expected "
        "a float network",
        hint=f"give the float file that it was made from{f': {original}' if original else ''}",
    )


def _unreadable(path: Path, why: str) -> UnsupportedModelError:
    return UnsupportedModelError(f"{path} cannot be read: {why}", hint="give an .onnx file as an exporter wrote it")


def fix_sizes(model: Any, size: tuple[int, int] | None, path: Path, *, needed: bool = True) -> None:
    """Set the batch to 1 and open sizes to those given, in place.

    Args:
        model: A ModelProto.
        size: Height and width of images whose size is open.
        path: For messages.
        needed: Whether a size that is given must be used.

    Raises:
        ConfigError: A size is open and none is given, or one is given that the file contradicts.
        UnsupportedModelError: An input is no float tensor.
    """
    names = {tensor.name for tensor in model.graph.initializer}
    fed = [value for value in model.graph.input if value.name not in names]
    if not fed:
        raise _unreadable(path, "its graph takes no input")
    filled = [_fix(value, size, path) for value in fed]
    if size is not None and needed and not any(filled):
        raise ConfigError(
            f"{path}: every size of its inputs is fixed, and --input-size says {size[0]}x{size[1]}",
            hint="leave --input-size out, or export the network with that size",
        )
    del model.graph.value_info[:]
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")


def _fix(value: Any, size: tuple[int, int] | None, path: Path) -> bool:
    """Fix one input; say whether the given size was used."""
    onnx = require("onnx")
    kind = value.type.tensor_type
    if kind.elem_type not in (onnx.TensorProto.FLOAT, onnx.TensorProto.UINT8):
        name = onnx.TensorProto.DataType.Name(kind.elem_type).lower() if kind.elem_type else "no tensor"
        raise UnsupportedModelError(
            f"{path}: input '{value.name}' is {name}, expected float", hint="export the network in float32"
        )
    if not kind.HasField("shape"):
        raise _unreadable(path, f"input '{value.name}' has no shape")
    dims = list(kind.shape.dim)
    if not dims:
        raise UnsupportedModelError(f"{path}: input '{value.name}' is a single number", hint="export it as a constant")
    used = False
    for axis, dim in enumerate(dims):
        known = dim.dim_value if dim.HasField("dim_value") else 0
        if axis == 0:
            dim.dim_value = 1
        elif known <= 0:
            dim.dim_value, used = _open(value.name, dims, axis, size, path), True
    return used


def _open(name: str, dims: Sequence[Any], axis: int, size: tuple[int, int] | None, path: Path) -> int:
    shown = ", ".join(str(d.dim_value) if d.dim_value > 0 else d.dim_param or "?" for d in dims)
    if len(dims) != 4 or (not dims[1].dim_value > 0 and not dims[3].dim_value > 0):
        raise UnsupportedModelError(
            f"{path}: input '{name}' of shape ({shown}) leaves more open than the size of images",
            hint="export the network with fixed sizes",
        )
    if size is None:
        raise ConfigError(
            f"{path}: input '{name}' of shape ({shown}) leaves its size open",
            hint="give it: --input-size 224 or --input-size 480x640, height first",
        )
    first = dims[1].dim_value > 0  # channels come first
    return size[axis - 2] if first else size[axis - 1]


def plain_net(model: Any, path: Path) -> Net:
    """Return the graph of a ModelProto as plain values; shapes are not known yet.

    Raises:
        UnsupportedModelError: Its operator set is too old, or a tensor cannot be read.
    """
    onnx = require("onnx")
    opset = max((one.version for one in model.opset_import if one.domain in STANDARD), default=0)
    if opset < OLDEST:
        raise UnsupportedModelError(
            f"{path} uses operator set {opset}, expected {OLDEST} or newer", hint="export the network again"
        )
    try:
        constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        nodes = [_node(node, place) for place, node in enumerate(model.graph.node)]
    except CORRUPT as error:
        raise _unreadable(path, f"it is corrupt ({error})") from error
    return Net(
        nodes=nodes,
        constants=constants,
        shapes={},
        dtypes={},
        inputs=tuple(value.name for value in model.graph.input if value.name not in constants),
        outputs=tuple(value.name for value in model.graph.output),
        opset=opset,
    )


def _node(node: Any, place: int) -> Node:
    onnx = require("onnx")
    attributes = {one.name: _plain(onnx.helper.get_attribute_value(one), onnx) for one in node.attribute}
    domain = "" if node.domain in STANDARD else f"{node.domain}."
    return Node(
        op=f"{domain}{node.op_type}",
        inputs=list(node.input),
        outputs=list(node.output),
        attributes=attributes,
        name=node.name or f"{node.op_type}_{place}",
        scope=_module(node),
    )


def _module(node: Any) -> str:
    """Return the module that PyTorch's newer exporter says a node is of: the last but one of its scopes."""
    told = next((one.value for one in node.metadata_props if one.key == "pkg.torch.onnx.name_scopes"), "")
    scopes = re.findall(r"'([^']*)'", told)
    return scopes[-2] if len(scopes) > 1 else ""


def _plain(value: Any, onnx: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, onnx.TensorProto):
        return onnx.numpy_helper.to_array(value)
    if isinstance(value, (int, float, str)):
        return value
    if isinstance(value, onnx.GraphProto):
        return value
    return [_plain(one, onnx) for one in value]


def as_float(array: Array) -> Array:
    """Return float64 and float16 values as float32, others as they are."""
    return array.astype(np.float32) if array.dtype.kind == "f" and array.dtype != np.float32 else array
