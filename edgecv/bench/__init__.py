"""Measuring latency: cases, devices, the loop, and ratios with honest intervals."""

from __future__ import annotations

from edgecv.bench.baseline import BaselineEngine, choose_baseline_engine
from edgecv.bench.cases import PLANS, BenchCase, BenchPlan, plan
from edgecv.bench.devices import Device, open_device
from edgecv.bench.loop import bench
from edgecv.bench.records import CaseResult, Measurement
from edgecv.bench.startup import Started, measure_startup
from edgecv.bench.store import ResultsFile
from edgecv.runtime.host import host_facts

__all__ = [
    "PLANS",
    "BaselineEngine",
    "BenchCase",
    "BenchPlan",
    "CaseResult",
    "Device",
    "Measurement",
    "ResultsFile",
    "Started",
    "bench",
    "choose_baseline_engine",
    "host_facts",
    "measure_startup",
    "open_device",
    "plan",
]
