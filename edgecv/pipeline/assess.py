"""Measuring artifacts from paths: accuracy, golden vectors, single images."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgecv import runtime
from edgecv.bench import open_device
from edgecv.bench.remote import open_on_device
from edgecv.errors import ConfigError
from edgecv.evaluate import KerasPredictor, evaluate
from edgecv.evaluations import Evaluation
from edgecv.kinds import Kind
from edgecv.manifest import Manifest
from edgecv.pipeline import delegates, models
from edgecv.pipeline.agreement import Agreement, compare
from edgecv.progress import QUIET, Reporter
from edgecv.runtime import Predictor, golden
from edgecv.runtime.container import read_manifest
from edgecv.specs import ModelSpec
from edgecv.targets import vulkan


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationRequest:
    """On what, and with what, to evaluate a file. None takes the default; `data` None the training data.

    Attributes:
        device: "local" runs it in this process; any other name in an agent there.
        devices: The user's file of devices.
        partial: On a GPU, run refused operators on the CPU, with a warning, instead of refusing the file.
        precision: On a GPU, "float16" or "float32"; None leaves it to the accelerator.
        program_cache: Folder of compiled programs, for a GPU.
    """

    data: str | None = None
    split: str = "test"
    spec: Path | None = None
    engine: str | None = None
    accelerator: str = "cpu"
    partial: bool = False
    precision: str | None = None
    program_cache: Path | None = None
    device: str = "local"
    devices: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
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


def open_predictor(file: Path, request: EvaluationRequest) -> Any:
    """Open any model file as a predictor: artifacts by the on-device runtime, keras models by tensorflow.

    Raises:
        ConfigError, UnsupportedModelError: The file cannot be opened.
        DeviceError: The accelerator cannot take it.
    """
    if is_keras(file):
        if request.device != "local":
            raise ConfigError(f"{file}: devices run .tflite and .onnx files", hint=f"edgecv convert {file}")
        return KerasPredictor(models.load(models.Source(path=file, spec=request.spec)))
    spec = models.read_spec(request.spec) if request.spec else None
    if request.device != "local":
        return open_on_device(
            file,
            open_device(request.device, request.devices),
            engine=request.engine,
            accelerator=request.accelerator,
            partial=request.partial,
            precision=request.precision,
            spec=spec,
        )
    return open_artifact(
        file,
        engine=request.engine,
        accelerator=request.accelerator,
        partial=request.partial,
        precision=request.precision,
        program_cache=request.program_cache,
        spec=spec,
    )


def open_artifact(
    file: Path,
    *,
    engine: str | None = None,
    accelerator: str = "cpu",
    partial: bool = False,
    precision: str | None = None,
    program_cache: Path | None = None,
    spec: ModelSpec | None = None,
) -> Predictor:
    """Open an artifact with the on-device runtime; for the GPU, with the Vulkan driver that this host has.

    That driver may be a software renderer: the predictor says so, and whoever reports its figures labels them.

    Raises:
        ConfigError, UnsupportedModelError, MissingDependencyError, DeviceError: As `runtime.load`.
        PartialAccelerationError: An operator is refused, and `partial` is false; named with its source layer.
    """
    if accelerator == "gpu":
        vulkan.activate_first()
    with delegates.naming_layers(file):
        return runtime.load(
            file,
            engine=engine,
            accelerator=accelerator,
            strict=not partial,
            precision=precision,
            program_cache=program_cache,
            spec=spec,
        )


def is_keras(file: Path) -> bool:
    """Say whether a path is a keras model by its name: `.keras`, `.h5`, `.hdf5`, or a folder."""
    return file.suffix in {".keras", ".h5", ".hdf5"} or file.is_dir()


def manifest_of(file: Path) -> Manifest | None:
    """Return the manifest inside a file, None when it has none. Raises as `read_manifest` does."""
    return None if file.is_dir() or file.suffix in {".h5", ".hdf5"} else read_manifest(file)


def evaluate_file(file: Path, request: EvaluationRequest, *, reporter: Reporter = QUIET) -> Evaluation:
    """Evaluate one file on one split of a data set.

    Raises:
        ConfigError, DataError: The data set is wrong or does not fit the model's labels.
        UnsupportedModelError, DeviceError: The file cannot be run.
    """
    with open_predictor(file, request) as predictor:
        dataset = models.open_data(request.data, manifest_of(file))
        delegates.remark(predictor, reporter)
        delegates.warn_wrong(file, request.accelerator, reporter)
        delegates.warn_float16(file, predictor, dataset, request.split, reporter)
        split = dataset.split(request.split)
        found = evaluate(predictor, split, dataset.name, targets=dataset.targets, name=file.name, reporter=reporter)
    return replace(found, device=request.device, kind=getattr(predictor, "kind", found.kind))


def verify(
    file: Path,
    *,
    device: str = "local",
    engine: str | None = None,
    accelerator: str = "cpu",
    partial: bool = False,
    precision: str | None = None,
    devices: Path | None = None,
) -> Verification:
    """Replay a file's golden vectors on a device; on another than this host, compare its raw outputs with this host's.

    Raises:
        ConfigError: The device is unknown.
        UnsupportedModelError: The file holds none, or cannot be read.
        DeviceError: The device failed, or the accelerator cannot take the file.
    """
    request = EvaluationRequest(
        engine=engine,
        accelerator=accelerator,
        partial=partial,
        precision=precision,
        device=device,
        devices=devices,
    )
    with open_predictor(file, request) as predictor:
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


def _rounding(predictor: Predictor) -> float:
    """Return how far, relatively, an accelerator's own precision may move an answer."""
    return golden.FLOAT16_RELATIVE if predictor.precision == "float16" else 0.0


def run(
    file: Path,
    image: Path,
    *,
    top: int = 5,
    spec: Path | None = None,
    engine: str | None = None,
    accelerator: str = "cpu",
    partial: bool = False,
    precision: str | None = None,
    reporter: Reporter = QUIET,
) -> dict[str, Any]:
    """Return what a file says of one image: {"file", "image", "engine", "labels": [{"label", "score"}], "heads"}.

    "heads" maps the name of every head to such a list; "labels" is that of the first.

    Raises:
        DataError: The image is missing, corrupt, or has the wrong channels.
        ConfigError, UnsupportedModelError, DeviceError: The file cannot be run.
    """
    request = EvaluationRequest(spec=spec, engine=engine, accelerator=accelerator, partial=partial, precision=precision)
    with open_predictor(file, request) as predictor:
        delegates.warn_wrong(file, accelerator, reporter)
        prediction = predictor.predict(image)
        heads = {
            name: [{"label": label, "score": float(score)} for label, score in ranked[:top]]
            for name, ranked in prediction.heads.items()
        }
        first = heads[predictor.spec.head.name]
        return {"file": str(file), "image": str(image), "engine": predictor.engine, "labels": first, "heads": heads}
