from __future__ import annotations

import math
from dataclasses import replace

import pytest

from edgecv.bench import BenchPlan, noise
from edgecv.bench.records import Launch, Run
from edgecv.bench.statistics import Ratio

QUIET = Run(
    engine="e",
    accelerator="cpu",
    kind="measured",
    cpu=0,
    iterations=1,
    load_ms=1.0,
    first_ms=1.0,
    peak_rss_bytes=1,
    stable=True,
    wall_ms=(1.0,) * 10,
    cpu_ms=(1.0,) * 10,
    switches=(0,) * 10,
)
NARROW = Ratio(value=1.0, low=0.99, high=1.01)


def warnings(runs, governor=None, ratio=NARROW):
    launches = [Launch(case=run, baseline=QUIET, seconds=1.0) for run in runs]
    return noise.run_warnings(runs, governor) + noise.ratio_warnings(launches, ratio, BenchPlan())


def test_quiet_runs_have_no_warnings():
    assert warnings([QUIET] * 4, "performance") == ()
    assert warnings([replace(QUIET, switches=(None,) * 10)]) == ()


@pytest.mark.parametrize(
    ("runs", "governor", "ratio", "words"),
    [
        ([replace(QUIET, switches=(1, 0, 2, 0, 0) * 2)], None, NARROW, "40% of the timed blocks were interrupted"),
        ([replace(QUIET, wall_ms=(1.0,) * 8 + (3.0, 9.0))], None, NARROW, "20% of the samples are far above"),
        ([QUIET, replace(QUIET, wall_ms=(1.5,) * 10)], None, NARROW, "launches of the same file differ by 28%"),
        ([replace(QUIET, stable=False), QUIET], None, NARROW, "1 of 2 processes were still getting faster"),
        ([QUIET], "powersave", NARROW, "governor is 'powersave'"),
        ([QUIET], None, Ratio(value=1.0, low=0.9, high=1.1), "interval is 20.0% wide after 1 launches"),
        ([QUIET], None, Ratio(value=1.0, low=None, high=None), "interval is unknown"),
    ],
)
def test_each_disturbance_is_named_alone(runs, governor, ratio, words):
    (text,) = warnings(runs, governor, ratio)
    assert words in text


def test_the_width_is_relative_to_the_ratio():
    assert Ratio(value=0.5, low=0.45, high=0.55).width == pytest.approx(0.2)
    assert Ratio(value=0.5, low=None, high=None).width == math.inf


def test_cpu_times_are_told():
    busy = replace(QUIET, switches=(1, 1, 1, 0, 0) * 2)
    found = warnings([busy, QUIET])
    assert any("the ratio is of CPU times, not elapsed ones, in 1 of 2 launches" in text for text in found)
    assert not noise.uses_cpu_time(replace(busy, cpu=None), QUIET), "free to move, or of several threads"
    assert not noise.uses_cpu_time(QUIET, QUIET)
