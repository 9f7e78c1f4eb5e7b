"""Replaying a file's golden vectors on a device."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgecv.core.apart import Apart
from edgecv.core.errors import ConfigError
from edgecv.core.progress import QUIET, Reporter
from edgecv.core.shown import Shown
from edgecv.jobs import meaning
from edgecv.jobs.agreement import Agreement, compare
from edgecv.jobs.evaluate import EvaluationRequest, open_predictor
from edgecv.modelio.model_file import model_file
from edgecv.runtime import Predictor, golden
from edgecv.values.kind import Kind
from edgecv.values.run_options import DEFAULTS, RunOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification(Shown):
    """Whether a file still answers its golden vectors as it did when it was made.

    Attributes:
        max_abs_diff: Largest difference of an output, in its real unit; `tolerance` is the largest allowed.
        failure: The sentence for the user when it did not pass.
        device: What ran it; `kind` "simulated" when that is emulated.
        agreement: How a device's raw outputs compare with this host's on the same inputs; None for this host itself.
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


def verify(
    file: Path,
    *,
    options: RunOptions = DEFAULTS,
    device: str = "local",
    devices: Path | None = None,
    reporter: Reporter = QUIET,
) -> Verification:
    """Replay a file's golden vectors on a device; on another than this host, compare its raw outputs with this host's.

    Raises:
        ConfigError: The device is unknown.
        UnsupportedModelError: The file holds none, or cannot be read.
        DeviceError: The device failed, or the accelerator cannot take the file.
    """
    if model_file(file).format == "bundle":
        return _verify_bundle(file, options, device)
    request = EvaluationRequest(options=options, device=device, devices=devices)
    with open_predictor(file, request) as predictor:
        meaning.check_steps(file, predictor.spec, reporter)
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
