"""Measuring artifacts from paths: accuracy, golden vectors, single images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from edgecv import runtime
from edgecv.bench import open_device
from edgecv.bench.remote import open_on_device
from edgecv.core.errors import ConfigError
from edgecv.core.progress import QUIET, Reporter
from edgecv.evaluate import KerasPredictor, assess
from edgecv.jobs import contract, delegates, float16_arithmetic, meaning, models
from edgecv.modelio.model_file import ModelFile, model_file
from edgecv.runtime import Predictor
from edgecv.runtime.call_settings import with_settings
from edgecv.targets import vulkan
from edgecv.values.evaluation import Evaluation
from edgecv.values.run_options import DEFAULTS, RunOptions
from edgecv.values.spec_file import read_spec
from edgecv.values.specs import ModelSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationRequest:
    """On what, and with what, to evaluate a file. None takes the default; `data` None the training data.

    Attributes:
        source: How a keras model is opened, but for its path and `spec`.
        settings: How answers are read, in place of what the file says, as `runtime.Predictor.predict` takes them.
        options: With what the file is run.
        device: "local" runs it on this host, in a process of its own; any other name in an agent there.
        devices: The user's file of devices.
    """

    data: str | None = None
    split: str = "test"
    spec: Path | None = None
    source: models.Source | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    options: RunOptions = DEFAULTS
    device: str = "local"
    devices: Path | None = None


def open_predictor(file: Path | ModelFile, request: EvaluationRequest, *, reporter: Reporter = QUIET) -> Any:
    """Open any model file as a predictor: keras models by tensorflow, artifacts by the on-device runtime, apart.

    Raises:
        ConfigError, UnsupportedModelError: The file cannot be opened.
        DeviceError: The accelerator cannot take it.
    """
    opened = model_file(file)
    if opened.is_keras or imports(opened, request):
        if request.device != "local":
            raise ConfigError(
                f"{opened.path}: devices run .tflite and .onnx files", hint=f"edgecv convert {opened.path}"
            )
        source = replace(request.source or models.Source(path=opened.path), path=opened.path, spec=request.spec)
        return KerasPredictor(contract.opened(source, request.data, reporter=reporter))
    spec = read_spec(request.spec) if request.spec else None
    if request.device != "local":
        device = open_device(request.device, request.devices)
        return open_on_device(opened.path, device, options=request.options, spec=spec)
    return open_artifact(opened.path, request.options, spec=spec, apart=True)


def imports(opened: ModelFile, request: EvaluationRequest) -> bool:
    """Say whether a float graph is opened as the keras model of its import: nothing says how it is fed and read."""
    if request.source is None or request.device != "local" or opened.format not in ("tflite", "onnx"):
        return False
    bare = opened.manifest is None and (request.spec is None or opened.takes_channels_first)
    return bare and opened.is_float_graph


def open_artifact(
    file: Path, options: RunOptions = DEFAULTS, *, spec: ModelSpec | None = None, apart: bool = False
) -> Predictor:
    """Open an artifact with the on-device runtime; for the GPU, with the Vulkan driver that this host has.

    That driver may be a software renderer: the predictor says so, and whoever reports its figures labels them.
    With `apart`, for files that edgecv did not just make, the interpreter is in a process of its own (`runtime.load`).

    Raises:
        CrashError: With `apart`, the file ends that process or exceeds its limits.
        ConfigError, UnsupportedModelError, MissingDependencyError, DeviceError: As `runtime.load`.
        PartialAccelerationError: An operator is refused, and the options are strict; named with its source layer.
    """
    if options.accelerator == "gpu":
        vulkan.activate_first()
    with delegates.naming_layers(file):
        return runtime.load(file, spec=spec, apart=apart, **options.arguments)


def evaluate_file(file: Path, request: EvaluationRequest, *, reporter: Reporter = QUIET) -> Evaluation:
    """Evaluate one file on one split of a data set.

    Raises:
        ConfigError, DataError: The data set is wrong or does not fit the model's labels.
        UnsupportedModelError: The file cannot be run, or its contract cannot be right.
        DeviceError: The device cannot run it.
    """
    opened = model_file(file)
    with open_predictor(opened, request, reporter=reporter) as predictor:
        if request.settings:
            predictor.spec = with_settings(predictor.spec, request.settings, judged=True)
        dataset, split = models.judged(request.data, opened.manifest, request.split, reporter)
        delegates.remark(predictor, reporter)
        delegates.warn_wrong(opened, request.options.accelerator, reporter)
        delegates.warn_float16(opened, predictor, dataset, split, reporter)
        elsewhere = float16_arithmetic.otherwise_elsewhere(opened, request.device)
        if elsewhere:
            reporter.warn(elsewhere)
        meaning.check_inputs(opened, predictor.spec, reporter)
        meaning.check_steps(opened, predictor.spec, reporter)
        meaning.check_answers(opened, predictor, dataset, split, reporter)
        found = assess(predictor, dataset, split, name=file.name, reporter=reporter)
    meaning.doubt(found, file.name, reporter)
    if models.has_seen(opened.manifest, dataset, split):
        reporter.warn(f"the model was trained or calibrated on {split} of {dataset.name}: other samples judge better")
    kind = getattr(predictor, "kind", found.kind)
    return replace(found, device=request.device, kind=kind, settings=dict(request.settings))
