"""Quantised files that are slower than float: found by intervals, explained by kernels."""

from __future__ import annotations

import dataclasses

import pytest

from edgecv.report import html, markdown, slower
from edgecv.report.slow_files import layers
from edgecv.values.latency import OpProfile, OpTime


def timed(artifact, ratio, spread=1.02, profile=None):
    latency = dataclasses.replace(
        artifact.latency[0],
        ratio_to_baseline=ratio,
        ratio_ci95=(ratio / spread, ratio * spread),
        profile=profile,
    )
    return dataclasses.replace(artifact, latency=(latency,))


def profile(*rows):
    ops = tuple(
        OpTime(name=name, op="CONV_2D", index=i, layer=layer, ms=ms, share=0.5, certain=True)
        for i, (layer, name, ms) in enumerate(rows)
    )
    return OpProfile(source="test", runs=1, ops=ops, sum_ms=1.0, inference_ms=1.0, resolution_ms=0.001)


def pair_of(report, float_ratio, int8_ratio, spread=1.02, profiles=(None, None)):
    first, int8 = report.artifacts[0], report.artifacts[3]
    assert (first.scheme, int8.scheme) == ("float32", "int8")
    artifacts = (timed(first, float_ratio, spread, profiles[0]), timed(int8, int8_ratio, spread, profiles[1]))
    return dataclasses.replace(report, artifacts=artifacts)


def test_a_slower_file_is_found_by_its_interval(report):
    (pair,) = slower(pair_of(report, 1.0, 1.5))
    assert pair.ratio == pytest.approx(1.5)
    # Two intervals of a factor 1.02 each: of the quotient, 1.02 ** sqrt(2).
    assert pair.ci95[0] == pytest.approx(1.5 / 1.02**2**0.5)
    assert slower(pair_of(report, 1.0, 1.02)) == ()
    assert slower(pair_of(report, 1.0, 0.5)) == ()
    assert slower(pair_of(report, 1.0, 1.5, spread=1.5)) == ()


def test_files_of_two_engines_are_not_compared(report):
    made = pair_of(report, 1.0, 1.5)
    other = dataclasses.replace(made.artifacts[1].latency[0], engine="tflite-runtime 2.14.0")
    artifacts = (made.artifacts[0], dataclasses.replace(made.artifacts[1], latency=(other,)))
    assert slower(dataclasses.replace(made, artifacts=artifacts)) == ()


FLOAT = profile(("c1", "Convolution (NHWC, F32) IGEMM", 0.1), ("f6", "Fully Connected (NC, F32) GEMM", 0.2))
INT8 = profile(
    ("c1", "Convolution (NHWC, QC8) IGEMM", 0.4),
    ("s2", "AVERAGE_POOL_2D", 0.01),
    ("f6", "Fully Connected (NC, QS8) GEMM", 0.1),
    ("", "Quantize", 0.05),
)


def test_the_kernels_that_lose_time_are_named(report):
    made = pair_of(report, 1.0, 1.5, profiles=(FLOAT, INT8))
    (pair,) = slower(made)
    first = layers(pair)[0]
    assert (first.layer, first.excess) == ("c1", pytest.approx(0.3))
    assert [one.layer for one in layers(pair)] == ["c1", "CONV_2D", "s2", "f6"]
    for text in (html.render(made), markdown.render(made).replace("\\", "")):
        assert "83% of what is lost is in c1: Convolution (NHWC, QC8) IGEMM takes 0.400 ms" in text
        assert "leaves to TensorFlow Lite" in text
        assert "own: s2 (AVERAGE_POOL_2D)." in text


def test_without_a_profile_the_command_that_makes_one_is_named(report):
    text = markdown.render(pair_of(report, 1.0, 1.5))
    assert "takes 1.50" in text
    assert "edgecv bench --profile" in text
