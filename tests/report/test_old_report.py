"""Reports of the schema before, of which one is kept as it was written."""

import json
from pathlib import Path

import jsonschema
import pytest

import edgecv.report as reports
from edgecv.core.errors import ConfigError
from edgecv.report import html, report_schema
from edgecv.report.store import to_json
from edgecv.values.scores import Metric, Table

OLD = Path(__file__).parent / "data" / "report-1.json"
MAE = Metric("mae", unit="label", better="lower")


@pytest.fixture(scope="module")
def old():
    return reports.read(OLD)


def test_metrics_become_objects(old):
    assert old.schema == "edgecv.report/2"
    assert old.baseline.metric == Metric("top1")
    assert [artifact.metric for artifact in old.artifacts] == [Metric("top1"), MAE, None]


def test_the_figures_of_a_classifier_become_those_of_its_head(old):
    (head,) = old.artifacts[0].heads
    assert (head.task, head.metric, head.value, head.drop) == ("classification", Metric("top1"), 0.9889, -0.0028)
    assert head.drop_ci95 == (-0.01, 0.005)
    assert head.figures == {"top1": 0.9889, "top2": 0.9972}
    cells = ((118, 1, 1), (0, 120, 0), (2, 0, 118))
    assert head.tables == (Table("confusion", ("0", "1", "2"), ("0", "1", "2"), cells, corner="true \\ predicted"),)


def test_heads_stay(old):
    angle, kind = old.artifacts[1].heads
    assert (angle.head, angle.metric, angle.figures) == ("angle", MAE, {"rmse": 4.5, "r2": None})
    assert (kind.head, kind.metric, kind.tables) == ("kind", Metric("top1"), ())
    assert old.artifacts[2].heads == ()


def test_it_is_written_as_one_of_today(old):
    document = json.loads(to_json(old))
    assert list(jsonschema.Draft202012Validator(report_schema()).iter_errors(document)) == []
    assert "Largest off the diagonal: true 2, predicted 0: 2" in html.render(old)


WRONG = {
    "metric": (lambda d: d["artifacts"][0].update(metric={"name": "top1"}), r"artifacts\[0\]: metric: expected a str"),
    "cell": (lambda d: d["artifacts"][0].update(confusion=[["x"]]), r"artifacts\[0\]: confusion\[0\]\[0\]"),
    "share": (lambda d: d["artifacts"][0].update(top_k=[1]), r"artifacts\[0\]: top_k: expected a table"),
    "artifacts": (lambda d: d.update(artifacts={}), "artifacts: expected a list"),
    "artifact": (lambda d: d.update(artifacts=["x"]), r"artifacts\[0\]: expected a table"),
    "heads": (lambda d: d["artifacts"][1].update(heads="x"), "heads: expected a list"),
    "head": (lambda d: d["artifacts"][1].update(heads=[3]), r"heads\[0\]: expected a table"),
    "baseline": (lambda d: d["baseline"].update(metric=1), "baseline: metric: expected a str"),
    "labels": (lambda d: d["dataset"].update(labels=[1, 2, 3]), "expected a str"),
    "key": (lambda d: d["artifacts"][0].update(colour="red"), "unknown key 'colour'"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_one_is_refused_by_place(tmp_path, name):
    document = json.loads(OLD.read_text(encoding="utf-8"))
    change, message = WRONG[name]
    change(document)
    path = tmp_path / "report.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        reports.read(path)
