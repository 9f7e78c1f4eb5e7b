"""Every task from made-up data to a report, through one suite; and a task of one's own, without a change to edgecv."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from edgecv import runtime
from edgecv.data import Dataset
from edgecv.data.schemes import SCHEMES, Scheme
from edgecv.data.sheet import contact_sheet
from edgecv.data.synthetic import synthetic
from edgecv.evaluate import drop_between
from edgecv.jobs import check, convert, evaluate, models, report, verify
from edgecv.modelio import manifest_for, save_keras
from edgecv.report import report_schema
from edgecv.tasks.registry import TASKS, registered, task_of
from edgecv.train import TrainRecipe, train
from edgecv.values.evaluation import Evaluation
from tests.conformance.counting import CountTask
from tests.conformance.networks import ROWS, network

BUILT_IN = TASKS.names()
OWN = CountTask()
SUFFIXES = ("tflite", "onnx")
COUNT = 64


@dataclass(frozen=True, kw_only=True)
class Made:
    """A task's network, trained for an epoch, and its int8 files."""

    task: Any
    data: Dataset
    uri: str
    keras: Path
    history: Any
    files: dict[str, Path]

    @property
    def head(self) -> Any:
        return runtime.read_manifest(self.keras).spec.head

    def evaluated(self, file: Path) -> Evaluation:
        return evaluate.evaluate_file(file, evaluate.EvaluationRequest(data=self.uri))


@pytest.fixture(scope="module", autouse=True)
def own_task() -> Iterator[None]:
    with registered(OWN):
        yield
    assert OWN.name not in TASKS


@pytest.fixture(scope="module", params=list(ROWS))
def made(request: Any, tmp_path_factory: Any, own_task: None) -> Iterator[Made]:
    task, folder = TASKS.get(ROWS[request.param][0].task), tmp_path_factory.mktemp("made")
    model, spec = network(request.param, task.compares)
    data = synthetic(spec, samples=COUNT)
    address = "conformance"
    SCHEMES.add(address, Scheme(form=address, title="", takes_path=False, open=lambda _, seed: data))
    try:
        done = train(model, spec, data, TrainRecipe(epochs=1, batch_size=16))
        keras = folder / "m.keras"
        save_keras(done.model, keras, manifest_for(spec, recipe={"step": "train"}, dataset=address))
        files = {suffix: folder / f"m.{suffix}" for suffix in SUFFIXES}
        for file in files.values():
            convert.make(models.Source(path=keras), convert.Plan(scheme="int8", data=address), out=file)
        yield Made(task=task, data=data, uri=address, keras=keras, history=done.history, files=files)
    finally:
        SCHEMES.remove(address)


@pytest.fixture(scope="module")
def reported(made: Made, tmp_path_factory: Any) -> Path:
    """A report without latencies: what is timed is files, whatever their task."""
    out = tmp_path_factory.mktemp("report")
    request = report.ReportRequest(data=made.uri, targets=("cpu",), baseline_engine="litert")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "_time", lambda *_: ())
        report.report_files(tuple(made.files.values()), request, baseline=made.keras, out=out)
    return out / "report.json"


def finite(value: Any) -> bool:
    return isinstance(value, float) and math.isfinite(value)


def test_every_task_has_a_network_here() -> None:
    assert {head.task for head, _ in ROWS.values()} == {*BUILT_IN, OWN.name}, "give the new task a row in networks.py"


def test_it_trains(made: Made) -> None:
    (epoch,) = made.history
    assert finite(epoch.loss)
    assert finite(epoch.head_values[0])


def test_its_files_answer_as_when_they_were_made(made: Made) -> None:
    for file in made.files.values():
        found = verify.verify(file)
        assert (found.passed, found.n > 0) == (True, True), found.failure


def test_figures_of_both_engines(made: Made) -> None:
    reference = made.evaluated(made.keras)
    assert (reference.metric, reference.n) == (made.task.metric, COUNT // 4)
    for file in made.files.values():
        found = made.evaluated(file)
        (head,) = found.heads
        assert (head.head.task, head.metric, finite(found.value)) == (made.task.name, made.task.metric, True)
        figures = [*head.figures.values(), *(x for row in head.per_label.values() for x in row.values())]
        assert figures
        assert all(x is None or math.isfinite(x) for x in figures)
        drop = drop_between(reference, found)
        assert drop is not None
        assert drop.ci95[0] <= drop.value <= drop.ci95[1]
        assert drop.value == pytest.approx(made.task.metric.loss(reference.value, found.value), abs=1e-6)
    same = drop_between(reference, made.evaluated(made.keras))
    assert same is not None
    assert same.value == 0
    assert same.ci95[0] <= 0 <= same.ci95[1]


def test_its_report_is_valid(made: Made, reported: Path) -> None:
    document = json.loads(reported.read_text())
    Draft202012Validator(report_schema()).validate(document)
    assert [artifact["name"] for artifact in document["artifacts"]] == [file.name for file in made.files.values()]
    for artifact in document["artifacts"]:
        (head,) = artifact["heads"]
        assert (head["task"], artifact["metric"]["name"]) == (made.task.name, made.task.metric.name)
        assert artifact["drop_ci95"][0] <= artifact["drop"] <= artifact["drop_ci95"][1]
    for page in ("report.html", "report.md"):
        # Markdown escapes underscores.
        assert made.task.metric.name in reported.with_name(page).read_text().replace("\\", "")


def test_gates_see_a_model_that_got_worse(made: Made, reported: Path) -> None:
    gates = check.record(reported.with_name("gates.toml"), reported, force=True)
    assert check.run(gates).passed
    better = 3.0 if made.task.metric.better == "higher" else -3.0
    text, count = re.subn(
        r"(?m)^(metric = \{reference = )([^,]+)", lambda m: f"{m[1]}{float(m[2]) + better}", gates.read_text()
    )
    assert count == len(SUFFIXES)
    gates.write_text(text)
    outcome = check.run(gates)
    failed = [(result.figure, result.status) for result in outcome.results if not result.passed]
    assert (outcome.passed, failed) == (False, [("metric", "regression")] * len(SUFFIXES))


def test_predictions(made: Made) -> None:
    split = made.data.split("test")
    record = split.record(0)
    sample = record.inputs if made.task.compares > 1 else record.inputs[0]
    for file in made.files.values():
        with runtime.load(file) as predictor:
            found = predictor.predict(sample)
        assert len(found) >= 1
        assert json.loads(json.dumps(found.to_dict())) == found.to_dict() != {}
        assert [name for name in found.heads] == [made.head.name]
        picture = found.draw(sample)
        assert picture.mode == "RGB"
        assert min(picture.size) >= 256
        for prediction, truth in ((found, record.truths[0]), (None, record.truths[0]), (found, None)):
            drawn = made.task.render(sample, prediction, truth, made.head.labels)
            assert (drawn.mode, np.asarray(drawn).std() > 0) == ("RGB", True)


def test_its_data_are_described_and_drawn(made: Made) -> None:
    from edgecv.data import describe

    (found,) = describe(made.data).targets
    assert found.counts or found.spread or found.shares
    assert contact_sheet(made.data, made.data.split("test")).mode == "RGB"
    assert task_of(made.head) is made.task


def test_nothing_of_the_package_names_the_task_of_ones_own() -> None:
    for path in (Path(runtime.__file__).parents[1]).rglob("*.py"):
        assert OWN.metric.name not in path.read_text(encoding="utf-8"), path
