"""Making sure that every unknown figure of a report has a warning that names it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from edgecv.report.figures import baseline_sentence
from edgecv.values.report import ArtifactResult, Report, explanation

_Unknown = Callable[[ArtifactResult], bool]

# Figure, as `explanation` knows it, to how it shows that it is unknown.
_FIGURES: tuple[tuple[str, str, _Unknown], ...] = (
    ("metric", "metric", lambda a: a.metric is None or a.value is None),
    ("metric_kind", "kind of the metric (metric_kind)", lambda a: a.value is not None and a.metric_kind is None),
    ("drop", "drop against the baseline", lambda a: a.value is not None and (a.drop is None or a.drop_ci95 is None)),
    ("latency", "latency", lambda a: not a.latency),
    (
        "ratio_to_baseline",
        "latency ratio to the baseline",
        lambda a: any(x.ratio_to_baseline is None or x.ratio_ci95 is None for x in a.latency),
    ),
    ("mapping", "mapping", lambda a: a.mapping is None),
    ("load_ms", "load time (load_ms)", lambda a: any(x.load_ms is None for x in a.latency)),
    ("first_ms", "first inference (first_ms)", lambda a: any(x.first_ms is None for x in a.latency)),
    ("peak_rss_bytes", "peak memory (peak_rss_bytes)", lambda a: any(x.peak_rss_bytes is None for x in a.latency)),
    (
        "arena_bytes",
        "arena size (arena_bytes)",
        lambda a: a.arena_bytes is None and any(x.arena_bytes is None for x in a.latency),
    ),
)


def completed(report: Report) -> Report:
    """Return the report with a warning for every unknown figure that no warning names yet.

    The warnings of single latencies are lifted to the report, so that its list is whole. Applying it twice changes
    nothing.
    """
    warnings = list(report.warnings)
    for warning in _lifted(report):
        if warning not in warnings:
            warnings.append(warning)
    warnings += _report_level(report, warnings)
    for figure, title, unknown in _FIGURES:
        nameless = [a.name for a in report.artifacts if unknown(a) and not explanation(warnings, a.name, figure)]
        if nameless:
            warnings.append(f"{title} unknown, since nothing recorded it in this run: {', '.join(nameless)}")
    return replace(report, warnings=tuple(warnings), statement=baseline_sentence(report))


def _lifted(report: Report) -> Iterator[str]:
    for artifact in report.artifacts:
        for latency in artifact.latency:
            for warning in latency.warnings:
                yield f"{artifact.name}: latency on {latency.device}, {latency.accelerator}: {warning}"


def _report_level(report: Report, warnings: list[str]) -> Iterator[str]:
    text = "\n".join(warnings).lower()
    if report.dataset is None and "data set" not in text and "dataset" not in text:
        yield "no data set was given, so no metric is known"
    baseline = report.baseline
    if baseline is None and "baseline" not in text:
        yield "no baseline was given, so drops and latency ratios are unknown"
    if baseline is not None and baseline.value is None and "baseline's metric" not in text:
        yield "the baseline's metric is unknown, since nothing recorded it in this run"
    if baseline is not None and baseline.latency_ms is None and "baseline's latency" not in text:
        yield "the baseline's latency is unknown, since nothing recorded it in this run"
