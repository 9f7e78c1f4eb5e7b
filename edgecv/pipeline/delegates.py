"""What the user must know of an accelerator: which layers it refuses, what it computes in, and what that may cost."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edgecv.errors import EdgecvError, PartialAccelerationError
from edgecv.progress import Reporter
from edgecv.results import Unmapped
from edgecv.runtime.container import sniff
from edgecv.targets import inspect, summarize

SHOWN = 8


@contextlib.contextmanager
def naming_layers(file: Path) -> Iterator[None]:
    """Add to a refusal which operators are refused, with their source layers and reasons.

    Raises:
        PartialAccelerationError: The one that is raised inside, with the layers.
    """
    try:
        yield
    except PartialAccelerationError as error:
        refused = _refused(file)
        if not refused:
            raise
        raise PartialAccelerationError(
            f"{error.message}\n  refused: {describe(refused)}",
            hint="--allow-partial runs those on the CPU; edgecv inspect --target gpu lists every operator",
        ) from error


def describe(refused: tuple[Unmapped, ...]) -> str:
    """Return refused operators as one line: "REVERSE_SEQUENCE of layer 'mix' (not supported); …"."""
    named = [f"{op.op}{f' of layer {op.layer!r}' if op.layer else ''} ({op.reason.rstrip('.')})" for op in refused]
    more = f"; and {len(named) - SHOWN} more" if len(named) > SHOWN else ""
    return "; ".join(named[:SHOWN]) + more


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


def _refused(file: Path) -> tuple[Unmapped, ...]:
    if sniff(file) != "tflite":
        return ()  # the error of ONNX Runtime names nodes, and those are called after layers
    try:
        found = summarize(inspect(file, "gpu"))
    except EdgecvError:
        return ()  # the refusal itself matters more than its details
    return found.unmapped
