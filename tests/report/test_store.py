import base64
import dataclasses
import json

import pytest

import edgecv.report as reports
from edgecv.core.errors import ConfigError
from edgecv.report.store import to_json
from edgecv.values.report import Exhibit


def test_round_trip(report, tmp_path):
    paths = reports.write(report, tmp_path / "out")
    assert reports.read(paths.json) == reports.decided(reports.completed(report))
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"report.json", "report.html", "report.md"}


def test_schema_is_the_first_key(report):
    assert to_json(report).splitlines()[1] == ' "schema": "edgecv.report/2",'


def test_existing_files_are_kept_without_force(report, tmp_path):
    (tmp_path / "report.md").write_text("mine")
    with pytest.raises(ConfigError, match="already exists"):
        reports.write(report, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["report.md"]
    assert (tmp_path / "report.md").read_text() == "mine"
    reports.write(report, tmp_path, force=True)
    assert (tmp_path / "report.md").read_text().startswith("Baseline: ")


def test_absolute_paths_become_relative(report, tmp_path):
    artifact = dataclasses.replace(report.artifacts[0], path=str(tmp_path / "files" / "m.tflite"))
    paths = reports.write(dataclasses.replace(report, artifacts=(artifact,)), tmp_path / "out")
    assert reports.read(paths.json).artifacts[0].path == "../files/m.tflite"


PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def test_pictures_are_put_into_the_page_and_nothing_else_is(report, tmp_path):
    (tmp_path / "shots").mkdir()
    (tmp_path / "shots" / "a.png").write_bytes(PNG)
    (tmp_path / "shots" / "secret.png").write_text("no picture")
    shown = [Exhibit(title="Float beside int8", path=str(tmp_path / "shots" / "a.png"))]
    shown += [Exhibit(title="x", path=path) for path in ("shots/secret.png", "shots/gone.png")]
    artifact = dataclasses.replace(report.artifacts[0], exhibits=tuple(shown))
    paths = reports.write(dataclasses.replace(report, artifacts=(artifact,)), tmp_path)
    text = paths.html.read_text(encoding="utf-8")
    assert text.count("<img") == 1
    assert base64.b64encode(PNG).decode() in text
    assert text.count(".png was not at hand") == 2
    assert reports.read(paths.json).artifacts[0].exhibits[0].path == "shots/a.png"
    assert "![Float beside int8](<shots/a.png>)" in paths.markdown.read_text(encoding="utf-8")


def test_a_name_used_twice_is_refused(report, tmp_path):
    doubled = dataclasses.replace(report, artifacts=report.artifacts[:1] * 2)
    with pytest.raises(ConfigError, match="share the name 'lenet5-float32-tflite'"):
        reports.write(doubled, tmp_path)
    assert not list(tmp_path.iterdir())


def test_nan_is_refused_and_nothing_is_written(report, tmp_path):
    artifact = dataclasses.replace(report.artifacts[0], value=float("nan"))
    with pytest.raises(ConfigError, match="non-finite"):
        reports.write(dataclasses.replace(report, artifacts=(artifact,)), tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not valid JSON"),
        ("[]", "is not a report"),
        ('{"schema": "edgecv.report/3"}', "expected the schema 'edgecv.report/2', got 'edgecv.report/3'"),
        ('{"schema": "edgecv.report/2", "creatd": "x"}', "unknown key 'creatd'"),
        ('{"schema": "edgecv.report/1", "creatd": "x"}', "unknown key 'creatd'"),
        ('{"schema": "edgecv.report/1", "created": NaN}', "'NaN' is not JSON"),
        ('{"schema": "edgecv.report/1", "created": "x"}', "key 'host' is missing"),
        ("[" * 100_000, "not valid JSON"),
    ],
)
def test_what_is_not_a_report_is_refused(tmp_path, text, message):
    path = tmp_path / "report.json"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        reports.read(path)
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_missing_report_is_named(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        reports.read(tmp_path / "report.json")


def test_a_wrong_kind_is_refused(report, tmp_path):
    document = json.loads(to_json(report))
    document["artifacts"][3]["mapping"]["kind"] = "mesured"
    path = tmp_path / "report.json"
    path.write_text(json.dumps(document))
    with pytest.raises(ConfigError, match=r"(?s)artifacts\[3\].*did you mean 'measured'"):
        reports.read(path)
