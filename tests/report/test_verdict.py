"""What a report says to ship, from figures that are made for the case."""

from __future__ import annotations

import dataclasses

import pytest

from edgecv.report import decided, html, markdown
from edgecv.report.sentences import to_ship
from edgecv.report.verdict import allowed, outcome, speed
from edgecv.values.inspection import MappingSummary, PredictedLatency
from edgecv.values.report import HeadResult
from edgecv.values.scores import Metric

TOP1, MAE = Metric("top1"), Metric("mae", unit="label", better="lower")


def head(drop, ci95, metric=TOP1, value=0.98):
    return HeadResult(head="digit", task="classification", metric=metric, value=value, drop=drop, drop_ci95=ci95)


def changed(artifact, ci95, ratio=None, ratio_ci95=None, **changes):
    latency = changes.pop("latency", artifact.latency)
    if ratio is not None:
        latency = (dataclasses.replace(latency[0], ratio_to_baseline=ratio, ratio_ci95=ratio_ci95),)
    return dataclasses.replace(artifact, heads=(head(sum(ci95) / 2, ci95),), latency=latency, **changes)


def verdict_on(report, *artifacts, target="cpu", **changes):
    made = decided(dataclasses.replace(report, artifacts=artifacts, **changes))
    return next(v for v in made.verdicts if v.target == target)


@pytest.mark.parametrize(
    ("ci95", "expected"),
    [((-0.002, 0.010), "passed"), ((0.005, 0.02), "not shown"), (None, "unknown")],
)
def test_a_drop_passes_or_shows_nothing_by_its_interval(ci95, expected):
    assert outcome(head(0.0075, ci95), 1.0) == expected


def test_a_drop_of_more_than_is_allowed_fails():
    assert outcome(head(0.0101, (-0.01, 0.03)), 1.0) == "failed"
    assert outcome(head(0.0101, (-0.01, 0.03)), 2.0) == "not shown"


def test_an_error_may_grow_by_a_twentieth():
    # The float model's error is 2.0.
    assert allowed(head(0.5, (0.4, 0.6), MAE, value=2.5), None) == pytest.approx(0.1)
    assert outcome(head(0.05, (0.0, 0.09), MAE, value=2.05), None) == "passed"
    assert outcome(head(0.5, (0.4, 0.6), MAE, value=2.5), 0.7) == "passed"


def test_only_a_measured_ratio_is_a_speed(report):
    latency = report.artifacts[0].latency[0]
    at = lambda low, high, **more: speed(dataclasses.replace(latency, ratio_ci95=(low, high), **more))  # noqa: E731
    assert [at(0.4, 0.9), at(1.1, 1.2), at(0.9, 1.1)] == ["faster", "slower", "not shown"]
    assert at(0.4, 0.9, kind="simulated") == "unknown"
    assert speed(None) == "unknown"


def test_the_fastest_file_whose_accuracy_passes_is_shipped(report):
    slow, fast, wrong = (
        dataclasses.replace(a, name=n) for a, n in zip(report.artifacts, ("a", "b", "c"), strict=False)
    )
    found = verdict_on(
        report,
        changed(slow, (-0.004, 0.004), 0.9, (0.85, 0.95)),
        changed(fast, (-0.004, 0.004), 0.4, (0.38, 0.42)),
        changed(wrong, (0.02, 0.05), 0.2, (0.19, 0.21)),
    )
    assert (found.artifact, found.accuracy, found.speed, found.certainty) == ("b", "passed", "faster", "shown")
    assert found.instead == ("Accuracy failed: c.",)


def test_a_quantised_file_that_is_slower_is_not_shipped_where_the_float_model_runs(report):
    first, int8 = report.artifacts[0], report.artifacts[3]
    # As few samples as these cannot show a drop of one point, even for equal answers.
    itself = dataclasses.replace(
        changed(first, (-0.0104, 0.0104), 1.0, (0.99, 1.01)), heads=(head(0.0, (-0.0104, 0.0104)),)
    )
    found = verdict_on(report, itself, changed(int8, (-0.004, 0.004), 4.6, (4.2, 5.1)))
    assert (found.artifact, found.accuracy, found.speed) == (first.name, "passed", "not shown")
    assert found.instead == (f"Slower than the float model: {int8.name}; the report says why.",)
    assert "it is the float model itself" in found.why[0]


def test_a_smaller_file_that_is_a_little_slower_than_float_is_not_shipped(report):
    first, int8 = report.artifacts[0], report.artifacts[3]
    found = verdict_on(
        report,
        changed(first, (-0.004, 0.004), 1.0, (0.975, 1.021), size_bytes=2000),
        changed(int8, (-0.004, 0.004), 1.035, (1.019, 1.051), size_bytes=1000),
    )
    assert (found.artifact, found.speed) == (first.name, "not shown")
    assert found.instead == (f"Slower than the float model: {int8.name}; the report says why.",)


def test_a_float_file_that_answers_otherwise_is_judged_as_any(report):
    first = report.artifacts[0]
    other = dataclasses.replace(first, heads=(head(0.002, (-0.02, 0.02)),))
    assert verdict_on(report, other).accuracy == "not shown"


def test_of_files_that_no_interval_tells_apart_the_smaller_is_shipped(report):
    one, two = (dataclasses.replace(a, name=n) for a, n in zip(report.artifacts, ("large", "small"), strict=False))
    found = verdict_on(
        report,
        changed(one, (-0.004, 0.004), 0.40, (0.36, 0.44), size_bytes=2000),
        changed(two, (-0.004, 0.004), 0.43, (0.40, 0.46), size_bytes=1000),
    )
    assert found.artifact == "small"


def test_an_accuracy_that_too_few_samples_show_is_no_certainty(report):
    found = verdict_on(report, changed(report.artifacts[3], (-0.03, 0.03)))
    assert (found.accuracy, found.certainty) == ("not shown", "not shown")
    # Half the interval is 3 points of 360 samples: 1 point takes nine times as many.
    assert "(about 3,240 samples would show it, if the drop stays)" in found.why[0]


def test_the_worst_head_decides(report):
    artifact = dataclasses.replace(report.artifacts[0], heads=(head(0.0, (0.0, 0.0)), head(0.05, (0.04, 0.06))))
    found = verdict_on(report, artifact)
    assert (found.artifact, found.accuracy) == (None, "failed")


def mapped(artifact, n_mapped, ms):
    latency = None if ms is None else PredictedLatency(ms=ms, low_ms=ms / 2, high_ms=ms * 2, median_error=0.1)
    own = MappingSummary(
        target="edgetpu", n_ops=9, n_mapped=n_mapped, unmapped=(), kind="predicted", latency=latency
    )  # fmt: skip
    return changed(artifact, (-0.004, 0.004), target="edgetpu", mapping=own, other_mappings=(), latency=())


def test_what_nobody_timed_is_predicted_and_called_so(report):
    whole, part = (dataclasses.replace(a, name=n) for a, n in zip(report.artifacts, ("whole", "part"), strict=False))
    made = decided(dataclasses.replace(report, artifacts=(mapped(part, 3, 0.1), mapped(whole, 9, 0.5))))
    (found,) = made.verdicts
    assert (found.artifact, found.speed, found.certainty) == ("whole", "unknown", "partly shown")
    assert any(s.startswith("Speed predicted, not measured: 0.500 ms [0.250 ms to 1.00 ms]") for s in found.why)
    for text in (html.render(made), markdown.render(made)):
        assert "predicted by a cost model, nothing was timed there. Median error" in text
        assert "measured by a cost model" not in text


def test_nothing_is_shipped_to_a_target_that_runs_no_operator(report):
    none = mapped(report.artifacts[0], 0, None)
    other = dataclasses.replace(none, target="cpu", mapping=None, other_mappings=(none.mapping,))
    found = verdict_on(report, other, target="edgetpu")
    assert (found.artifact, found.why) == (None, ("No file of this report runs on edgetpu.",))


def test_pages_begin_with_the_verdict_and_end_with_the_host(report):
    made = decided(report)
    text = html.render(made)
    order = [text.index(f'id="{name}"') for name in ("verdict", "charts", "artifacts", "targets", "warnings", "host")]
    assert order == sorted(order)
    assert f'href="#target-{made.verdicts[0].target}"' in text
    lines = [line for line in markdown.render(made).splitlines() if line.startswith("## ")]
    assert (lines[0], lines[-1]) == ("## Verdict", "## Data and host")


def shipped(report, *artifacts, target="cpu"):
    made = decided(dataclasses.replace(report, artifacts=artifacts))
    return to_ship(made, next(v for v in made.verdicts if v.target == target))


def test_a_verdict_in_one_sentence(report):
    first, int8 = report.artifacts[0], report.artifacts[3]
    itself = dataclasses.replace(
        changed(first, (-0.01, 0.01), 1.0, (0.99, 1.01), size_bytes=4000), heads=(head(0.0, (-0.01, 0.01)),)
    )
    small = changed(int8, (-0.001, 0.003), 0.4, (0.38, 0.42), size_bytes=1000, format=first.format)
    said = shipped(report, itself, small)
    operators = next(m for m in (small.mapping, *small.other_mappings) if m.target == "cpu")
    assert said == (
        f"ship {small.name}: 2.5x [2.4, 2.6] as fast as float, 4.0x smaller, top1 0.9800 (float 0.9810, drop +0.10 "
        f"[-0.10, +0.30] points), {operators.n_mapped}/{operators.n_ops} operators on cpu ({operators.kind})"
    )
    assert shipped(report, itself).startswith(f"ship {itself.name}: the float model itself, top1 0.9800, ")


def test_a_sentence_on_what_grows_and_on_what_was_not_timed(report):
    worse = dataclasses.replace(mapped(report.artifacts[0], 9, 0.5), heads=(head(0.02, (0.0, 0.04), MAE, 2.02),))
    said = shipped(report, worse, target="edgetpu")
    assert "0.500 ms predicted" in said
    assert "mae 2.0200 (float 2.0000, drop +0.02 [+0, +0.04] mae)" in said


def test_a_sentence_when_there_is_nothing_to_ship(report):
    failed = changed(report.artifacts[0], (0.04, 0.06))
    assert shipped(report, failed).startswith("ship nothing for cpu: Accuracy failed in every file")
