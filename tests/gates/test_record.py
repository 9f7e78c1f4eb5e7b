import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecv import gates
from edgecv.values.scores import Metric

MAE = Metric("mae", unit="label", better="lower")


def test_a_report_passes_the_gates_recorded_from_it(gates_file, report):
    outcome = gates.check(gates_file(gates.record(report)), report=report)
    assert outcome.passed
    assert len(outcome.results) == 4 * len(report.artifacts)
    assert outcome.ungated == ()


def test_the_report_path_and_the_tolerances_are_written(gates_file, report):
    allowed = gates.Tolerances(metric=0.001, size=0.5)
    parsed = gates.load(gates_file(gates.record(report, report_path="out/report.json", tolerances=allowed)))
    assert parsed.report == "out/report.json"
    assert parsed.gate[0].metric == gates.Bound(reference=0.98, tolerance_down=0.001, tolerance_up=0.001)
    assert parsed.gate[0].size_bytes.tolerance_up == 500


def test_recorded_gates_catch_a_change(gates_file, report):
    path = gates_file(gates.record(report))
    for changes in ({"value": 0.97}, {"value": 0.99}, {"size_bytes": 1100}, {"size_bytes": 900}, {"mapping": None}):
        changed = dataclasses.replace(report.artifacts[0], **changes)
        outcome = gates.check(path, report=dataclasses.replace(report, artifacts=(changed, report.artifacts[1])))
        assert len(outcome.failures) == 1, changes


def test_unknown_figures_become_comments_with_the_reason(gates_file, report):
    bare = dataclasses.replace(report.artifacts[0], metric=None, value=None, mapping=None, latency=())
    reason = "net-int8: metric, mapping and latency unknown:\nno board\x07"
    given_report = dataclasses.replace(report, artifacts=(bare,), warnings=(reason,))
    text = gates.record(given_report)
    assert "# metric is not recorded: net-int8: metric, mapping and latency unknown: no board" in text
    assert gates.check(gates_file(text), report=given_report).passed


@pytest.mark.parametrize("name", ['a"b', "a\\b", "ü✓😀", "a[1]*?", "a\x7f\x01b", "a\nb", "# no comment"])
def test_any_name_survives(gates_file, report, name):
    latency = dataclasses.replace(report.artifacts[0].latency[0], device=name)
    mapping = dataclasses.replace(report.artifacts[0].mapping, target=name)
    renamed = dataclasses.replace(report.artifacts[0], name=name, latency=(latency,), mapping=mapping)
    odd = dataclasses.replace(report, artifacts=(renamed,))
    assert gates.check(gates_file(gates.record(odd)), report=odd).passed


@given(st.floats(0, 1), st.integers(0, 10**10), st.floats(1e-6, 1e6))
def test_any_figures_pass_their_own_record(gates_file, report, value, size, ratio):
    latency = dataclasses.replace(
        report.artifacts[0].latency[0], ratio_to_baseline=ratio, ratio_ci95=(ratio * 0.9, ratio * 1.1)
    )
    changed = dataclasses.replace(report.artifacts[0], value=value, size_bytes=size, latency=(latency,))
    odd = dataclasses.replace(report, artifacts=(changed,))
    assert gates.check(gates_file(gates.record(odd)), report=odd).passed


def test_an_error_may_be_off_by_a_share_of_itself(gates_file, report):
    errors = dataclasses.replace(report.artifacts[0], metric=MAE, value=250.0)
    odd = dataclasses.replace(report, artifacts=(errors,))
    assert "metric = {reference = 250.0, tolerance_down = 5, tolerance_up = 5}" in gates.record(odd)
    path = gates_file(gates.record(odd))
    for value, status in ((254.0, "pass"), (256.0, "regression"), (244.0, "gain")):
        changed = dataclasses.replace(odd, artifacts=(dataclasses.replace(errors, value=value),))
        (found,) = [r for r in gates.check(path, report=changed).results if r.figure == "metric"]
        assert found.status == status
