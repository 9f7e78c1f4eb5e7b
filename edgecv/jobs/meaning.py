"""Whether a contract says what a file does: the scale of inputs, the kind of answers, the order of a ranking."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgecv.convert.check.meaning import never_change
from edgecv.convert.check.score_steps import lost_scores
from edgecv.core.errors import UnsupportedModelError
from edgecv.core.progress import Reporter
from edgecv.data import Dataset, fitted
from edgecv.graphs.ir import Graph, Op, Tensor, constant
from edgecv.modelio.model_file import ModelFile, model_file
from edgecv.modelio.parts import unpacked
from edgecv.runtime.image import preprocess_sample
from edgecv.runtime.input_range import Held, first_misfit, held_as, held_by, outside
from edgecv.tasks.registry import task_of
from edgecv.values.binding import bind_inputs
from edgecv.values.evaluation import Evaluation
from edgecv.values.specs import ModelSpec

Array = np.ndarray[Any, Any]

SAMPLES = 32
CLIPPED = 0.05
"""Share of input values beyond what a tensor holds from which on images are not those that it was calibrated with."""
NARROW = 0.05
"""Share of what a tensor holds below which images hardly use it."""
STEP = 1 / 256
"""By which answers of a file with 8 bits may miss those of a float model, of a full range of 1."""
_FLOAT = ("float32", "float16", "float64")


def check_inputs(file: Path | ModelFile, spec: ModelSpec | None, reporter: Reporter) -> None:
    """Hold what a file's inputs hold by their quantisation against what a contract feeds them.

    Inputs of floats that the file quantises itself count as what it makes of them.

    Args:
        file: Of any format; of a keras model nothing is known here.
        spec: The contract; None takes the file's own, and does nothing where it has none.
        reporter: Takes what is likely wrong.

    Raises:
        UnsupportedModelError: The contract cannot be right.
    """
    opened = model_file(file)
    contract = spec or (opened.manifest.spec if opened.manifest and not opened.is_keras else None)
    if opened.is_keras or contract is None:
        return
    held = held_inputs(opened, contract)
    found = first_misfit(contract.inputs, held, certain=True)
    if found is not None:
        raise UnsupportedModelError(f"{opened.path}: {found.text}", hint=found.hint)
    found = first_misfit(contract.inputs, held, certain=False)
    if found is not None:
        reporter.warn(f"{opened.name}: {found.text}; {found.hint}")


def check_steps(file: Path | ModelFile, spec: ModelSpec | None, reporter: Reporter) -> None:
    """Warn of a quantised file whose scores have hardly any steps, since they share a scale with boxes.

    Args:
        file: Of any format; keras models are not quantised.
        spec: The contract; None takes the file's own, where it has one.
        reporter: Takes the warning.
    """
    for text in lost_steps(file, spec):
        reporter.warn(f"{model_file(file).name}: {text}")


def lost_steps(file: Path | ModelFile, spec: ModelSpec | None = None) -> tuple[str, ...]:
    """Return what `check_steps` warns of; of a bundle, what it warns of each of its networks."""
    opened = model_file(file)
    if opened.is_keras:
        return ()
    if opened.format == "bundle":
        with unpacked(opened.path) as parts:
            return tuple(text for part in parts.values() for text in lost_steps(part))
    return lost_scores(opened.graph, spec or (opened.manifest.spec if opened.manifest else None))


def check_answers(file: Path | ModelFile, predictor: Any, dataset: Dataset, split: str, reporter: Reporter) -> None:
    """Hold a contract against the first samples of a split and what the file answers to them.

    Raises:
        UnsupportedModelError: The contract cannot be right.
    """
    opened, spec = model_file(file), predictor.spec
    chosen = fitted(dataset, spec).split(split)
    tensors = [preprocess_sample(chosen.sample(index), spec) for index in range(min(SAMPLES, len(chosen)))]
    if not tensors:
        return
    columns = [np.concatenate(column) for column in zip(*tensors, strict=True)]
    if not opened.is_keras:
        _check_range(columns, held_inputs(opened, spec), spec, opened.name, reporter)
    answers = [np.concatenate(column) for column in zip(*(predictor.run(one) for one in tensors), strict=True)]
    step = 0.0 if opened.is_keras else STEP
    for head, places in zip(spec.heads, predictor.bound_outputs, strict=True):
        found = task_of(head).contradiction([answers[place] for place in places], head, step)
        if found is not None and found.certain:
            raise UnsupportedModelError(f"{opened.path}: {found.text}", hint=found.hint)
        if found is not None:
            reporter.warn(f"{opened.name}: {found.text}; {found.hint}")
    if len(tensors) > 1 and never_change(answers):
        reporter.warn(
            f"{opened.name} gives the same answer to all of the first {len(tensors)} samples: look at mean and std of "
            "the spec, at the data, and at what it was calibrated with"
        )


def doubt(found: Evaluation, name: str, reporter: Reporter) -> None:
    """Warn of figures that say that a contract reads answers the wrong way round."""
    for head in found.heads:
        text = task_of(head.head).doubt(head.value, head.figures, found.n, head.head)
        if text:
            reporter.warn(f"{name}: {text}")


def held_inputs(opened: ModelFile, spec: ModelSpec) -> list[Held | None]:
    """Return what each input of a contract can hold in a file; None where it holds any value."""
    if opened.format == "bundle":
        return [held_by(info) for info in opened.required_manifest.inputs]
    places = bind_inputs(spec, opened.input_names, str(opened.path))
    return [_held(opened.graph, opened.graph.inputs[place]) for place in places]


def _held(graph: Graph, index: int) -> Held | None:
    tensor = graph.tensors[index]
    if tensor.dtype not in _FLOAT:
        return _of_tensor(tensor)
    readers = [op for op in graph.ops if index in op.inputs]
    found = [_quantised(graph, op) for op in readers]
    return found[0] if found and found[0] is not None and all(one == found[0] for one in found) else None


def _of_tensor(tensor: Tensor) -> Held | None:
    is_integer = tensor.dtype in ("int8", "uint8", "int16", "uint16", "int32", "int64")
    if not is_integer or len(tensor.scales) > 1:
        return None
    scale, zero = (tensor.scales[0], tensor.zero_points[0]) if tensor.scales else (None, None)
    return held_as(tensor.dtype, scale, zero)


def _quantised(graph: Graph, op: Op) -> Held | None:
    """Return what an operator that quantises gives; None of any other."""
    if op.op == "QUANTIZE":
        return _of_tensor(graph.tensors[op.outputs[0]])
    if op.op != "QuantizeLinear" or len(op.inputs) < 3:
        return None
    scale, zero = (graph.tensor(index) for index in op.inputs[1:3])
    if scale is None or zero is None or not scale.is_constant or not zero.is_constant or scale.elements != 1:
        return None
    return held_as(zero.dtype, float(constant(graph, scale.index).item()), int(constant(graph, zero.index).item()))


def _check_range(
    columns: Sequence[Array], held: Sequence[Held | None], spec: ModelSpec, name: str, reporter: Reporter
) -> None:
    """Warn of samples that the file's inputs clip, or that hardly use them: it was calibrated with others."""
    for only, one, values in zip(spec.inputs, held, columns, strict=True):
        if one is None or not one.is_scaled:
            continue
        low, high = float(values.min()), float(values.max())
        clipped, used = outside(values, one), (high - low) / (one.high - one.low)
        if clipped >= CLIPPED:
            reporter.warn(
                f"{name}: {100 * clipped:.0f} % of the values of these samples lie beyond what input '{only.name}' "
                f"holds ({one.low:.3g} to {one.high:.3g}; they are {low:.3g} to {high:.3g}), and are clipped: the file "
                "was calibrated with others, or scales them otherwise"
            )
        elif used < NARROW:
            reporter.warn(
                f"{name}: these samples use {100 * used:.0f} % of what input '{only.name}' holds ({low:.3g} to "
                f"{high:.3g} of {one.low:.3g} to {one.high:.3g}): look at the data, and at mean and std of the spec"
            )
