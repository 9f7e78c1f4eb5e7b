"""The whole loop on this host, with a real agent: what comes back, never how fast."""

from __future__ import annotations

from edgecv.bench import BenchCase, BenchPlan, bench, open_device

TINY = BenchPlan(
    min_launches=3,
    max_launches=3,
    launch_seconds=0.02,
    min_rounds=5,
    max_rounds=10,
    warmup_ms=1.0,
    max_warmup_ms=50.0,
)


def test_a_file_against_itself(onnx_file):
    case = BenchCase(name="gemm", path=str(onnx_file))
    base, found = bench([case], baseline=case, device=open_device("local"), plan=TINY)
    for latency in (base.latency, found.latency):
        assert latency.kind == "measured"
        assert latency.device == "local"
        assert latency.engine.startswith("onnxruntime ")
        assert 15 <= len(latency.samples) <= 30
        assert 0 < latency.p50 <= latency.p90 <= latency.p99
        assert latency.load_ms > 0
        assert latency.first_ms > 0
        assert latency.peak_rss_bytes > 1_000_000
    low, high = found.latency.ratio_ci95
    assert 0 < low <= found.latency.ratio_to_baseline <= high
