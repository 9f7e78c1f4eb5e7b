import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecv import gates
from edgecv.core.errors import ConfigError
from edgecv.gates.checking import _Found, _judge
from edgecv.report.store import to_json
from edgecv.values.scores import Metric

MAE = Metric("mae", unit="label", better="lower")


def only(report, **changes):
    """The report with its first artifact alone, changed."""
    return dataclasses.replace(report, artifacts=(dataclasses.replace(report.artifacts[0], **changes),))


def bound(reference, down, up, more=""):
    return f"{{reference = {reference}, tolerance_down = {down}, tolerance_up = {up}{more}}}"


def run(gates_file, figure, report, artifact="net-int8"):
    return gates.check(gates_file(f'[[gate]]\nartifact = "{artifact}"\n{figure}'), report=report)


def status(gates_file, figure, report):
    (result,) = run(gates_file, figure, report).results
    return result.status


@pytest.mark.parametrize(
    ("value", "expected"), [(0.98, "pass"), (0.974, "pass"), (0.9739, "regression"), (0.986, "pass"), (0.9861, "gain")]
)
def test_metric(gates_file, report, value, expected):
    assert status(gates_file, f"metric = {bound(0.98, 0.006, 0.006)}", only(report, value=value)) == expected


@pytest.mark.parametrize(("value", "expected"), [(0.5, "gain"), (1.0, "pass"), (1.5, "regression")])
def test_an_error_metric_is_better_when_smaller(gates_file, report, value, expected):
    changed = only(report, value=value, metric=MAE)
    assert status(gates_file, f"metric = {bound(1.0, 0.1, 0.1)}", changed) == expected


@pytest.mark.parametrize(
    ("figure", "expected"),
    [
        ("figures.top3 = " + bound(0.99, 0.01, 0.01), "pass"),
        ("figures.top3 = " + bound(0.9, 0.01, 0.01), "gain"),
        ("figures.top3 = " + bound(0.9, 0.01, 0.01, ', better = "lower"'), "regression"),
        ("figures.top1 = " + bound(0.98, 0.01, 0.01), "pass"),
        ("figures.odd = " + bound(0.9, 0.01, 0.01), "unknown"),
        ("figures.top5 = " + bound(0.9, 0.01, 0.01), "unknown"),
        ("figures.mae = " + bound(2.0, 0.1, 0.1, ', head = "age"'), "pass"),
        ("figures.mae = " + bound(3.0, 0.1, 0.1, ', head = "age"'), "gain"),
        ("figures.mae = " + bound(2.0, 0.1, 0.1, ', head = "ago"'), "unknown"),
        ("per_label.7.recall = " + bound(0.9, 0.1, 0.1), "pass"),
        ("per_label.7.recall = " + bound(1.1, 0.1, 0.1), "regression"),
        ("per_label.8.recall = " + bound(0.9, 0.1, 0.1), "unknown"),
    ],
)
def test_further_figures(gates_file, report, figure, expected):
    age = dataclasses.replace(report.artifacts[0].heads[0], head="age", task="regression", metric=MAE, value=2.0)
    changed = only(report, heads=(*report.artifacts[0].heads, age))
    assert status(gates_file, figure, changed) == expected


@pytest.mark.parametrize(
    ("figure", "message"),
    [
        ("figures.odd = ", "it is undefined on these samples"),
        ("figures.top5 = ", "head 'digit' has none of that name; it has top3, odd"),
        ("per_label.8.recall = ", "it has 7"),
        ("per_label.7.iou = ", "it has recall"),
    ],
)
def test_an_unknown_further_figure_says_what_there_is(gates_file, report, figure, message):
    (result,) = run(gates_file, figure + bound(0.9, 0.1, 0.1), report).results
    assert message in result.message


@pytest.mark.parametrize(("size", "expected"), [(899, "gain"), (900, "pass"), (1100, "pass"), (1101, "regression")])
def test_size(gates_file, report, size, expected):
    assert status(gates_file, f"size_bytes = {bound(1000, 100, 100)}", only(report, size_bytes=size)) == expected


@pytest.mark.parametrize(("mapped", "expected"), [(8, "regression"), (9, "pass"), (10, "gain")])
def test_mapped_ops(gates_file, report, mapped, expected):
    mapping = dataclasses.replace(report.artifacts[0].mapping, n_mapped=mapped)
    assert status(gates_file, f"mapped_ops.edgetpu = {bound(9, 0, 0)}", only(report, mapping=mapping)) == expected


def test_mapped_ops_on_a_further_target(gates_file, report):
    gpu = dataclasses.replace(report.artifacts[0].mapping, target="gpu", n_mapped=3)
    changed = only(report, other_mappings=(gpu,))
    assert status(gates_file, f"mapped_ops.gpu = {bound(3, 0, 0)}", changed) == "pass"
    assert status(gates_file, f"mapped_ops.cpu = {bound(3, 0, 0)}", changed) == "unknown"


# The tolerance is 0.4 to 0.6: only an interval wholly outside fails.
@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        ((0.48, 0.52), "pass"),
        ((0.58, 0.90), "pass"),
        ((0.61, 0.90), "regression"),
        ((0.10, 0.41), "pass"),
        ((0.10, 0.39), "gain"),
    ],
)
def test_latency_ratio_uses_its_interval(gates_file, report, interval, expected):
    latency = dataclasses.replace(
        report.artifacts[0].latency[0], ratio_to_baseline=sum(interval) / 2, ratio_ci95=interval
    )
    figure = f"latency_ratio = [{bound(0.5, 0.1, 0.1)}]"
    assert status(gates_file, figure, only(report, latency=(latency,))) == expected


def test_latency_selectors(gates_file, report):
    first = report.artifacts[0].latency[0]
    others = (
        dataclasses.replace(first, device="board", ratio_to_baseline=9.0, ratio_ci95=(8.0, 10.0)),
        dataclasses.replace(first, kind="predicted", ratio_to_baseline=9.0, ratio_ci95=(8.0, 10.0)),
        dataclasses.replace(first, threads=4, ratio_to_baseline=9.0, ratio_ci95=(8.0, 10.0)),
    )
    changed = only(report, latency=(first, *others))
    for more, count, passed in (
        (', device = "lo*", threads = 1', 1, True),
        ("", 3, False),
        (', device = "board"', 1, False),
        (', device = "nowhere"', 1, False),
        (', kind = "predicted"', 1, False),
    ):
        outcome = run(gates_file, f"latency_ratio = [{bound(0.5, 0.1, 0.1, more)}]", changed)
        assert (len(outcome.results), outcome.passed) == (count, passed), more


def test_an_explained_gain_passes_and_an_explained_regression_does_not(gates_file, report):
    figure = "metric = " + bound(0.98, 0.006, 0.006, ', explained = "better data"')
    gain = run(gates_file, figure, only(report, value=0.999))
    assert (gain.passed, gain.results[0].status) == (True, "explained")
    assert "better data" in gain.results[0].message
    assert status(gates_file, figure, only(report, value=0.9)) == "regression"


def test_an_explanation_covers_its_own_figure_only(gates_file, report):
    explained = bound(0.98, 0, 0, ', explained = "why"')
    figures = f"metric = {explained}\nsize_bytes = {bound(1000, 0, 0)}"
    outcome = run(gates_file, figures, only(report, value=0.999, size_bytes=1))
    assert [r.status for r in outcome.results] == ["explained", "gain"]


def test_a_missing_artifact_fails_with_the_nearest_name(gates_file, report):
    outcome = run(gates_file, f"metric = {bound(0.98, 0, 0)}", report, artifact="net-int9")
    assert not outcome.passed
    assert outcome.results[0].status == "missing"
    assert "did you mean 'net-int8'" in outcome.results[0].hint


@pytest.mark.parametrize(
    ("changes", "figure"),
    [
        ({"value": None, "metric": None}, "metric"),
        ({"mapping": None}, "mapped_ops.edgetpu"),
        ({"latency": ()}, "latency_ratio"),
    ],
)
def test_an_unknown_figure_fails_with_its_reason(gates_file, report, changes, figure):
    reason = "net-int8: metric, latency and mapping unknown, the board burnt down"
    changed = dataclasses.replace(only(report, **changes), warnings=(reason,))
    text = bound(0.5, 0.1, 0.1)
    written = f"[{text}]" if figure == "latency_ratio" else text
    outcome = run(gates_file, f"{figure} = {written}", changed)
    assert (outcome.passed, outcome.results[0].status) == (False, "unknown")
    assert reason in outcome.results[0].message


def test_a_ratio_without_an_interval_is_unknown(gates_file, report):
    latency = dataclasses.replace(report.artifacts[0].latency[0], ratio_ci95=None)
    assert status(gates_file, f"latency_ratio = [{bound(0.5, 9, 9)}]", only(report, latency=(latency,))) == "unknown"


def test_globs_and_ungated_artifacts(gates_file, report):
    figure = f"metric = {bound(0.98, 0, 0)}"
    assert [r.artifact for r in run(gates_file, figure, report, "net-*").results] == ["net-int8", "net-int8-qat"]
    assert run(gates_file, figure, report, "net-*").ungated == ()
    assert run(gates_file, figure, report, "net-int8").ungated == ("net-int8-qat",)


def test_a_name_with_glob_characters_matches_itself(gates_file, report):
    changed = only(report, name="net[1]")
    assert run(gates_file, f"metric = {bound(0.98, 0, 0)}", changed, "net[1]").passed


def test_every_message_has_expected_got_where_and_next_step(gates_file, report):
    path = gates_file(f'[[gate]]\nartifact = "net-int8"\nmetric = {bound(0.99, 0.001, 0.001)}')
    (failure,) = gates.check(path, report=report).failures
    assert failure.message == "expected 0.989 to 0.991 (reference 0.99), got 0.98"
    assert failure.where == f"{path}: gate[0]"
    assert "metric" in failure.hint


def test_the_named_report_is_read_relative_to_the_gates_file(gates_file, report):
    path = gates_file(f'report = "sub/report.json"\n[[gate]]\nartifact = "net-int8"\nmetric = {bound(0.98, 0, 0)}')
    with pytest.raises(ConfigError, match="does not exist"):
        gates.check(path)
    (path.parent / "sub").mkdir()
    (path.parent / "sub" / "report.json").write_text(to_json(report))
    assert gates.check(path).passed


def test_without_a_report_there_is_nothing_to_check(gates_file):
    with pytest.raises(ConfigError, match="names no report"):
        gates.check(gates_file(f'[[gate]]\nartifact = "a"\nmetric = {bound(1, 0, 0)}'))


NUMBERS = st.floats(-1e6, 1e6)
TOLERANCES = st.floats(0, 1e6)


@given(NUMBERS, TOLERANCES, TOLERANCES, NUMBERS, st.floats(0, 1e6), st.sampled_from(["up", "down"]))
def test_wider_tolerances_never_turn_a_pass_into_a_failure(reference, down, up, value, wider, better):
    narrow = gates.Bound(reference=reference, tolerance_down=down, tolerance_up=up)
    wide = gates.Bound(reference=reference, tolerance_down=down + wider, tolerance_up=up + wider)
    if _judge((value, value), narrow, better) == "pass":
        assert _judge((value, value), wide, better) == "pass"


@given(NUMBERS, TOLERANCES, TOLERANCES, NUMBERS, NUMBERS, st.sampled_from(["up", "down"]))
def test_a_better_figure_is_never_judged_worse(reference, down, up, one, two, better):
    bound = gates.Bound(reference=reference, tolerance_down=down, tolerance_up=up)
    order = {"regression": 0, "pass": 1, "gain": 2}
    worse, good = sorted((one, two), reverse=better == "down")
    assert order[_judge((worse, worse), bound, better)] <= order[_judge((good, good), bound, better)]


@given(NUMBERS, TOLERANCES, TOLERANCES, NUMBERS, TOLERANCES, st.sampled_from(["up", "down"]))
def test_a_wider_interval_never_turns_a_pass_into_a_failure(reference, down, up, value, wider, better):
    bound = gates.Bound(reference=reference, tolerance_down=down, tolerance_up=up)
    if _judge((value, value), bound, better) == "pass":
        assert _judge((value - wider, value + wider), bound, better) == "pass"


@given(NUMBERS, TOLERANCES, TOLERANCES)
def test_the_edges_of_the_tolerance_pass(reference, down, up):
    bound = gates.Bound(reference=reference, tolerance_down=down, tolerance_up=up)
    for value in (bound.low, bound.reference, bound.high):
        assert _judge((value, value), bound, "up") == "pass"


def test_found_span():
    assert _Found(1.0).span == (1.0, 1.0)
    assert _Found(1.0, (0.5, 2.0)).span == (0.5, 2.0)
    assert _Found(None).span is None
