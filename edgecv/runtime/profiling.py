"""Time per operator: LiteRT's profiler, ONNX Runtime's, or the `benchmark_model` program where neither is there.

Profilers read clocks between operators and keep records, so a profiled inference is slower than a plain one, and the
times here say where time goes, not how long an inference takes. tflite-runtime's Python package has no profiler.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence

import numpy as np
from numpy.typing import NDArray

from edgecv.core.errors import ConfigError, MissingDependencyError, UnsupportedModelError
from edgecv.core.optional import available, require
from edgecv.runtime.container import check_tflite, sniff
from edgecv.runtime.engines.native_log import captured
from edgecv.runtime.op_records import Record, Runs
from edgecv.runtime.tensors import seeded_input

WARMUP_RUNS = 5
MIN_RUNS = 5
# LiteRtProfilerEventType: an operator of the file, and an operator inside a delegate. Source: litert_profiler_event.h.
OPERATOR, IN_DELEGATE = 2, (4, 8)
_DELEGATES = ("delegate", "tflitexnnpack")


def answer(request: Dict[str, Any]) -> Dict[str, Any]:
    """Answer the agent's command `profile`: source, runs, ops, inference_ms, resolution_ms, note."""
    path = request.get("path")
    if not isinstance(path, str):
        raise ConfigError(f"'path' must be a str, got {path!r}")
    return profile(
        path,
        engine=request.get("engine"),
        accelerator=str(request.get("accelerator") or "cpu"),
        threads=int(request.get("threads") or 1),
        seed=int(request.get("seed") or 0),
        runs=int(request.get("runs") or 100),
        seconds=float(request.get("seconds") or 5.0),
    )


def profile(
    path: str,
    *,
    engine: Optional[str] = None,
    accelerator: str = "cpu",
    threads: int = 1,
    seed: int = 0,
    runs: int = 100,
    seconds: float = 5.0,
) -> Dict[str, Any]:
    """Profile a file's operators.

    Args:
        path: A .tflite or .onnx.
        engine: As `open_session` takes it; None: what fits and can profile.
        accelerator: "cpu"; nothing else can be profiled here.
        threads: Of the interpreter.
        seed: Of the inputs.
        runs: Profiled inferences; fewer, but `MIN_RUNS`, when `seconds` are over.

    Returns:
        JSON data: source, runs, ops (name, op, index, node, ms), inference_ms, resolution_ms and note. Times are means
        over the middle half of the runs.

    Raises:
        UnsupportedModelError: Nothing here profiles such a file on such an accelerator.
        MissingDependencyError: What would is not installed.
    """
    if accelerator != "cpu":
        raise UnsupportedModelError(f"operators on the accelerator '{accelerator}' cannot be profiled, only on the cpu")
    profiler = _choose(sniff(path), engine)
    if profiler is not _onnxruntime:
        check_tflite(path)
    return averaged(profiler(path, threads, seed, _Limit(runs, seconds)))


class _Limit:
    """Says whether another run is wanted."""

    def __init__(self, runs: int, seconds: float) -> None:
        self._runs = runs
        self._end = time.monotonic() + seconds

    def reached(self, done: int) -> bool:
        return done >= self._runs or (done >= MIN_RUNS and time.monotonic() >= self._end)

    @property
    def runs(self) -> int:
        return self._runs


Profiler = Callable[[str, int, int, _Limit], Runs]


def _choose(format: str, engine: Optional[str]) -> Profiler:
    if format == "onnx":
        return _onnxruntime
    if engine in (None, "litert") and available("ai_edge_litert"):
        return _litert
    from edgecv.runtime import benchmark_model

    if benchmark_model.program() is not None:
        return _benchmark_model
    raise MissingDependencyError(
        "tflite-runtime's Python package has no operator profiler, and there is no benchmark_model on PATH",
        hint="install ai-edge-litert 2.1 or newer, or put TensorFlow's benchmark_model on the device's PATH",
    )


def _litert(path: str, threads: int, seed: int, limit: _Limit) -> Runs:
    from edgecv.runtime.engines.litert_capi import ProfiledModel

    records: List[List[Record]] = []
    inference: List[float] = []
    # LiteRT's library logs each step to stderr.
    with captured(), ProfiledModel(path, threads, lambda shape, dtype: seeded_input(shape, dtype, seed)) as model:
        for _ in range(WARMUP_RUNS):
            model.invoke()
        while not limit.reached(len(records)):
            events = model.invoke()
            records.append([record for record in map(_litert_record, events) if record is not None])
            inference.append(float(sum(e.elapsed_us for e in events if e.tag == "Invoke" and e.kind == 1)))
    return Runs(f"LiteRT's profiler ({_version('ai-edge-litert')}, C API)", records, inference, 1.0)


def _litert_record(event: Any) -> Optional[Record]:
    if event.kind == OPERATOR and not event.tag.lower().startswith(_DELEGATES):
        return Record(event.tag, event.tag, event.index, None, event.elapsed_us)
    return Record(event.tag, "", None, None, event.elapsed_us) if event.kind in IN_DELEGATE else None


def _onnxruntime(path: str, threads: int, seed: int, limit: _Limit) -> Runs:
    runtime = require("onnxruntime", why="to profile .onnx files")
    from edgecv.runtime.engines.onnx import CPU, OnnxSession, exact_session

    plain = OnnxSession(path, threads, ["CPUExecutionProvider"])
    feed = {info.name: seeded_input(info.shape, info.dtype, seed) for info in plain.inputs}
    plain.close()
    with tempfile.TemporaryDirectory(prefix="edgecv-profile-") as folder:

        def options() -> Any:
            made = runtime.SessionOptions()
            made.intra_op_num_threads, made.inter_op_num_threads = threads, 1
            made.log_severity_level = 3
            made.enable_profiling, made.profile_file_prefix = True, str(Path(folder) / "run")
            return made

        session = exact_session(path, options, [CPU]) or runtime.InferenceSession(path, options(), providers=[CPU])
        done = 0
        while not limit.reached(done):
            session.run(None, feed)
            done += 1
        events = json.loads(Path(session.end_profiling()).read_text())
    return read_onnx_trace(events, f"ONNX Runtime's profiler (onnxruntime {runtime.__version__})")


def read_onnx_trace(events: Sequence[Dict[str, Any]], source: str) -> Runs:
    """Read ONNX Runtime's trace: one `model_run` per inference, and a `NODE_kernel_time` for each of its operators.

    Its optimiser fuses and renames nodes, so `node` is a name of the file only where it left the node alone.
    """
    records: List[List[Record]] = []
    inference: List[float] = []
    current: List[Record] = []
    for event in sorted(events, key=lambda e: e.get("ts", 0) + e.get("dur", 0)):
        name, duration = str(event.get("name", "")), float(event.get("dur", 0))
        if event.get("cat") == "Node" and name.endswith("_kernel_time"):
            node, op = name[: -len("_kernel_time")], str(event.get("args", {}).get("op_name", ""))
            current.append(Record(op, op, None, node, duration))
        elif event.get("cat") == "Session" and name == "model_run":
            records.append(current)
            inference.append(duration)
            current = []
    kept = slice(min(WARMUP_RUNS, max(0, len(records) - 1)), None)
    return Runs(source, records[kept], inference[kept], 1.0)


def _benchmark_model(path: str, threads: int, seed: int, limit: _Limit) -> Runs:
    from edgecv.runtime import benchmark_model

    return benchmark_model.profile(path, threads, limit.runs)


def averaged(runs: Runs) -> Dict[str, Any]:
    """Return profiled runs as the answer to `profile`: means over the middle half of the runs that look like most.

    Raises:
        UnsupportedModelError: No operator was recorded.
    """
    # An operator that a run lacks would shift all after it: keep the runs that look like most.
    shapes = [tuple((r.name, r.index, r.node) for r in records) for records in runs.records]
    usual = max(set(shapes), key=shapes.count, default=())
    kept = [i for i, shape in enumerate(shapes) if shape == usual]
    if not usual or not kept:
        raise UnsupportedModelError("the profiler recorded no operator", hint="is the file empty?")
    times = np.array([[record.us for record in runs.records[i]] for i in kept])
    means = _midmean(times) / 1e3
    rows = runs.records[kept[0]]
    return {
        "source": runs.source,
        "runs": len(kept),
        "ops": [
            {"name": row.name, "op": row.op, "index": row.index, "node": row.node, "ms": float(mean)}
            for row, mean in zip(rows, means)
        ],
        "inference_ms": float(_midmean(np.array([[runs.inference_us[i]] for i in kept]))[0]) / 1e3,
        "resolution_ms": runs.resolution_us / 1e3,
        "note": runs.note,
    }


def _midmean(times: NDArray[Any]) -> NDArray[Any]:
    """Return the mean of the middle half of each column: whole microseconds average to finer ones."""
    cut = times.shape[0] // 4
    middle = np.sort(times, axis=0)[cut : times.shape[0] - cut]
    return np.asarray(middle.mean(axis=0))


def _version(distribution: str) -> str:
    import importlib.metadata

    try:
        return f"{distribution} {importlib.metadata.version(distribution)}"
    except importlib.metadata.PackageNotFoundError:
        return distribution
