"""Keras 3 models, rebuilt in tf_keras and checked against Keras 3 on random inputs.

Models inside models are opened: the result is one flat graph, which is what pruning and quantisation need. A layer of
the same meaning stands for a layer, and layers and models that are called several times stay shared. Any other layer
is traced: its `call` is read as the functions of `keras.ops` that it is made of. What cannot be taken is listed by
layer and class.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np

from edgecv.core.errors import UnsupportedModelError
from edgecv.modelio import channels, env, forms, keras3_forms
from edgecv.modelio.boundary import renamed_outputs, scope_name
from edgecv.modelio.inference import check_inference
from edgecv.modelio.keras3_plan import Plan, Planner, Traced, nodes_of
from edgecv.modelio.messages import naming
from edgecv.modelio.opening import Opening

TOLERANCE = 1e-4


def import_keras3(source: Path, opening: Opening) -> Any:
    """Return a Keras 3 file's model as a tf_keras one.

    Args:
        source: A `.keras` or HDF5 file written by Keras 3, already searched for code.
        opening: What the user says of it.

    Raises:
        UnsupportedModelError: It holds something that tf_keras lacks (each layer and class is listed), or the
            rebuilt model does not compute the same.
    """
    return imported(keras3_forms.load(source, opening), source, opening)


def imported(original: Any, source: Path, opening: Opening) -> Any:
    """Return a Keras 3 model as a tf_keras one. `source` is where it is from; raises as `import_keras3` does."""
    keras3 = env.keras3()
    original, pixels = keras3_forms.prepared(original, opening, where=str(source))
    planner = Planner()
    planner.add(original)
    if planner.problems:
        raise UnsupportedModelError(
            f"{source} was written by Keras 3 and cannot be imported: {'; '.join(dict.fromkeys(planner.problems))}",
            hint="replace these layers by standard ones; or model.export(FOLDER), and convert the folder: it is "
            "quantised by calibration",
        )
    check_inference(original, where=str(source))
    model = channels.last(_rebuild(original, planner), where=str(source), checked=False)
    _check_same(original, channels.as_before(model, original), source)
    keys = _output_keys(original, keras3.tree)
    return forms.with_pixels(renamed_outputs(model, keys) if keys else model, pixels)


def _output_keys(model: Any, tree: Any) -> list[str]:
    """Return the keys of a Keras 3 model that gives a dict, in the order of its outputs; of another, nothing."""
    outputs = getattr(model, "_outputs_struct", None)
    if not isinstance(outputs, dict) or len(outputs) != len(model.outputs):
        return []
    return list(tree.flatten({key: str(key) for key in outputs}))


def _rebuild(original: Any, planner: Planner) -> Any:
    keras = env.keras()
    rebuilding = _Rebuilding(planner)
    inputs, tensors = [], {}
    for tensor in original.inputs:
        name = tensor._keras_history.operation.name
        inputs.append(keras.Input(tuple(tensor.shape)[1:], dtype=tensor.dtype, name=rebuilding.unique(name, "")))
        tensors[id(tensor)] = inputs[-1]
    outputs = rebuilding.run(original, tensors, where="")
    return keras.Model(inputs, outputs, name=original.name)


class _Rebuilding:
    """The layers made so far, by the Keras 3 layer that they stand for."""

    def __init__(self, planner: Planner) -> None:
        self._plans = planner.plans
        self._called: dict[int, str] = {}
        self._names: set[str] = set()

    def unique(self, name: str, where: str) -> str:
        """Return a layer name that is free: the layer's own, else with the names of the models around it."""
        name = scope_name(name)  # Keras 3 allows any name.
        if name in self._names:
            name = f"{where}.{name}" if where else name
        count, free = 1, name
        while free in self._names:
            count += 1
            free = f"{name}_{count}"
        self._names.add(free)
        return free

    def run(self, graph: Any, tensors: dict[int, Any], *, where: str) -> list[Any]:
        """Return the outputs of one call of a model, or of a traced layer.

        Args:
            graph: Of Keras 3.
            tensors: Its inputs' ids to tf_keras tensors; filled with what is between.
            where: Names of the models around it.
        """
        for node in nodes_of(graph):
            operation = node.operation
            taken = [tensors[id(tensor)] for tensor in node.input_tensors]
            if hasattr(operation, "layers"):
                inner = {id(tensor): value for tensor, value in zip(operation.inputs, taken, strict=True)}
                results = self.run(operation, inner, where=_inside(where, operation.name))
            else:
                with naming(operation):
                    results = self._call(self._plans[id(node)], node, taken, where)
            tensors.update(zip((id(tensor) for tensor in node.outputs), results, strict=True))
        return [tensors[id(tensor)] for tensor in graph.outputs]

    def _call(self, plan: Plan, node: Any, taken: list[Any], where: str) -> list[Any]:
        """Return the outputs of one call of an operation or layer."""
        name = node.operation.name
        if isinstance(plan, Traced):
            return self._traced(plan, taken, name, where)
        results = []
        for output in plan:
            result: Any = taken if len(taken) > 1 else taken[0]
            for place, part in enumerate(output):
                part_name = name if place == 0 else f"{name}_{'activation' if place == 1 == len(output) - 1 else place}"
                if isinstance(part, Traced):
                    (result,) = self._traced(part, [result], part_name, where)
                else:
                    result = self._layer(part, result, part_name, where)
            results.append(result)
        return results

    def _traced(self, plan: Traced, taken: list[Any], name: str, where: str) -> list[Any]:
        """Return the outputs of a traced layer; the last operation of its only output has the layer's name."""
        inner = {id(tensor): value for tensor, value in zip(plan.graph.inputs, taken, strict=True)}
        results = self.run(plan.graph, inner, where=_inside(where, name))
        if len(results) > 1:
            return results
        identity = env.keras().layers.Activation("linear", name=self.unique(name, where))
        return [identity(results[0])]

    def _layer(self, step: Any, taken: Any, name: str, where: str) -> Any:
        layer = step.layer
        first = id(layer) not in self._called
        if first:
            layer._name = self._called[id(layer)] = self.unique(name, where)
        result = layer(taken)
        if first and step.weights:
            layer.set_weights(step.weights)
        return result


def _inside(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _check_same(original: Any, model: Any, source: Path) -> None:
    """Check both on random inputs, in inference. Raises UnsupportedModelError beyond 1e-4 of the largest output."""
    batch, expected = _finite_answers(original, source)
    got = _arrays(env.infer(model, batch if len(batch) > 1 else batch[0]))
    for index, (a, b) in enumerate(zip(expected, got, strict=True)):
        difference = float(np.max(np.abs(a - b)) / max(float(np.max(np.abs(a))), 1e-6))
        # Written so that NaN fails.
        if not difference <= TOLERANCE:
            raise UnsupportedModelError(
                f"{source}: output {index} of the imported model differs from Keras 3 by {difference:.2g} of its "
                f"largest value, expected at most {TOLERANCE:g}",
                hint="train the model with tf_keras instead",
            )


def _finite_answers(original: Any, source: Path) -> tuple[list[Any], list[Any]]:
    """Return random inputs and a Keras 3 model's answers to them: values about 0, or 0..1 where those overflow."""
    tree = env.keras3().tree
    structure = keras3_forms.input_structure(original)
    for draw in (np.random.default_rng(0).standard_normal, np.random.default_rng(0).random):
        batch = [draw((2, *_static(tensor, source))).astype(np.float32) for tensor in original.inputs]
        answers = env.infer(original, tree.pack_sequence_as(structure, batch))
        expected = [np.asarray(value) for value in tree.flatten(answers)]
        if all(np.isfinite(value).all() for value in expected):
            break
    return batch, expected


def _static(tensor: Any, source: Path) -> tuple[int, ...]:
    shape = tuple(tensor.shape)[1:]
    with contextlib.suppress(TypeError):
        if all(size > 0 for size in shape):
            return shape
    raise UnsupportedModelError(
        f"{source}: input '{tensor.name}' has the dynamic shape {tuple(tensor.shape)}, "
        "expected fixed sizes besides the batch",
        hint="build the model again with a fixed input, for example Input((224, 224, 3)), and load its weights",
    )


def _arrays(outputs: Any) -> list[Any]:
    return [np.asarray(value) for value in (outputs if isinstance(outputs, (list, tuple)) else [outputs])]
