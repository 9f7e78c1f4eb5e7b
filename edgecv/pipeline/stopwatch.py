"""Timing a candidate network against its parent while channels are chosen."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from edgecv import bench
from edgecv.bench import BenchCase
from edgecv.convert.freeze import freeze
from edgecv.convert.tflite import convert_float
from edgecv.errors import DeviceError
from edgecv.files import write_bytes
from edgecv.runtime.engines.native_log import captured


@contextlib.contextmanager
def stopwatch(parent: Any, *, wanted: bool, seed: int) -> Iterator[Callable[[Any], float] | None]:
    """Yield what measures a candidate's float32 .tflite as a share of the parent's, interleaved, on this machine's CPU.

    Yields None when it is not `wanted`.
    """
    if not wanted:
        yield None
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        baseline = BenchCase(name="parent", path=str(_written(parent, folder / "parent.tflite")))

        def measure(candidate: Any) -> float:
            case = BenchCase(name="candidate", path=str(_written(candidate, folder / "candidate.tflite")))
            _, found = bench.bench(
                [case], baseline=baseline, device=bench.open_device("local"), plan=bench.plan("quick", seed=seed)
            )
            ratio = found.latency.ratio_to_baseline
            if ratio is None:
                raise DeviceError("a candidate could not be compared with its parent", hint="use --macs instead")
            return ratio

        yield measure


def _written(model: Any, path: Path) -> Path:
    with captured():
        write_bytes(path, convert_float(freeze(model), "float32"))
    return path
