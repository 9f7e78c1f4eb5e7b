"""What a CPU computes in float16 is judged on that CPU: by a search, by export and by a report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tensorflow", reason="tensorflow is not installed")

from edgecv.jobs import convert, models, report
from edgecv.jobs import export as exporting
from edgecv.jobs import train as training_job
from edgecv.jobs.evaluate import EvaluationRequest, open_predictor
from edgecv.jobs.optimize import job, workbench
from edgecv.jobs.optimize.candidates import candidate
from edgecv.jobs.optimize.site import Site
from edgecv.runtime import read_manifest
from tests.bench.devices.test_emulated import ready

SPACE = """[quantize]
scheme = ["float32", "float16"]
arithmetic = ["float16"]
"""


@pytest.fixture(scope="module")
def lenet5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("float") / "lenet5.keras"
    training_job.train(training_job.TrainPlan(name="lenet5", epochs=3), out=out)
    return out


def space(tmp_path: Path) -> Path:
    path = tmp_path / "space.toml"
    path.write_text(SPACE)
    return path


@pytest.mark.slow
def test_a_search_judges_it_on_the_device(lenet5: Path, tmp_path: Path) -> None:
    ready("arm64")
    plan = job.OptimizePlan(
        space=space(tmp_path), max_drop=5.0, goal="smallest", target="arm64-dotprod", device="arm64", thorough=True
    )
    found = job.optimize(models.Source(path=lenet5), plan, out=tmp_path / "out")
    assert found.winner is not None
    assert found.winner.label == "float16, computed in float16"
    assert found.winner.test is not None
    assert found.winner.test.device == found.winner.validation.device == "arm64"
    assert found.winner.cost.kind == "simulated"
    assert read_manifest(Path(found.winner.path)).provenance.recipe["arithmetic"] == "float16"
    assert "test, on arm64" in (tmp_path / "out" / "report.html").read_text()


def test_a_candidate_is_judged_where_it_is_timed_if_its_answers_are_that_devices(
    lenet5: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def opened(file: Path, request: EvaluationRequest) -> Any:
        asked.append(request.device)
        return open_predictor(file, EvaluationRequest())

    monkeypatch.setattr(workbench, "open_predictor", opened)
    site = Site(source=models.Source(path=lenet5), device="pi5", further_devices=("phone",))
    work = workbench.Workbench(site, tmp_path)
    half = candidate({"quantize.scheme": "float16", "quantize.arithmetic": "float16"})
    for one, devices in ((candidate({"quantize.scheme": "float16"}), []), (half, ["pi5", "phone"])):
        asked.clear()
        found = work.judged(work.float_file, one, work.judge, n=40)
        assert (asked, found.n, found.drop.value) == (devices, 40, 0.0)
    assert (work.judged_on(half), work.judged_on(candidate({}))) == ("pi5, phone", None)


def test_a_search_that_reaches_no_such_cpu_says_so(lenet5: Path, tmp_path: Path) -> None:
    plan = job.OptimizePlan(space=space(tmp_path), max_drop=5.0, target="edgetpu", cluster="tcp://127.0.0.1:1")
    assert "no worker" in job.why_not_half(plan)


@pytest.mark.slow
def test_export_makes_and_judges_one_for_a_cpu_that_has_it(lenet5: Path, tmp_path: Path) -> None:
    ready("arm64")
    plan = exporting.ExportPlan(targets=("arm64-dotprod",), device="arm64", max_drop=5.0, max_trials=1)
    done = exporting.export(models.Source(path=lenet5), plan, out=tmp_path / "out")
    half = next(one for one in done.artifacts if one.name == "lenet5-float16-arithmetic.tflite")
    assert half.metric_kind == "simulated"
    assert half.drop is not None
    warnings = json.loads(Path(done.report).read_text())["warnings"]
    assert any("evaluated on arm64" in warning for warning in warnings)


def test_a_report_that_cannot_judge_it_says_so(lenet5: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgecv.targets.cpu.computes_half", lambda target: False)
    file = tmp_path / "half.tflite"
    plan = convert.Plan(scheme="float16", arithmetic="float16", data="digits")
    convert.make(models.Source(path=lenet5), plan, out=file)
    made = report.report_files([file], report.ReportRequest(targets=("cpu",)), baseline=lenet5, out=tmp_path / "out")
    assert any("accuracy of float32 arithmetic" in warning for warning in made.report.warnings)
