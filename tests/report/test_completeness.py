import dataclasses

import pytest

from edgecv.report import completed
from edgecv.values.report import explanation


def bare(artifact, **changes):
    return dataclasses.replace(artifact, metric=None, value=None, drop=None, drop_ci95=None, **changes)


def test_a_whole_report_gets_no_warning(report):
    assert dataclasses.replace(completed(report), statement="") == report


@pytest.mark.parametrize("figure", ["metric", "latency", "mapping"])
def test_every_unknown_figure_is_named(report, figure):
    unknown = bare(report.artifacts[0], latency=(), mapping=None)
    warnings = completed(dataclasses.replace(report, artifacts=(unknown, *report.artifacts[1:]))).warnings
    assert explanation(warnings, unknown.name, figure) is not None
    assert explanation(warnings, report.artifacts[1].name, figure) is None


def test_a_given_reason_is_kept_and_not_repeated(report):
    reason = f"{report.artifacts[0].name}: no latency, the board was unplugged"
    lacking = dataclasses.replace(report.artifacts[0], latency=())
    given = dataclasses.replace(report, artifacts=(lacking,), warnings=(reason,))
    assert completed(given).warnings == (reason,)


def test_a_reason_for_a_longer_name_does_not_count(report):
    lacking = dataclasses.replace(report.artifacts[0], name="lenet5-int8", latency=())
    given = dataclasses.replace(report, artifacts=(lacking,), warnings=("lenet5-int8-qat: latency not measured",))
    assert len(completed(given).warnings) == 2


def test_single_figures_and_missing_baseline(report):
    latency = dataclasses.replace(
        report.artifacts[0].latency[0], load_ms=None, arena_bytes=None, ratio_to_baseline=None, ratio_ci95=None
    )
    artifact = dataclasses.replace(report.artifacts[0], latency=(latency,), drop=None, drop_ci95=None)
    given = dataclasses.replace(report, artifacts=(artifact,), baseline=None, dataset=None, warnings=())
    text = "\n".join(completed(given).warnings)
    for words in ("no baseline", "no data set", "load_ms", "arena_bytes", "latency ratio", "drop against"):
        assert words in text


def test_warnings_of_latencies_are_lifted(report):
    latency = dataclasses.replace(report.artifacts[0].latency[0], warnings=("two outliers",))
    artifact = dataclasses.replace(report.artifacts[0], latency=(latency,))
    warnings = completed(dataclasses.replace(report, artifacts=(artifact,))).warnings
    assert any(artifact.name in warning and "two outliers" in warning for warning in warnings)


def test_completing_twice_changes_nothing(report):
    unknown = bare(report.artifacts[0], latency=(), mapping=None)
    once = completed(dataclasses.replace(report, artifacts=(unknown,), baseline=None, dataset=None))
    assert completed(once) == once
