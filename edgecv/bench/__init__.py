"""Measuring latency: cases, devices, the loop, and ratios with honest intervals."""

from __future__ import annotations

from edgecv.bench.cases import PLANS, BenchCase, BenchPlan, plan
from edgecv.bench.devices import Device, open_device
from edgecv.bench.loop import bench
from edgecv.bench.records import CaseResult, Measurement
from edgecv.bench.store import ResultsFile

__all__ = [
    "PLANS",
    "BenchCase",
    "BenchPlan",
    "CaseResult",
    "Device",
    "Measurement",
    "ResultsFile",
    "bench",
    "open_device",
    "plan",
]
