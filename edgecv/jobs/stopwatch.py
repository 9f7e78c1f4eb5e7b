"""Timing a candidate network against its parent while channels are chosen.

Native code converts and runs the candidates, so neither happens in this process: a converter that lives through the
run, and the benchmark's own agents. A candidate that they crash on twice is passed over, and the run goes on.
"""

from __future__ import annotations

import contextlib
import math
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import edgecv.bench as bench
from edgecv.bench import BenchCase
from edgecv.core.errors import ConversionError, DeviceError
from edgecv.core.progress import QUIET, Reporter
from edgecv.jobs.candidates import Converter, CrashedError
from edgecv.values.specs import ModelSpec

MOST_SKIPPED = 3
"""Candidates in a row that may be passed over: after so many it is not the candidates."""


@contextlib.contextmanager
def stopwatch(
    parent: Any,
    spec: ModelSpec,
    *,
    wanted: bool,
    seed: int,
    custom_objects: Path | None = None,
    reporter: Reporter = QUIET,
) -> Iterator[Callable[[Any], float] | None]:
    """Yield what measures a candidate's float32 .tflite as a share of the parent's, interleaved, on this machine's CPU.

    It returns infinity, after a warning, for a candidate on which the converter or the interpreter crashed twice. It
    raises ConversionError for one that the converter refuses, and after three crashing candidates in a row. Yields None
    when it is not `wanted`.

    Args:
        parent: A tf_keras model.
        spec: Its contract, and that of all candidates.
        wanted: Whether there is anything to measure.
        seed: Of the order of measurements.
        custom_objects: The user's Python file with classes that the network has.
        reporter: Gets the warnings.

    Raises:
        ConversionError: The parent cannot be converted.
    """
    if not wanted:
        yield None
        return
    with tempfile.TemporaryDirectory() as name, Converter(Path(name), spec, custom_objects) as converter:
        watch = _Stopwatch(converter, Path(name), seed, reporter)
        watch.baseline = BenchCase(name="parent", path=str(watch.retried(watch.converted, parent, "parent")))
        yield watch.measure


@dataclass
class _Stopwatch:
    """Converts and times, each once more where native code crashed."""

    converter: Converter
    folder: Path
    seed: int
    reporter: Reporter
    baseline: BenchCase = field(default_factory=lambda: BenchCase(name="parent", path=""))
    skipped: int = 0

    def measure(self, candidate: Any) -> float:
        try:
            share = float(self.retried(self.share, candidate, "candidate"))
        except (CrashedError, DeviceError) as error:
            self.skipped += 1
            if self.skipped >= MOST_SKIPPED:
                raise ConversionError(
                    f"{self.skipped} candidates in a row could not be converted and timed: {error.message}",
                    hint=error.hint or "use --macs instead",
                ) from error
            self.reporter.warn(f"a candidate is passed over, not timed: {error.message}")
            return math.inf
        self.skipped = 0
        return share

    def retried(self, step: Callable[[Any, str], Any], model: Any, name: str) -> Any:
        try:
            return step(model, name)
        except (CrashedError, DeviceError) as error:
            self.reporter.warn(f"{error.message}; once more")
            return step(model, name)

    def share(self, candidate: Any, name: str) -> float:
        case = BenchCase(name=name, path=str(self.converted(candidate, name)))
        _, found = bench.bench(
            [case], baseline=self.baseline, device=bench.open_device("local"), plan=bench.plan("quick", seed=self.seed)
        )
        ratio = found.latency.ratio_to_baseline
        if ratio is None:
            raise DeviceError("a candidate could not be compared with its parent", hint="use --macs instead")
        return float(ratio)

    def converted(self, model: Any, name: str) -> Path:
        return self.converter.convert(model, self.folder / f"{name}.tflite")
