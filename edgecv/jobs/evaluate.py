"""Measuring artifacts from paths: accuracy, golden vectors, single images."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgecv import runtime
from edgecv.bench import open_device
from edgecv.bench.remote import open_on_device
from edgecv.core.errors import ConfigError
from edgecv.core.progress import QUIET, Reporter
from edgecv.evaluate import KerasPredictor, assess
from edgecv.jobs import delegates, models
from edgecv.runtime import Predictor
from edgecv.runtime.container import read_manifest
from edgecv.targets import vulkan
from edgecv.values.evaluation import Evaluation
from edgecv.values.manifest import Manifest
from edgecv.values.specs import ModelSpec


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
        manifest = manifest_of(file)
        dataset, split = models.judged(request.data, manifest, request.split, reporter)
        delegates.remark(predictor, reporter)
        delegates.warn_wrong(file, request.accelerator, reporter)
        delegates.warn_float16(file, predictor, dataset, split, reporter)
        found = assess(predictor, dataset, split, name=file.name, reporter=reporter)
    return replace(found, device=request.device, kind=getattr(predictor, "kind", found.kind))
