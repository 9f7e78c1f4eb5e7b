"""What two files' interleaved times say of each other, in plain words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edgecv.values.latency import Latency

Verdict = Literal["faster", "slower", "no difference shown", "not comparable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """`edgecv bench compare A B --json`.

    Attributes:
        a: Name of the first file; `b` of the second.
        ratio: A's time over B's, interleaved in the same run; None when the two are not comparable.
        ci95: The ratio's 95 % interval.
        verdict: Of A: "faster" or "slower" than B when the interval lies on one side of 1.
        sentence: The verdict in words.
        latency_a: Of A, with raw samples; `latency_b` of B.
    """

    a: str
    b: str
    device: str
    ratio: float | None
    ci95: tuple[float, float] | None
    verdict: Verdict
    sentence: str
    latency_a: Latency
    latency_b: Latency
    warnings: tuple[str, ...] = ()


def compare(a: str, b: str, of_a: Latency, of_b: Latency) -> Comparison:
    """Judge two latencies of one interleaved run, of which B was the baseline.

    Args:
        a: The first file's name; `b` the second's.
        of_a: The first file's latency, with its ratio to the second; `of_b` the second's.
    """
    verdict = judge(of_a.ratio_ci95)
    return Comparison(
        a=a,
        b=b,
        device=of_a.device,
        ratio=of_a.ratio_to_baseline,
        ci95=of_a.ratio_ci95,
        verdict=verdict,
        sentence=_sentence(a, b, of_a, verdict),
        latency_a=of_a,
        latency_b=of_b,
        warnings=(*(f"{a}: {text}" for text in of_a.warnings), *(f"{b}: {text}" for text in of_b.warnings)),
    )


def judge(ci95: tuple[float, float] | None) -> Verdict:
    """Return what a ratio's interval says: a difference is shown only when 1 lies outside."""
    if ci95 is None:
        return "not comparable"
    if ci95[1] < 1.0:
        return "faster"
    return "slower" if ci95[0] > 1.0 else "no difference shown"


def _sentence(a: str, b: str, of_a: Latency, verdict: Verdict) -> str:
    ratio, interval = of_a.ratio_to_baseline, of_a.ratio_ci95
    if ratio is None or interval is None:
        return f"{a} and {b} are not comparable: {of_a.warnings[0] if of_a.warnings else 'no interval is known'}"
    figures = f"it takes {ratio:.3f} of {b}'s time, 95 % interval [{interval[0]:.3f}, {interval[1]:.3f}]"
    kind = "" if of_a.kind == "measured" else f" ({of_a.kind}, not measured on hardware)"
    if verdict == "no difference shown":
        return (
            f"no difference shown between {a} and {b}{kind}: {figures}; "
            f"a difference below about {_resolution(interval):.1%} would not show"
        )
    return f"{a} is {verdict} than {b}{kind}: {figures}"


def _resolution(interval: tuple[float, float]) -> float:
    """Return about the smallest difference from 1 that an interval so wide shows: half its width."""
    return (interval[1] - interval[0]) / 2
