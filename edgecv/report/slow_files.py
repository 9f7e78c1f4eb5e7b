"""Quantised files that are slower than the float32 file of their format, and which kernels make them so."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from edgecv.report import figures as show
from edgecv.values.latency import Latency, OpProfile, OpTime
from edgecv.values.report import ArtifactResult, Report

INTEGER = ("int8", "int16x8", "int4", "mixed", "dynamic")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A quantised file and the float32 file of its format, both timed beside the same baseline.

    Attributes:
        ratio: Time of the quantised file over that of the float one: of the two ratios to the baseline.
        ci95: Its interval, from those of the two ratios.
    """

    file: ArtifactResult
    reference: ArtifactResult
    own: Latency
    other: Latency
    ratio: float
    ci95: tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerTime:
    """What one layer takes in both files, in milliseconds as profiled, and the kernels that run it."""

    layer: str
    ms: float
    float_ms: float
    kernels: tuple[str, ...]
    float_kernels: tuple[str, ...]

    @property
    def excess(self) -> float:
        """How much longer the quantised file takes."""
        return self.ms - self.float_ms


def slower(report: Report) -> tuple[Pair, ...]:
    """Return the quantised files that were shown to be slower, slowest first."""
    pairs = (_pair(report, artifact) for artifact in report.artifacts if artifact.scheme in INTEGER)
    found = [pair for pair in pairs if pair is not None and pair.ci95[0] > 1]
    return tuple(sorted(found, key=lambda pair: -pair.ratio))


def _pair(report: Report, artifact: ArtifactResult) -> Pair | None:
    reference = show.size_reference(report, artifact)
    if reference is None:
        return None
    for own in artifact.latency:
        same = [x for x in reference.latency if (show.setting_of(x), x.engine) == (show.setting_of(own), own.engine)]
        if own.kind != "measured" or not same:
            continue
        a, b = own, same[0]
        if a.ratio_to_baseline and b.ratio_to_baseline and a.ratio_ci95 and b.ratio_ci95:
            half = math.hypot(_half(a.ratio_ci95), _half(b.ratio_ci95))
            ratio = a.ratio_to_baseline / b.ratio_to_baseline
            bounds = (ratio * math.exp(-half), ratio * math.exp(half))
            return Pair(file=artifact, reference=reference, own=a, other=b, ratio=ratio, ci95=bounds)
    return None


def _half(interval: tuple[float, float]) -> float:
    """Return half the width of a ratio's interval, in logarithms."""
    return math.log(interval[1] / interval[0]) / 2


def layers(pair: Pair) -> tuple[LayerTime, ...]:
    """Return what each layer takes in both files, what loses most first; () where one of the two has no profile."""
    if pair.own.profile is None or pair.other.profile is None:
        return ()
    own, other = _by_layer(pair.own.profile), _by_layer(pair.other.profile)
    found = [_layer(name, own.get(name, []), other.get(name, [])) for name in dict.fromkeys([*own, *other])]
    return tuple(sorted(found, key=lambda one: -one.excess))


def _by_layer(profile: OpProfile) -> dict[str, list[OpTime]]:
    found: dict[str, list[OpTime]] = {}
    for op in profile.ops:
        found.setdefault(op.layer or op.op or op.name, []).append(op)
    return found


def _layer(name: str, own: Iterable[OpTime], other: Iterable[OpTime]) -> LayerTime:
    mine, theirs = list(own), list(other)
    return LayerTime(
        layer=name,
        ms=sum(op.ms for op in mine),
        float_ms=sum(op.ms for op in theirs),
        kernels=tuple(dict.fromkeys(op.name for op in mine)),
        float_kernels=tuple(dict.fromkeys(op.name for op in theirs)),
    )
