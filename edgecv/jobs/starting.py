"""What a benchmark on a GPU says besides latency: how files start, and which layers are refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import edgecv.bench as bench
from edgecv.bench import CaseResult, DeviceResult
from edgecv.core.progress import Reporter
from edgecv.jobs import delegates
from edgecv.modelio.model_file import model_file
from edgecv.values.latency import DeviceFailure

LOCAL = "local"


def with_startup(found: Sequence[DeviceResult], reporter: Reporter) -> tuple[DeviceResult, ...]:
    """Add how each file starts with and without its programs compiled, where LiteRT's GPU accelerator ran it here."""
    return tuple(
        replace(result, results=tuple(_started(one, result.device, reporter) for one in result.results))
        for result in found
    )


def with_layers(found: Sequence[DeviceResult], files: Sequence[Path]) -> tuple[DeviceResult, ...]:
    """Add to refusals which operators of which source layers a GPU does not take."""
    by_name = {file.name: file for file in files}
    return tuple(
        replace(result, failures=tuple(_explained(failure, by_name) for failure in result.failures)) for result in found
    )


def _started(one: CaseResult, device: bench.Device, reporter: Reporter) -> CaseResult:
    if one.case.accelerator != "gpu" or device.name != LOCAL or model_file(one.case.path).format != "tflite":
        return one
    started = bench.measure_startup(one.case, device, reporter=reporter)
    latency = replace(one.latency, startup=started.startup, adapter=started.adapter, precision=started.precision)
    return replace(one, latency=latency)


def _explained(failure: DeviceFailure, files: dict[str, Path]) -> DeviceFailure:
    file = files.get(failure.artifact)
    if failure.error != "PartialAccelerationError" or file is None:
        return failure
    told = delegates.left_out(file)
    return replace(failure, message=f"{failure.message}\n  {told}", hint=delegates.HINT) if told else failure
