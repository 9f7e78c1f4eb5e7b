"""Measuring latency: cases, devices, the loop, and ratios with honest intervals."""

from __future__ import annotations

from edgecv.bench.baseline import BaselineEngine, choose_baseline_engine
from edgecv.bench.batch import DeviceJob, DeviceResult, bench_devices
from edgecv.bench.cases import PLANS, BenchCase, BenchPlan, plan
from edgecv.bench.comparison import Comparison, compare, judge
from edgecv.bench.devices import Device, open_device
from edgecv.bench.loop import Setting, bench
from edgecv.bench.profile import Profiled, checked, profile
from edgecv.bench.records import CaseResult, Measurement
from edgecv.bench.startup import Started, measure_startup
from edgecv.bench.store import ResultsFile
from edgecv.bench.sweep import parse_threads, sweep, sweep_cases, sweep_name
from edgecv.runtime.host import host_facts

__all__ = [
    "PLANS",
    "BaselineEngine",
    "BenchCase",
    "BenchPlan",
    "CaseResult",
    "Comparison",
    "Device",
    "DeviceJob",
    "DeviceResult",
    "Measurement",
    "Profiled",
    "ResultsFile",
    "Setting",
    "Started",
    "bench",
    "bench_devices",
    "checked",
    "choose_baseline_engine",
    "compare",
    "host_facts",
    "judge",
    "measure_startup",
    "open_device",
    "parse_threads",
    "plan",
    "profile",
    "sweep",
    "sweep_cases",
    "sweep_name",
]
