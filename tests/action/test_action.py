"""action.yml, step by step: what a repository sees of it when its files are as they were, and when they are not."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from edgecv import gates
from edgecv.report.store import to_json
from edgecv.values.report import Report
from tests.action.conftest import ROOT
from tests.action.replay import Runner
from tests.cli.conftest import edgecv
from tests.gates.conftest import artifact

ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))


@pytest.fixture
def measured(tmp_path: Path) -> Path:
    """The report of two files, and gates recorded from it, in the runner's repository."""
    folder = tmp_path / "repository"
    (folder / "made").mkdir(parents=True, exist_ok=True)
    report = _report()
    (folder / "made/report.json").write_text(to_json(report), encoding="utf-8")
    (folder / "gates.toml").write_text(gates.record(report, report_path="made/report.json"), encoding="utf-8")
    return folder


def _report() -> Report:
    return Report(
        created="2025-11-21T00:00:00+00:00", host={}, dataset=None, baseline=None,
        artifacts=(artifact("net-int8"), artifact("net-int8-qat")),
    )  # fmt: skip


def _worsened(folder: Path, **changes: object) -> None:
    report = _report()
    worse = replace(report, artifacts=(replace(report.artifacts[0], **changes), report.artifacts[1]))
    (folder / "made/report.json").write_text(to_json(worse), encoding="utf-8")


def test_files_as_they_were_pass(runner: Runner, measured: Path) -> None:
    done = runner.run(out="seen")
    assert done.code == 0, done.log
    assert done.annotations == []
    assert done.outputs == {
        "passed": "true", "checks": "8", "failures": "0", "report": "made/report.json", "junit": "seen/gates.xml",
        "comment": "seen/comment.md",
    }  # fmt: skip
    assert done.summary.startswith("## edgecv: gates passed\n")
    assert "| pass | net-int8 | metric | 0.974 to 0.986 | 0.98 |" in done.summary
    assert "<details><summary>What was measured</summary>" in done.summary
    assert done.uploaded == {"edgecv-report": ["comment.md", "gates.xml"]}


def test_a_worse_file_fails_beside_its_line(runner: Runner, measured: Path) -> None:
    _worsened(measured, value=0.9)
    done = runner.run(out="seen")
    assert done.code == 1
    lines = (measured / "gates.toml").read_text(encoding="utf-8").splitlines()
    place = next(number for number, line in enumerate(lines, start=1) if line.startswith("metric"))
    (annotation,) = done.annotations
    assert annotation.startswith(f"::error file=gates.toml,line={place},title=net-int8%3A metric::")
    assert "got 0.9" in annotation
    assert "%0Anext: find the change" in annotation
    assert (done.outputs["passed"], done.outputs["failures"]) == ("false", "1")
    assert done.summary.startswith("## edgecv: gates failed\n")
    # What failed is what somebody wants to see: it is uploaded all the same.
    assert "comment.md" in done.uploaded["edgecv-report"]


def test_the_comment_is_found_again_by_its_first_line(runner: Runner, measured: Path) -> None:
    runner.run(out="seen")
    passed = (measured / "seen/comment.md").read_text(encoding="utf-8")
    _worsened(measured, value=0.9)
    runner.run(out="seen")
    failed = (measured / "seen/comment.md").read_text(encoding="utf-8")
    assert passed.splitlines()[0] == failed.splitlines()[0] == "<!-- edgecv check: gates.toml -->"
    assert "### edgecv: gates passed" in passed
    assert "### edgecv: gates failed" in failed
    assert "https://github.com/someone/net/actions/runs/42" in failed


def test_gates_that_cannot_be_read_fail_and_say_so(runner: Runner, measured: Path) -> None:
    done = runner.run(gates="gate.toml")
    assert done.code == 2
    assert "gate.toml does not exist" in done.log
    assert done.outputs["passed"] == ""


def test_files_need_a_baseline(runner: Runner, measured: Path) -> None:
    done = runner.run(files="*.tflite")
    assert done.code == 2
    assert "baseline is needed" in done.annotations[0]


def test_what_is_installed_is_this_version_with_its_pins(runner: Runner, measured: Path) -> None:
    done = runner.run()
    asked = [line for line in done.log.splitlines() if line.startswith("asked:")]
    assert [line.split()[-1] for line in asked] == [str(ROOT / "requirements/toolchain.txt"), str(ROOT)]
    assert "asked:" not in runner.run(install="false").log


def test_every_input_is_used_and_described() -> None:
    text = (ROOT / "action.yml").read_text(encoding="utf-8").split("\nruns:\n")[1]
    for name, entry in ACTION["inputs"].items():
        assert f"inputs.{name}" in text, name
        assert entry["description"]


def test_the_document_has_every_input_and_output() -> None:
    document = (ROOT / "docs/ci.md").read_text(encoding="utf-8")
    for name in (*ACTION["inputs"], *ACTION["outputs"]):
        assert f"| `{name}` |" in document, name


def _schema_check(schema: str, file: Path) -> None:
    if find_spec("check_jsonschema") is None:
        pytest.skip("check-jsonschema is not installed: make ci-schemas brings it")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(file)]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_the_action_fits_githubs_schema() -> None:
    _schema_check("vendor.github-actions", ROOT / "action.yml")


@pytest.mark.parametrize(("place", "name", "schema"), [
    (0, "github-actions.yml", "vendor.github-workflows"), (1, "gitlab-ci.yml", "vendor.gitlab-ci"),
])  # fmt: skip
def test_what_the_document_has_to_paste(place: int, name: str, schema: str) -> None:
    text = (ROOT / "examples" / name).read_text(encoding="utf-8")
    assert _blocks("yaml")[place] == text
    _schema_check(schema, ROOT / "examples" / name)


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / "docs/ci.md").read_text(encoding="utf-8"), flags=re.DOTALL)


def test_the_workflow_gives_the_action_inputs_that_it_has() -> None:
    (job,) = yaml.safe_load((ROOT / "examples/github-actions.yml").read_text(encoding="utf-8"))["jobs"].values()
    (used,) = [step for step in job["steps"] if step.get("uses", "").startswith("OWNER/edgecv@")]
    assert set(used["with"]) <= set(ACTION["inputs"])


GH = """#!{python}
# What the GitHub client is asked for by the workflow: the comments there are, a change of one, a new one.
import json, os, pathlib, sys
store = pathlib.Path({store!r})
comments = json.loads(store.read_text()) if store.exists() else {{}}
arguments = sys.argv[1:]
if "--method" not in arguments:
    print("\\n".join(key for key, body in comments.items() if body.startswith(os.environ["marker"])))
else:
    address, body = arguments[3], pathlib.Path(arguments[5].removeprefix("body=@")).read_text()
    key = address.rsplit("/", 1)[1] if arguments[2] == "PATCH" else str(100 + len(comments))
    store.write_text(json.dumps({{**comments, key: body}}))
"""


def test_the_workflows_last_step_changes_its_own_comment(runner: Runner, measured: Path, tmp_path: Path) -> None:
    (job,) = yaml.safe_load((ROOT / "examples/github-actions.yml").read_text(encoding="utf-8"))["jobs"].values()
    gh, store = tmp_path / "bin/gh", tmp_path / "comments.json"
    gh.write_text(GH.format(python=sys.executable, store=str(store)), encoding="utf-8")
    gh.chmod(0o755)
    store.write_text(json.dumps({"7": "What a nice change"}))
    for value, word in ((0.98, "passed"), (0.9, "failed")):
        _worsened(measured, value=value)
        done = runner.run()
        environment = {
            "PATH": f"{gh.parent}:{os.environ['PATH']}", "COMMENT": done.outputs["comment"], "NUMBER": "3",
            "GITHUB_REPOSITORY": "someone/net",
        }  # fmt: skip
        subprocess.run(
            ["bash", "-eo", "pipefail", "-c", job["steps"][-1]["run"]], check=True, cwd=measured, env=environment
        )
        comments = json.loads(store.read_text())
        assert list(comments) == ["7", "101"]
        assert f"gates {word}" in comments["101"]


def test_the_hooks_name_a_command_that_is_there() -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    program, command, *options = hook["entry"].split()
    assert program == "edgecv"
    assert edgecv(command, *options, ROOT / "pyproject.toml").code == 0


@pytest.mark.slow
def test_real_files_from_the_float_model_to_the_verdict(runner: Runner, tmp_path: Path) -> None:
    """LeNet-5 trained on digits passes the gates recorded of it; the same network untrained, in its place, fails."""
    repository = tmp_path / "repository"
    models = repository / "models"
    models.mkdir()
    assert edgecv("train", "lenet5", "--epochs", 2, "--out", models / "float.keras").code == 0
    assert edgecv("quantize", models / "float.keras", "--out", models / "int8.tflite").code == 0
    ask = {"files": "models/*.tflite", "baseline": "models/float.keras", "data": "digits", "targets": "edgetpu"}
    # The first run has no gates yet; what it measured is what they are recorded from.
    first = runner.run(**ask)
    assert first.code == 2
    assert list(first.cached.values()) == [False]
    recorded = edgecv("check", repository / "gates.toml", "--record", repository / "edgecv-report/report.json")
    assert recorded.code == 0, recorded.err

    passing = runner.run(**ask)
    # Time on a busy machine is no part of this test: the latency gates are wide, but not infinite.
    wrong = [line for line in passing.annotations if "latency_ratio" not in line]
    assert wrong == []
    made = json.loads((repository / "edgecv-report/report.json").read_text())
    assert made["artifacts"][0]["value"] > 0.9

    assert edgecv("zoo", "build", "lenet5", "--out", models / "blank.keras").code == 0
    (models / "int8.tflite").unlink()
    blank = edgecv("quantize", models / "blank.keras", "--data", "digits", "--out", models / "int8.tflite")
    assert blank.code == 0, blank.err
    failing = runner.run(**ask)
    assert failing.code == 1
    assert any("int8.tflite%3A metric" in line for line in failing.annotations)
    assert failing.outputs["passed"] == "false"
    # The float model is what it was, so it was not converted again.
    assert list(failing.cached.values()) == [True]
    assert "report.html" in failing.uploaded["edgecv-report"]
