"""From raw launches to latencies: when to stop, the ratio, percentiles, and what to warn of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from edgecv.bench import noise, statistics, sustained
from edgecv.bench.cases import BenchCase, BenchPlan
from edgecv.bench.devices.base import Device
from edgecv.bench.noise import uses_cpu_time
from edgecv.bench.records import CaseResult, Launch, Measurement, Run
from edgecv.bench.states import conditions
from edgecv.values.latency import Latency


def results(
    cases: Sequence[BenchCase],
    baseline: BenchCase | None,
    done: Sequence[Measurement],
    device: Device,
    plan: BenchPlan,
) -> tuple[CaseResult, ...]:
    """Return the baseline's result, pooled over all launches that it took part in, and each case's."""
    if plan.sustained_s is not None:
        everything = (*((baseline,) if baseline else ()), *cases)
        return tuple(
            CaseResult(case=case, latency=_sustained(case, measurement, baseline, device, plan))
            for case, measurement in zip(everything, done, strict=False)
        )
    governor = device.facts().get("governor")
    found = []
    if baseline is not None:
        shared = [launch.baseline or launch.case for measurement in done for launch in measurement.launches]
        latency = _latency(baseline, shared, device, None, noise.run_warnings(shared, governor))
        found.append(CaseResult(case=baseline, latency=latency))
    for case, measurement in zip(cases, done, strict=False):
        runs = [launch.case for launch in measurement.launches]
        compared = ratio(measurement.launches, plan)
        warnings = noise.run_warnings(runs, governor) + noise.ratio_warnings(measurement.launches, compared, plan)
        latency = _latency(case, runs, device, compared, warnings)
        found.append(CaseResult(case=case, latency=latency))
    return tuple(found)


def _sustained(
    case: BenchCase, measurement: Measurement, baseline: BenchCase | None, device: Device, plan: BenchPlan
) -> Latency:
    runs = [launch.case for launch in measurement.launches]
    found = sustained.summarize(runs[0], plan.window_s)
    warnings = noise.sustained_warnings(
        runs, found, device.facts().get("governor"), compared=baseline not in (None, case)
    )
    latency = _latency(case, runs, device, None, warnings)
    return replace(latency, mode="sustained", sustained=found)


def is_enough(launches: Sequence[Launch], plan: BenchPlan) -> bool:
    """Say whether a case needs no further launch: narrow enough, or out of launches or seconds."""
    if len(launches) < plan.min_launches:
        return False
    if len(launches) >= plan.max_launches or sum(launch.seconds for launch in launches) >= plan.max_seconds:
        return True
    found = ratio(launches, plan)
    return found is None or found.width <= plan.target_width


def ratio(launches: Sequence[Launch], plan: BenchPlan) -> statistics.Ratio | None:
    """Return the case's time over the baseline's; None when it ran alone, or only one of the two was measured."""
    pairs = [(launch.case, launch.baseline) for launch in launches if launch.baseline is not None]
    if not pairs or any(case.kind != base.kind for case, base in pairs):
        return None
    logs = [_log_ratios(case, baseline) for case, baseline in pairs]
    return statistics.ratio_interval(logs, np.random.default_rng((plan.seed, len(logs))))


def _log_ratios(case: Run, baseline: Run) -> statistics.Array:
    """Return the log ratio of each round's elapsed times; of CPU times where most rounds were interrupted.

    A process of one thread that waits for nothing spends its elapsed time on the CPU, but for what others take of it.
    """
    hit = np.array([bool(switches) for switches in case.switches]) | np.array([bool(s) for s in baseline.switches])
    if uses_cpu_time(case, baseline):
        return statistics.log_ratios(case.cpu_ms, baseline.cpu_ms, np.zeros_like(hit))
    return statistics.log_ratios(case.wall_ms, baseline.wall_ms, hit)


def _latency(
    case: BenchCase,
    runs: Sequence[Run],
    device: Device,
    found: statistics.Ratio | None,
    warnings: tuple[str, ...],
) -> Latency:
    samples = tuple(sample for run in runs for sample in run.wall_ms)
    p50, p90, p99 = statistics.percentiles(samples)
    peaks = [run.peak_rss_bytes for run in runs if run.peak_rss_bytes is not None]
    interval = None if found is None or found.low is None or found.high is None else (found.low, found.high)
    return Latency(
        device=device.name,
        engine=runs[0].engine,
        accelerator=runs[0].accelerator,
        threads=case.threads,
        kind=runs[0].kind,
        load_ms=float(np.median([run.load_ms for run in runs])),
        first_ms=float(np.median([run.first_ms for run in runs])),
        p50=p50,
        p90=p90,
        p99=p99,
        samples=samples,
        ratio_to_baseline=None if found is None else found.value,
        ratio_ci95=interval,
        peak_rss_bytes=max(peaks, default=None),
        warnings=warnings,
        adapter=runs[0].adapter,
        conditions=conditions(runs),
    )
