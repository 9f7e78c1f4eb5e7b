"""What the user must know of an accelerator: which layers it refuses, what it computes in, and what that may cost."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgecv.convert.check.samples import file_inputs
from edgecv.core.errors import EdgecvError, PartialAccelerationError
from edgecv.core.progress import QUIET, Reporter
from edgecv.data import Dataset, fitted
from edgecv.diagnose.float16 import audit_float16
from edgecv.graphs import naming_operators
from edgecv.modelio.model_file import ModelFile, model_file
from edgecv.runtime.golden import sample_of
from edgecv.runtime.image import preprocess_sample
from edgecv.targets import inspect
from edgecv.targets.gpu import APART, STRIDED, is_known_wrong
from edgecv.values.binding import bind_inputs, in_order
from edgecv.values.inspection import Float16Audit, OpVerdict
from edgecv.values.manifest import Manifest
from edgecv.values.specs import ModelSpec

SHOWN = 8
HINT = "--allow-partial runs those on the CPU; edgecv inspect --target gpu lists every operator"
SAMPLES = 32


@contextlib.contextmanager
def naming_layers(file: Path) -> Iterator[None]:
    """Add to a refusal which operators are refused, with their source layers and reasons.

    Raises:
        PartialAccelerationError: The one that is raised inside, with the layers.
    """
    try:
        yield
    except PartialAccelerationError as error:
        told = left_out(file)
        if not told:
            raise
        raise PartialAccelerationError(f"{error.message}\n  {told}", hint=HINT) from error


def describe(left: Sequence[OpVerdict]) -> str:
    """Return what the GPU does not run as one line: "refused: CONV_3D of layer 'mix' (not supported); …"."""
    refused = [op for op in left if op.status != APART]
    named = [f"{op.op}{f' of layer {op.layer!r}' if op.layer else ''} ({op.reason.rstrip('.')})" for op in refused]
    more = f"; and {len(named) - SHOWN} more" if len(named) > SHOWN else ""
    apart = len(left) - len(refused)
    cut = f"; {apart} supported operators are cut off from the part that the GPU takes" if apart else ""
    return f"refused: {'; '.join(named[:SHOWN])}{more}{cut}"


def remark(predictor: Any, reporter: Reporter) -> None:
    """Say what a figure from this predictor is not: a GPU's, the whole model's on it, or float32's."""
    if getattr(predictor, "accelerator", "cpu") != "gpu":
        return
    if predictor.is_software_adapter:
        reporter.warn(f"simulated: '{predictor.adapter}' is a software renderer, not a GPU")
    session = predictor.session
    if not session.fully_accelerated:
        counted = session.n_operators is not None
        share = f": {session.n_accelerated} of {session.n_operators} operators" if counted else ""
        reporter.warn(f"only a part runs on the GPU{share}; the rest runs on the CPU")
    reporter.info(f"on '{predictor.adapter}', in {predictor.precision or 'a precision that could not be found out'}")


def warn_wrong(file: Path | ModelFile, accelerator: str, reporter: Reporter) -> None:
    """Warn of layers that a GPU takes and is known to compute wrongly."""
    opened = model_file(file)
    if accelerator != "gpu" or opened.format != "tflite":
        return
    with naming_operators(opened.graph):
        wrong = [op.index for op in opened.graph.ops if is_known_wrong(opened.graph, op)]
    if wrong:
        named = ", ".join(opened.layers[index] or f"operator {index}" for index in wrong[:SHOWN])
        reporter.warn(f"{opened.name}: the GPU takes {len(wrong)} layers and computes them wrongly: {named}: {STRIDED}")


def warn_float16(file: Path | ModelFile, predictor: Any, dataset: Dataset, split: str, reporter: Reporter) -> None:
    """Warn of activations near float16's limit, on the first samples, when that is what a GPU computes in."""
    if getattr(predictor, "precision", None) == "float16" and model_file(file).format == "tflite":
        audit(model_file(file).path, predictor.spec, dataset, split, reporter=reporter)


def audit(
    file: Path, spec: ModelSpec, dataset: Dataset, split: str, *, samples: int = SAMPLES, reporter: Reporter = QUIET
) -> Float16Audit:
    """Hold a file's activations against float16's range, on the first samples of a split."""
    held = fitted(dataset, spec).split(split)
    inputs = file_inputs(held.take(np.arange(min(samples, len(held)))), spec, model_file(file).input_names)
    return audit_float16(file, inputs, source=f"{dataset.name} ({split})", reporter=reporter)


def audit_golden(file: Path, manifest: Manifest, *, reporter: Reporter = QUIET) -> Float16Audit:
    """Hold a file's activations against float16's range, on the inputs of its golden vectors."""
    places = bind_inputs(manifest.spec, model_file(file).input_names, str(file))
    tensors = (preprocess_sample(sample_of(golden), manifest.spec) for golden in manifest.golden)
    inputs = (in_order(sample, places) for sample in tensors)
    return audit_float16(file, inputs, source="golden inputs", reporter=reporter)


def left_out(file: Path) -> str:
    """Return what a GPU does not run of a file, as `describe` does; "" when that is not known."""
    if model_file(file).format != "tflite":
        return ""  # the error of ONNX Runtime names nodes, and those are called after layers
    try:
        found = inspect(file, "gpu")
    except EdgecvError:
        return ""  # the refusal itself matters more than its details
    left = [op for op in found.ops if not op.mapped]
    return describe(left) if left else ""
