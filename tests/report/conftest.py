"""A report like the demo's: 14 LeNet-5 files with invented but plausible figures, made from a seed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgecv.values.inspection import MappingSummary, Unmapped
from edgecv.values.latency import Latency
from edgecv.values.report import ArtifactResult, Baseline, DatasetInfo, HeadResult, LatencySummary, Report
from edgecv.values.scores import Metric, Table

TOP1 = Metric("top1")
MAE = Metric("mae", unit="label", better="lower")
LABELS = tuple(str(digit) for digit in range(10))

# (scheme, method, sparsity, size share, latency ratio, top-1)
VARIANTS = [
    ("float32", "none", None, 1.0, 0.62, 0.9861),
    ("float16", "none", None, 0.51, 0.66, 0.9861),
    ("dynamic", "ptq", None, 0.27, 0.58, 0.9833),
    ("int8", "ptq", None, 0.28, 0.41, 0.9806),
    ("int8", "qat", None, 0.28, 0.42, 0.9889),
    ("float32", "none", 0.5, 1.0, 0.63, 0.9833),
    ("int8", "ptq", 0.5, 0.28, 0.40, 0.9778),
]


def make_latency(rng: Any, engine: str, ratio: float, **changes: Any) -> Latency:
    samples = 0.4 * ratio * rng.lognormal(0.0, 0.06, 240)
    p50, p90, p99 = np.percentile(samples, (50, 90, 99))
    figures: dict[str, Any] = {
        "device": "local",
        "engine": engine,
        "accelerator": "cpu",
        "threads": 1,
        "kind": "measured",
        "load_ms": 1.9,
        "first_ms": 0.8,
        "p50": float(p50),
        "p90": float(p90),
        "p99": float(p99),
        "samples": tuple(map(float, samples)),
        "ratio_to_baseline": ratio,
        "ratio_ci95": (ratio * 0.975, ratio * 1.02),
        "peak_rss_bytes": 61_000_000,
        "arena_bytes": 24_576,
    }
    return Latency(**{**figures, **changes})


def make_head(value: float, drop: float, confusion: Any) -> HeadResult:
    cells = tuple(tuple(map(int, row)) for row in confusion)
    return HeadResult(
        head="digit",
        task="classification",
        metric=TOP1,
        value=value,
        drop=drop,
        drop_ci95=(drop - 0.006, drop + 0.007),
        figures={"top1": value, "top3": 0.9972},
        tables=(Table("confusion", LABELS, LABELS, cells, corner="true \\ predicted"),),
    )


def make_artifact(rng: Any, format: str, variant: tuple[Any, ...]) -> ArtifactResult:
    scheme, method, sparsity, share, ratio, value = variant
    parts = [scheme] + [method] * (method != "none") + ["pruned"] * (sparsity is not None)
    value += float(rng.integers(-1, 2)) / 360
    drop = 0.9861 - value
    unmapped = () if scheme == "int8" else (Unmapped(index=0, op="CONV_2D", layer="c1", reason="its input is float32"),)
    engine = "ai-edge-litert 2.3.0" if format == "tflite" else "onnxruntime 1.23.0"
    confusion = np.eye(10, dtype=int) * 35
    confusion[8, 1] = round(360 * (1 - value))
    own = MappingSummary(target="cpu", n_ops=9, n_mapped=9, unmapped=(), kind="measured")
    edgetpu = MappingSummary(target="edgetpu", n_ops=9, n_mapped=9 - len(unmapped), unmapped=unmapped, kind="predicted")
    return ArtifactResult(
        name=f"lenet5-{'-'.join(parts)}-{format}",
        path=f"artifacts/lenet5-{'-'.join(parts)}.{format}",
        format=format,
        scheme=scheme,
        method=method,
        sparsity=sparsity,
        target="cpu",
        size_bytes=int(250_000 * share * (1.04 if format == "onnx" else 1.0)),
        sha256=f"{len(parts):064x}",
        metric=TOP1,
        metric_kind="measured",
        value=value,
        drop=drop,
        drop_ci95=(drop - 0.006, drop + 0.007),
        mapping=own,
        other_mappings=(edgetpu,) if format == "tflite" else (),
        latency=(make_latency(rng, engine, ratio * (1.0 if format == "tflite" else 1.3)),),
        heads=(make_head(value, drop, confusion),),
    )


@pytest.fixture(scope="session")
def report() -> Report:
    rng = np.random.default_rng(7)
    samples = tuple(map(float, 0.4 * rng.lognormal(0.0, 0.06, 240)))
    latency = LatencySummary(p50=0.4, p90=0.43, p99=0.46, samples=samples)
    return Report(
        created="2025-11-21T01:30:00+00:00",
        host={
            "cpu_model": "Example CPU @ 2.5 GHz",
            "usable_cpus": 2,
            "memory_bytes": 3 << 30,
            "python": "3.11.2",
            "gpu": None,
        },
        dataset=DatasetInfo(name="digits", split="test", n=360, sha256="ab" * 32, labels=LABELS),
        baseline=Baseline(
            engine="tensorflow 2.21.0",
            accelerator="cpu",
            device="local: Example CPU @ 2.5 GHz, 1 thread",
            metric=TOP1,
            value=0.9861,
            latency_ms=latency,
            kind="measured",
        ),
        artifacts=tuple(make_artifact(rng, format, variant) for format in ("tflite", "onnx") for variant in VARIANTS),
        warnings=("the host is busy: 3.1 processes were runnable; close other programs and run again",),
    )
