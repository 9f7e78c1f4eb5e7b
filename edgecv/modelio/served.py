"""SavedModel folders without Keras' metadata: the function that they serve, as a model of one layer.

`model.export()` and `tf.saved_model.save` write them. They hold no layers, so they are converted and calibrated, and
their answers are those of the function.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgecv.core.errors import UnsupportedModelError
from edgecv.modelio import env, forms, opaque
from edgecv.modelio.boundary import renamed_outputs, scope_name
from edgecv.modelio.constants import constant_graph
from edgecv.modelio.opening import Opening

SERVED = "serving_default"
OUTSIDE = frozenset({
    "EagerPyFunc", "LoadDataset", "MatchingFiles", "PyFunc", "PyFuncStateless", "ReadFile", "ReadVariableFile",
    "SaveDataset", "WriteFile", "WriteGraphSummary",
})  # fmt: skip
"""Operations that reach beyond tensors, whether tensorflow marks them as such or not."""
NONE_SERVED = "export the model with model.export(FOLDER), or tf.saved_model.save(..., signatures=FUNCTION)"
HINT = "save the model as .keras, which holds its layers"


def read(source: Path, opening: Opening) -> Any:
    """Return the function of a SavedModel as a tf_keras model: its inputs and outputs, and one layer between.

    Args:
        source: The folder.
        opening: Sizes for open inputs; `unsafe` allows operations that reach files or Python.

    Raises:
        UnsupportedModelError: It is no SavedModel, serves nothing or takes what is no tensor, an input stays open, or
            the graph reaches files or Python, or draws at random.
    """
    if not (source / "saved_model.pb").is_file():
        raise UnsupportedModelError(
            f"{source} is no SavedModel folder: saved_model.pb is missing", hint="expected what model.export() writes"
        )
    tf = env.tensorflow()
    if not opening.unsafe:
        _refuse(_operations(source) & OUTSIDE, source)
    function = _signature(tf.saved_model.load(str(source)), source, opening.signature)
    graph = constant_graph(function)
    if not opening.unsafe:
        _refuse({node.op for node in graph.node if _is_stateful(node.op)}, source)
    flat = tf.nest.flatten({name: name for name in function.structured_input_signature[1]})
    inputs = dict(zip(flat, function.inputs, strict=False))  # behind them stand the variables
    names = tf.nest.flatten({name: name for name in function.structured_outputs})
    outputs = {name: tensor.name for name, tensor in zip(names, function.outputs, strict=True)}
    for name, tensor in inputs.items():
        if tensor.shape[0] not in (None, 1):
            raise UnsupportedModelError(
                f"{source}: input '{name}' takes batches of {tensor.shape[0]}, expected an open batch, or 1",
                hint="export the model with an input whose batch is open",
            )
        forms.check_type(name, tensor.dtype.name, str(source))
        if tensor.dtype.name != "float32":
            _without_cast(graph, tensor.op.name, f"{source}: input '{name}' is {tensor.dtype.name}")
    return _model(source, graph, inputs, outputs, opening)


def _operations(source: Path) -> set[str]:
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel()
    saved.ParseFromString((source / "saved_model.pb").read_bytes())
    graphs = [meta.graph_def for meta in saved.meta_graphs]
    inner = [node for graph in graphs for function in graph.library.function for node in function.node_def]
    return {node.op for node in (*inner, *(node for graph in graphs for node in graph.node))}


def _refuse(found: set[str], source: Path) -> None:
    if found:
        raise UnsupportedModelError(
            f"{source} does more than compute: {', '.join(sorted(found))}",
            hint="export the model without it; or pass --unsafe if you trust whoever made the folder",
        )


def _is_stateful(op: str) -> bool:
    from tensorflow.python.framework import op_def_registry

    known = op_def_registry.get(op)
    return op in OUTSIDE or (known is not None and known.is_stateful and op != "Placeholder")


def _signature(loaded: Any, source: Path, wanted: str | None) -> Any:
    """Return the function that is asked for, else the served or the only one."""
    signatures = dict(getattr(loaded, "signatures", {}))
    only = next(iter(signatures.values())) if len(signatures) == 1 else None
    function = signatures.get(wanted) if wanted else signatures.get(SERVED) or only
    if function is None:
        known = ", ".join(sorted(signatures))
        raise UnsupportedModelError(
            f"{source} has no signature '{wanted or SERVED}': it has {known or 'none'}",
            hint=f"choose one: --signature {sorted(signatures)[0]}" if signatures else NONE_SERVED,
        )
    function._kept_alive = loaded  # It refers to its variables weakly.
    return function


def _without_cast(graph: Any, placeholder: str, what: str) -> None:
    """Make an input of a graph float32: the cast behind it becomes nothing.

    Raises:
        UnsupportedModelError: Something else takes it, to which its type may have a meaning; `what` starts the message.
    """
    float32, pending = env.tensorflow().float32.as_datatype_enum, [placeholder]
    next(node for node in graph.node if node.name == placeholder).attr["dtype"].type = float32
    while pending:
        given = pending.pop()
        for node in graph.node:
            if given not in {one.split(":")[0].lstrip("^") for one in node.input}:
                continue
            if node.op == "Cast" and node.attr["DstT"].type == float32:
                node.op = "Identity"
                for key in list(node.attr):
                    del node.attr[key]
            elif node.op == "Identity":
                pending.append(node.name)
            else:
                raise UnsupportedModelError(
                    f"{what}, and {node.op} takes it",
                    hint="begin the model with a Cast to float32 or Rescaling, and export it again",
                )
            node.attr["T"].type = float32


ENDS = {"Relu": "relu", "Sigmoid": "sigmoid", "Softmax": "softmax", "Tanh": "tanh"}
"""The activations that operations are."""


def _ends_in(graph: Any, tensor: str) -> str:
    """Return the activation that a tensor comes from, looking through what only names or reshapes it."""
    nodes = {node.name: node for node in graph.node}
    node = nodes.get(tensor.split(":")[0])
    while node is not None and node.op in ("Identity", "Reshape", "Squeeze") and node.input:
        node = nodes.get(node.input[0].split(":")[0])
    return ENDS.get(node.op, "linear") if node is not None else "linear"


def _model(source: Path, graph: Any, taken: Mapping[str, Any], given: Mapping[str, str], opening: Opening) -> Any:
    """Return the model of a graph: `taken` are its placeholders and `given` its tensors, by their names outside."""
    tf, keras = env.tensorflow(), env.keras()
    names = list(taken)
    inputs = [
        keras.Input(
            opening.shape(name, tuple(tensor.shape)[1:], names=names, where=str(source)),
            batch_size=tensor.shape[0],
            name=scope_name(name),
        )
        for name, tensor in taken.items()
    ]

    @tf.function(autograph=False)  # type: ignore[untyped-decorator]
    def compute(*tensors: Any) -> Any:
        fed = dict(zip((tensor.op.name for tensor in taken.values()), tensors, strict=True))
        return tf.graph_util.import_graph_def(graph, input_map=fed, return_elements=list(given.values()), name="")

    layer = opaque.layer_of(
        lambda tensors: compute(*tf.nest.flatten(tensors)),
        name="served",
        what=f"{source}, a SavedModel without layers,",
        hint=HINT,
        ends=[_ends_in(graph, name) for name in given.values()],
    )
    made = keras.Model(inputs, layer(inputs if len(inputs) > 1 else inputs[0]), name=scope_name(source.name))
    pixels = [tensor.dtype.name == forms.PIXELS for tensor in taken.values()]
    return forms.with_pixels(renamed_outputs(made, list(given)), pixels)
