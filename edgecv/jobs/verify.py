"""Replaying a file's golden vectors on a device."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from edgecv.convert.check import samples
from edgecv.core.apart import Apart
from edgecv.core.errors import ConfigError
from edgecv.core.progress import QUIET, Reporter
from edgecv.core.shown import Shown
from edgecv.jobs import meaning
from edgecv.jobs.agreement import Agreement, compare
from edgecv.jobs.evaluate import EvaluationRequest, open_predictor
from edgecv.modelio.model_file import model_file
from edgecv.runtime import Predictor, golden
from edgecv.tasks.registry import task_of
from edgecv.values.kind import Kind
from edgecv.values.run_options import DEFAULTS, RunOptions

MADE_UP = 4
"""Images that a file without golden vectors is asked about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification(Shown):
    """Whether a file still answers its golden vectors as it did when it was made.

    Attributes:
        max_abs_diff: Largest difference of an output, in its real unit; `tolerance` is the largest allowed.
        failure: The sentence for the user when it did not pass.
        device: What ran it; `kind` "simulated" when that is emulated.
        agreement: How a device's raw outputs compare with this host's on the same inputs; None for this host itself.
        against: What it was held against: its golden vectors, or, of a file without any, a contract that was given.
    """

    path: str
    engine: str
    n: int
    max_abs_diff: float
    tolerance: float
    passed: bool
    failure: str
    device: str = "local"
    kind: Kind = "measured"
    agreement: Agreement | None = None
    against: Literal["golden", "contract"] = "golden"


def verify(
    file: Path,
    *,
    spec: Path | None = None,
    options: RunOptions = DEFAULTS,
    device: str = "local",
    devices: Path | None = None,
    reporter: Reporter = QUIET,
) -> Verification:
    """Replay a file's golden vectors on a device; on another than this host, compare its raw outputs with this host's.

    A file of another tool holds none. With the contract in `spec` it is asked about made-up images instead: whether it
    fits the contract, answers finite numbers, and says the same when it is asked again.

    Raises:
        ConfigError: The device is unknown.
        UnsupportedModelError: The file holds none, or cannot be read.
        DeviceError: The device failed, or the accelerator cannot take the file.
    """
    if model_file(file).format == "bundle":
        return _verify_bundle(file, options, device)
    request = EvaluationRequest(spec=spec, options=options, device=device, devices=devices)
    with open_predictor(file, request) as predictor:
        meaning.check_steps(file, predictor.spec, reporter)
        if spec is not None and not (predictor.manifest and predictor.manifest.golden):
            return _by_contract(file, predictor, device, reporter)
        found = golden.replay(predictor, relative=_rounding(predictor))
        failure = (
            f"{file} answers differently from when it was made: largest difference {found.max_abs_diff:.4g}, "
            f"allowed {found.tolerance:.4g} (ran on {predictor.engine} {predictor.accelerator})"
        )
        return Verification(
            path=str(file),
            engine=predictor.engine,
            n=found.n,
            max_abs_diff=found.max_abs_diff,
            tolerance=found.tolerance,
            passed=found.passed,
            failure="" if found.passed else failure,
            device=device,
            kind=getattr(predictor, "kind", "simulated" if predictor.is_software_adapter else "measured"),
            agreement=None if device == "local" else compare(file, predictor),
        )


def _by_contract(file: Path, predictor: Predictor, device: str, reporter: Reporter) -> Verification:
    """Ask a file without golden vectors about made-up images, each one twice."""
    meaning.check_inputs(file, predictor.spec, reporter)
    failure = ""
    for index, sample in enumerate(samples.check_samples(None, predictor.spec, seed=0)[:MADE_UP]):
        given = sample if len(sample) > 1 else sample[0]
        first, second = (predictor.predict(given) for _ in range(2))
        for head, places in zip(predictor.spec.heads, predictor.bound_outputs, strict=True):
            outputs = [np.asarray(first.outputs[place])[None] for place in places]
            if not task_of(head).is_finite(outputs, head):
                failure = failure or f"{file} answers NaN or infinity to made-up image {index}, head '{head.name}'"
            elif first.heads[head.name].to_dict() != second.heads[head.name].to_dict():
                failure = failure or f"{file} answers made-up image {index} differently when it is asked again"
    return Verification(
        path=str(file),
        engine=predictor.engine,
        n=MADE_UP,
        max_abs_diff=0.0,
        tolerance=0.0,
        passed=not failure,
        failure=failure,
        device=device,
        kind=getattr(predictor, "kind", "simulated" if predictor.is_software_adapter else "measured"),
        against="contract",
    )


def _verify_bundle(file: Path, options: RunOptions, device: str) -> Verification:
    """Replay the golden vectors of a bundle's networks, one by one, on this host."""
    if device != "local":
        raise ConfigError(
            f"{file}: a bundle is verified on this host only", hint="verify its parts there: a bundle is a zip archive"
        )
    relative = golden.FLOAT16_RELATIVE if options.accelerator == "gpu" else 0.0
    with Apart("edgecv.runtime.bundle:Replay", str(file), options.arguments, about=file) as held:
        found, engine = held.call("of_all", relative)
    failure = (
        f"{file} answers differently from when it was made: largest difference {found.max_abs_diff:.4g}, "
        f"allowed {found.tolerance:.4g} (ran on {engine})"
    )
    return Verification(
        path=str(file),
        engine=engine,
        n=found.n,
        max_abs_diff=found.max_abs_diff,
        tolerance=found.tolerance,
        passed=found.passed,
        failure="" if found.passed else failure,
    )


def _rounding(predictor: Predictor) -> float:
    """Return how far, relatively, an accelerator's own precision may move an answer."""
    return golden.FLOAT16_RELATIVE if predictor.precision == "float16" else 0.0
