"""`edgecv optimize` on a real network and real digits, from the command to a file that `compress` makes again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("tensorflow", reason="tensorflow is not installed")

from edgecv.cli.main import main
from edgecv.core import codec
from edgecv.core.errors import ConfigError, GateFailure
from edgecv.core.files import sha256
from edgecv.graphs import read_tflite
from edgecv.jobs import compress, models
from edgecv.jobs import train as training_job
from edgecv.jobs.optimize import defaults, job, verdict
from edgecv.jobs.optimize.candidates import candidate
from edgecv.jobs.optimize.knobs import Value
from edgecv.jobs.optimize.site import Site
from edgecv.jobs.optimize.space import read
from edgecv.jobs.optimize.workbench import Workbench
from edgecv.values.search import Outcome
from tests.jobs.killing import kill_when

SPACE = """[slim]
macs = [1.0, 0.8]
rounds = [1]
epochs = [1]

[quantize]
scheme = ["float32", "int8"]
"""


@pytest.fixture(scope="module")
def lenet5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("float") / "lenet5.keras"
    training_job.train(training_job.TrainPlan(name="lenet5", epochs=3), out=out)
    return out


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("space") / "space.toml"
    path.write_text(SPACE)
    return path


@pytest.fixture(scope="module")
def found(lenet5: Path, space: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """Where no device is: an Edge TPU's time is predicted, which takes no measurement."""
    out = tmp_path_factory.mktemp("search") / "out"
    plan = job.OptimizePlan(space=space, max_drop=8.0, target="edgetpu", thorough=True)
    return job.optimize(models.Source(path=lenet5), plan, out=out)


def test_the_outcome_says_what_was_found_and_how(found: Outcome) -> None:
    assert found.verdict in ("passed", "not shown")
    assert found.winner is not None
    assert found.winner.shown
    assert (found.kind, found.device) == ("predicted", "edgetpu")
    assert found.winner.faster is None, "a predicted time has no ratio to a float file that does not run there"
    assert [(rule.rule, rule.combinations) for rule in found.rules] == [("target", 2)]
    judged = [one for one in found.trials if one.full is not None]
    assert len(judged) == found.accuracies == 2
    assert {one.standing for one in found.trials} <= {"winner", "front", "passed", "not shown", "failed"}
    best = next(one for one in found.trials if one.id == found.winner.id)
    assert best.full is not None
    assert best.full.sha256 == found.winner.sha256 == sha256(Path(found.winner.path))
    assert found.winner.test is not None
    assert (found.winner.test.split, found.winner.validation.split) == ("test", "validation")
    stored = json.loads((Path(found.path) / "outcome.json").read_text())
    assert codec.decode(Outcome, stored, where="outcome.json") == found
    assert read(Path(found.path) / "space.toml").size == 4
    page = (Path(found.path) / "report.html").read_text()
    assert found.winner.label in page
    assert "target edgetpu runs int8" in page


def test_compress_makes_the_same_bytes_from_the_winners_recipe(found: Outcome, lenet5: Path, tmp_path: Path) -> None:
    assert found.winner is not None
    # Of the slimmed candidate, whichever won: its recipe trains.
    again = tmp_path / "again.tflite"
    compress.compress(models.Source(path=lenet5), Path(found.winner.recipe), out=again)
    assert sha256(again) == found.winner.sha256


def test_the_same_search_makes_nothing_anew(found: Outcome, lenet5: Path, space: Path) -> None:
    plan = job.OptimizePlan(space=space, max_drop=8.0, target="edgetpu", thorough=True)
    again = job.optimize(models.Source(path=lenet5), plan, out=Path(found.path))
    assert again.made == 0
    assert again.winner == found.winner
    assert again.trials == found.trials


def test_a_limit_that_nothing_is_shown_to_keep_is_a_failed_gate_that_says_how_many_samples(
    found: Outcome, lenet5: Path, space: Path
) -> None:
    plan = job.OptimizePlan(space=space, max_drop=0.5, target="edgetpu", thorough=True)
    done = job.optimize(models.Source(path=lenet5), plan, out=Path(found.path))
    assert done.made == 0, "another limit asks for no new accuracy"
    assert done.winner is not None
    assert not done.winner.shown
    with pytest.raises(GateFailure, match=r"allowed 0\.5"):
        verdict.require_passed(done)


def test_the_default_space_is_of_the_model_and_the_target(lenet5: Path) -> None:
    loaded = models.load(models.Source(path=lenet5))
    for target, schemes in (("cpu", {"int8", "dynamic", "float32"}), ("edgetpu", {"int8"})):
        given = defaults.default_space(loaded, defaults.facts(loaded, target))
        values = {knob.name: set(knob.values) for knob in given.knobs}
        assert values["quantize.scheme"] == schemes
        assert values["slim.macs"] == set(defaults.SHARES)
        assert "units.drop" not in values


def test_what_is_timed_of_a_sparse_file_has_its_zeros_left_out(lenet5: Path, tmp_path: Path) -> None:
    work = Workbench(Site(source=models.Source(path=lenet5)), tmp_path)
    settings: dict[str, Value] = {"prune.sparsity": 0.8, "prune.sparse": True}
    shape = work.shape_file(candidate(settings))
    assert sum(op.op == "DENSIFY" for op in read_tflite(shape.read_bytes()).ops) >= 3
    assert shape.stat().st_size < 0.4 * work.float_file.stat().st_size
    dense = candidate({"prune.sparsity": 0.8})
    assert dense.shape == candidate({}).shape, "zeros that stay in the file change no time"


def test_a_default_space_has_float16_arithmetic_where_it_can_be_judged(lenet5: Path) -> None:
    loaded = models.load(models.Source(path=lenet5))
    for half, schemes in (("", {"float16"}), ("no such CPU here", set())):
        known = defaults.facts(loaded, "arm64-dotprod", here=False, half=half)
        values = {knob.name: set(knob.values) for knob in defaults.default_space(loaded, known).knobs}
        assert values["quantize.scheme"] & {"float16"} == schemes
        assert ("quantize.arithmetic" in values) == bool(schemes)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--objective", "fastest"], "give --max-drop 1"),
        (["--objective", "quick"], "known: accurate, fastest, front, smallest"),
        (["--max-drop", "-1"], "must be 0 or more"),
        (["--max-drop", "nan"], "must be 0 or more"),
        (["--latency", "fast"], "write --latency 10ms"),
        (["--latency", "0ms"], "--latency must be above 0"),
        (["--bytes", "0"], "--bytes must be above 0"),
        (["--time", "3 parsecs"], "write --time 30m"),
        (["--trials", "0"], "--trials must be above 0"),
        (["--sampler", "cmaes"], "known: latency, nsga2, tpe"),
        (["--max-drop", "1", "--space", "no.toml"], "does not exist"),
        (["--max-drop", "1", "--device", "pi6"], "pi6"),
        (["--max-drop", "1", "--target", "edgetpi"], "edgetpu"),
    ],
)
def test_a_wrong_request_is_refused_with_the_way_out(
    lenet5: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["optimize", str(lenet5), "--out", str(tmp_path / "out"), *arguments])
    assert stop.value.code == 2
    assert said in capsys.readouterr().err


def test_a_folder_of_something_else_is_left_alone(lenet5: Path, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(ConfigError, match="files of something else"):
        job.optimize(models.Source(path=lenet5), job.OptimizePlan(max_drop=1.0), out=tmp_path)


@pytest.mark.slow
def test_a_killed_search_with_measured_times_goes_on(lenet5: Path, space: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ["optimize", str(lenet5), "--max-drop", "8", "--space", str(space), "--out", str(out), "--json"]
    trials = out / "study" / "trials"
    kill_when(command, lambda said: "time shapes: 2" in said or "MACs 0.8" in said, log=tmp_path / "first.log")
    kill_when(command, lambda said: any(trials.glob("*.json")), log=tmp_path / "second.log")
    kept = [path for path in (out / "study").rglob("*.json") if path.parent.name != "study" and path.name[0] != "."]
    before = {path: path.read_bytes() for path in kept}
    with pytest.raises(SystemExit) as stop:
        main(command)
    assert stop.value.code in (0, 1, None)
    assert all(path.read_bytes() == content for path, content in before.items())
    found = codec.decode(Outcome, json.loads((out / "outcome.json").read_text()), where="outcome.json")
    assert found.kind == "measured"
    assert found.winner is not None
    assert found.winner.cost.trained
    assert found.winner.cost.ratio_ci95 is not None
    again = tmp_path / "again.tflite"
    compress.compress(models.Source(path=lenet5), Path(found.winner.recipe), out=again)
    assert sha256(again) == found.winner.sha256
