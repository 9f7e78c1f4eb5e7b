"""A report of two small artifacts with round figures."""

from __future__ import annotations

import pytest

from edgecv.values.inspection import MappingSummary
from edgecv.values.latency import Latency
from edgecv.values.report import ArtifactResult, DatasetInfo, HeadResult, Report
from edgecv.values.scores import Metric

LATENCY = Latency(
    device="local", engine="ai-edge-litert 2.3.0", accelerator="cpu", threads=1, kind="measured", load_ms=1.0,
    first_ms=1.0, p50=0.5, p90=0.6, p99=0.7, samples=(0.5,), ratio_to_baseline=0.5, ratio_ci95=(0.48, 0.52),
    peak_rss_bytes=1, arena_bytes=1,
)  # fmt: skip

TOP1 = Metric("top1")
MAE = Metric("mae", unit="label", better="lower")
HEAD = HeadResult(
    head="digit", task="classification", metric=TOP1, value=0.98, drop=0.0, drop_ci95=(-0.01, 0.01),
    figures={"top3": 0.99, "odd": None}, per_label={"7": {"recall": 0.9}},
)  # fmt: skip


def artifact(name: str) -> ArtifactResult:
    return ArtifactResult(
        name=name, path=f"{name}.tflite", format="tflite", scheme="int8", method="ptq", sparsity=None, target="edgetpu",
        size_bytes=1000, sha256="0" * 64, metric=TOP1, value=0.98, drop=0.0, drop_ci95=(-0.01, 0.01),
        mapping=MappingSummary(target="edgetpu", n_ops=10, n_mapped=9, unmapped=(), kind="predicted"),
        latency=(LATENCY,), metric_kind="measured", heads=(HEAD,),
    )  # fmt: skip


@pytest.fixture(scope="session")
def report() -> Report:
    return Report(
        created="2025-11-21T00:00:00+00:00",
        host={},
        dataset=DatasetInfo(name="digits", split="test", n=360, sha256="0" * 64),
        baseline=None,
        artifacts=(artifact("net-int8"), artifact("net-int8-qat")),
    )


@pytest.fixture(scope="session")
def gates_file(tmp_path_factory):
    """Write a gates file from text and return its path."""

    def write(text: str):
        path = tmp_path_factory.mktemp("gates") / "gates.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write
