"""The ladder: which file it stops at, what it keeps when it is killed, and that a budget ends it."""

import contextlib
import json
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("tensorflow", reason="tensorflow is not installed")

from edgecv.cli import render_compress
from edgecv.cli.console import emit_json
from edgecv.core.errors import (
    ConfigError,
    ConversionError,
    DataError,
    GateFailure,
    MissingDependencyError,
    UnsupportedModelError,
)
from edgecv.core.files import sha256
from edgecv.data import open_dataset
from edgecv.jobs import convert as artifacts
from edgecv.jobs import ladder, models
from edgecv.jobs.evaluate import EvaluationRequest, evaluate_file
from edgecv.jobs.ladder import steps
from edgecv.jobs.trials.judge import Judge
from edgecv.modelio import env, manifest_for, save_keras
from edgecv.runtime.container import read_manifest
from edgecv.runtime.image import preprocess_batch
from edgecv.values.scores import Drop
from edgecv.values.specs import Head, Preprocessing, one_input
from tests.jobs.killing import finish, kill_when
from tests.reporters import Told

PER_TENSOR = 'title = "Per tensor"\ncount = 64\ngranularity = "per_tensor"\n'


def digits_cnn(spec, dataset):
    keras = env.keras()
    env.seed_everything(0)
    layers = keras.layers
    i = keras.Input(spec.input_shape, name="image")
    x = layers.ReLU(name="c1_act")(layers.BatchNormalization(name="c1_bn")(layers.Conv2D(8, 3, name="c1")(i)))
    x = layers.ReLU(name="c2_act")(layers.DepthwiseConv2D(3, name="c2")(x))
    x = layers.Conv2D(16, 1, activation="relu", name="c3")(x)
    model = keras.Model(i, layers.Dense(10, activation="softmax", name="out")(layers.Flatten()(x)), name="small")
    split = dataset.split("train")
    inputs = preprocess_batch([split.image(index) for index in range(len(split))], spec)
    model.compile(keras.optimizers.Adam(5e-3), "sparse_categorical_crossentropy")
    model.fit(inputs, split.targets[0], epochs=6, batch_size=32, verbose=0)
    return model


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A trained CNN, and the same function with channels of very different size."""
    folder = tmp_path_factory.mktemp("ladder")
    dataset = open_dataset("digits")
    head = Head(name="out", task="classification", activation="probabilities", labels=dataset.labels)
    spec = one_input(name="small", input_shape=(8, 8, 1), heads=(head,), preprocessing=Preprocessing(color="gray"))
    model = digits_cnn(spec, dataset)
    manifest = manifest_for(spec, recipe={"step": "train"}, dataset="digits")
    plain = save_keras(model, folder / "plain.keras", manifest)
    factors = np.exp(np.random.default_rng(0).uniform(np.log(0.005), np.log(200), 8)).astype(np.float32)
    gamma, beta, *rest = model.get_layer("c1_bn").get_weights()
    model.get_layer("c1_bn").set_weights([gamma * factors, beta * factors, *rest])
    kernel, bias = model.get_layer("c2").get_weights()
    model.get_layer("c2").set_weights([kernel / factors[:, None], bias])
    uneven = save_keras(model, folder / "uneven.keras", manifest)
    return {"plain": plain, "uneven": uneven}


def accuracy(path):
    return evaluate_file(path, EvaluationRequest(data="digits", split="test")).value


def test_uneven_channels_by_tensor_are_lost_and_recovered(files, tmp_path):
    recipe = tmp_path / "per_tensor.toml"
    recipe.write_text(PER_TENSOR)
    source = models.Source(path=files["uneven"])
    plan = artifacts.Plan(scheme="int8", data="digits", calibration=str(recipe))
    baseline = accuracy(files["uneven"])
    assert baseline == pytest.approx(accuracy(files["plain"]), abs=0.004)
    try:
        lost = accuracy(artifacts.make(source, plan, out=tmp_path / "plain.tflite").path)
    except ConversionError:  # so far off that the check after conversion refused it
        lost = 0.0
    assert baseline - lost >= 0.05
    better = replace(plan, equalise=True, adaround=True)
    made = artifacts.make(source, better, out=tmp_path / "better.tflite")
    assert made.steps == ("equalise", "adaround")
    assert baseline - accuracy(tmp_path / "better.tflite") <= 0.01
    recorded = read_manifest(tmp_path / "better.tflite").provenance.recipe["preparation"]
    assert recorded["steps"] == ["equalise", "adaround"]
    assert recorded["recipe"]["per_channel"] is False
    artifacts.make(source, better, out=tmp_path / "again.tflite")
    assert sha256(tmp_path / "better.tflite") == sha256(tmp_path / "again.tflite")


def plan(max_drop, **changes):
    limits = {name: changes.pop(name) for name in ("budget_seconds", "max_trials") if name in changes}
    settings = {"scheme": "int8", "data": "digits", "epochs": 1, "calibration": "diverse", **changes}
    return ladder.LadderPlan(max_drop=max_drop, plan=artifacts.Plan(**settings), **limits)


def test_the_first_file_that_passes_ends_the_climb(files, tmp_path):
    out = tmp_path / "out.tflite"
    done = ladder.climb(models.Source(path=files["plain"]), plan(5.0), out=out)
    assert (done.passed, done.stopped, done.chosen, len(done.trials)) == (True, "passed", "ptq", 1)
    assert done.trials[0].sha256 == sha256(out)
    assert done.trials[0].drop <= 5.0
    low, high = done.trials[0].drop_ci95
    assert low <= done.trials[0].drop <= high
    assert not list(tmp_path.glob(".*"))
    ladder.require_passed(done)
    with pytest.raises(ConfigError, match="exists"):
        ladder.climb(models.Source(path=files["plain"]), plan(5.0), out=out)


@pytest.fixture
def worse(monkeypatch):
    """Make every file seem to lose 10 points more than it does, so that none passes."""
    real = Judge.drop

    def drop(self, before, after):
        found = real(self, before, after)
        return Drop(value=found.value + 10, ci95=(found.ci95[0] + 10, found.ci95[1] + 10))

    monkeypatch.setattr(Judge, "drop", drop)


def test_without_a_recipe_of_the_users_own_ranges_are_searched(files, tmp_path, worse):
    request = plan(0.0, calibration="minmax", max_trials=5)
    done = ladder.climb(models.Source(path=files["plain"]), request, out=tmp_path / "out.tflite")
    searched = ["ranges moving_average", "ranges percentile", "ranges mse"]
    assert [trial.step for trial in done.trials] == ["ptq", *searched, "+equalise"]
    assert len({trial.sha256 for trial in done.trials}) == 5
    best = min(done.trials[:4], key=lambda trial: trial.drop)
    folder = tmp_path / ".out.tflite.ladder"
    estimators = [
        read_manifest(folder / name).provenance.recipe["calibration"]["estimator"]
        for name in (f"{best.step.replace(' ', '-')}.tflite", "equalise.tflite")
    ]
    assert estimators[0] == estimators[1]


@pytest.mark.slow
def test_a_killed_climb_goes_on_to_the_top(files, tmp_path, worse, monkeypatch):
    out, source = tmp_path / "out.tflite", models.Source(path=files["uneven"])
    real, made = steps.Steps._artifact, []

    def artifact(self, rung):
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(rung.step)
        return real(self, rung)

    monkeypatch.setattr(steps.Steps, "_artifact", artifact)
    with pytest.raises(KeyboardInterrupt):
        ladder.climb(source, plan(0.0), out=out)
    assert made == ["ptq", "+equalise"]
    folder = tmp_path / ".out.tflite.ladder"
    trials = [json.loads(path.read_text()) for name in ("ptq", "equalise") for path in folder.glob(f"{name}-*.json")]
    best = min((t for t in trials if t["drop"] is not None), key=lambda t: t["drop"])
    assert sha256(out) == best["sha256"]

    again = []
    monkeypatch.setattr(steps.Steps, "_artifact", lambda self, rung: again.append(rung.step) or real(self, rung))
    done = ladder.climb(source, plan(0.0), out=out)
    assert again == ["+bias correction", "+adaround", "mixed16 1", "mixed 1", "qat"]
    assert [t.step for t in done.trials] == [*made, *again]
    assert (done.passed, done.stopped) == (False, "top")
    assert [t.scheme for t in done.trials] == ["int8"] * 4 + ["mixed", "mixed", "int8"]
    wide, kept = done.trials[4:6]
    assert (wide.int16, wide.keep_float) == (kept.keep_float, kept.int16)
    assert wide.int16
    assert wide.ranked_by in ("task metric", "noise")
    assert "labelled samples" in wide.ranking
    assert wide.ranking == kept.ranking
    assert {t.ranked_by for t in done.trials if not t.step.startswith("mixed")} == {""}
    assert done.trials[6].method == "qat"
    measured = [t for t in done.trials if t.drop is not None]
    assert sha256(out) == min(measured, key=lambda t: t.drop).sha256
    assert all(t.gained is not None for t in measured[1:])
    with pytest.raises(GateFailure, match="allowed 0 \\(stopped: top\\)"):
        ladder.require_passed(done)

    monkeypatch.setattr(steps, "ranked", lambda *_, **__: pytest.fail("the layers were ranked before"))
    kept = [t.sha256 for t in ladder.climb(source, plan(0.0), out=out).trials]
    assert again[5:] == []
    assert kept == [t.sha256 for t in done.trials]


def test_a_climb_under_sigkill_ends_with_the_same_bytes(files, tmp_path):
    """Killed as a step begins, and again when its file is written and not yet measured; then it goes on to its end."""
    recipe, out, log = tmp_path / "per_tensor.toml", tmp_path / "out.tflite", tmp_path / "log"
    recipe.write_text(PER_TENSOR)
    asked = ["quantize", files["uneven"], "--max-drop", "4", "--data", "digits", "--calibration", recipe]
    command = [str(part) for part in (*asked, "--out", out)]
    folder = tmp_path / ".out.tflite.ladder"
    kill_when(command, lambda said: "step +equalise" in said, log=log)
    first = {path: path.stat().st_mtime_ns for path in folder.glob("ptq-*.json")}
    assert len(first) == 1
    assert not list(folder.glob("equalise-*.json"))
    kill_when(command, lambda said: "evaluate +equalise" in said, log=log)
    assert "step ptq" not in log.read_text()
    assert not list(folder.glob("equalise-*.json"))
    assert {path: path.stat().st_mtime_ns for path in folder.glob("ptq-*.json")} == first
    said = finish(command)
    assert "step ptq" not in said
    assert "step +equalise" in said
    assert not folder.exists()
    whole = tmp_path / "whole.tflite"
    assert "step ptq" in finish([str(part) for part in (*asked, "--out", whole)])
    assert out.read_bytes() == whole.read_bytes()


def refuse(monkeypatch, error):
    """Let every step on weights and training on fail; calibration works."""
    real = steps.Steps._artifact

    def artifact(self, rung):
        if rung.step != "ptq":
            raise error
        return real(self, rung)

    monkeypatch.setattr(steps.Steps, "_artifact", artifact)


@pytest.mark.parametrize(
    "error",
    [
        ConversionError("71 of 864 weights differ\nmore of it", hint="report it"),
        UnsupportedModelError("works on models of one input", hint="report it"),
        DataError("got no samples", hint="report it"),
        ConfigError("needs labels", hint="report it"),
        MissingDependencyError("tfmot is not installed", hint="report it"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_step_that_fails_is_in_the_table_with_its_reason(files, tmp_path, worse, monkeypatch, error, capsys):
    refuse(monkeypatch, error)
    monkeypatch.setattr(steps, "ranked", lambda *_, **__: (_ for _ in ()).throw(error))
    out = tmp_path / "out.tflite"
    done = ladder.climb(models.Source(path=files["plain"]), plan(0.0), out=out)
    assert [t.step for t in done.trials] == ["ptq", "+equalise", "+bias correction", "+adaround", "mixed", "qat"]
    first, *others = done.trials
    what = f"{error.message.splitlines()[0]}; report it"
    assert (first.failure, done.chosen, done.stopped) == ("", "ptq", "top")
    assert {t.failure for t in others} == {what, f"the layers cannot be ranked: {what}"}
    assert all(t.drop is None and t.sha256 == "" for t in others)
    assert out.exists()

    monkeypatch.setenv("COLUMNS", "300")
    render_compress.climb(done)
    said = capsys.readouterr().out
    lines = [line for line in said.splitlines() if what in line]
    assert [line.split("│")[0].strip() for line in lines] == [t.step for t in others]
    emit_json(done)
    stated = {t["step"]: t["failure"] for t in json.loads(capsys.readouterr().out)["trials"]}
    assert stated == {t.step: t.failure for t in done.trials}


def test_mixed_steps_that_cannot_be_had_say_why(files, tmp_path, worse, monkeypatch):
    real, tried = steps.Steps._artifact, []

    def artifact(self, rung):
        tried.append(rung.step)
        raise ConversionError("no such file")

    monkeypatch.setattr(steps.Steps, "_artifact", artifact)
    done = ladder.climb(models.Source(path=files["plain"]), plan(0.0), out=tmp_path / "out.tflite")
    assert {t.step: t.failure for t in done.trials}["mixed"] == (
        "no step before made a file whose layers could be ranked"
    )
    assert "mixed" not in tried
    with pytest.raises(GateFailure, match="no file could be made"):
        ladder.require_passed(done)

    monkeypatch.setattr(steps.Steps, "_artifact", real)
    request = plan(0.0, target="edgetpu", max_trials=5)
    done = ladder.climb(models.Source(path=files["plain"]), request, out=tmp_path / "tpu.tflite")
    assert (done.trials[4].step, done.trials[4].failure) == (
        "mixed16", "target edgetpu does not run int16 activations",
    )  # fmt: skip


def test_what_the_first_step_cannot_have_is_wrong_with_the_request(files, tmp_path, monkeypatch):
    monkeypatch.setattr(steps.Steps, "_artifact", lambda *_: (_ for _ in ()).throw(ConfigError("no such recipe")))
    with pytest.raises(ConfigError, match="no such recipe"):
        ladder.climb(models.Source(path=files["plain"]), plan(0.0), out=tmp_path / "out.tflite")


@pytest.mark.slow
def test_weights_are_prepared_once_for_all_mixed_files_of_a_step(files, tmp_path, worse, monkeypatch):
    real, asked = artifacts.prepared, []

    def prepared(loaded, plan, dataset, **options):
        asked.append(plan.recipe.steps)
        return real(loaded, plan, dataset, **options)

    monkeypatch.setattr(artifacts, "prepared", prepared)
    found = steps.Ranked(layers=("c1", "c2", "c3", "out") * 4, wide=("c1", "c2"), by="noise", reason="made up")
    monkeypatch.setattr(steps, "ranked", lambda *_, **__: found)
    request = plan(0.0, max_trials=7)
    done = ladder.climb(models.Source(path=files["uneven"]), request, out=tmp_path / "out.tflite")
    mixed = [t for t in done.trials if t.step.startswith("mixed")]
    assert [t.step for t in mixed] == ["mixed16 1", "mixed16 2", "mixed 1"]
    made = [t for t in done.trials[:4] if t.drop is not None]
    assert {t.steps for t in mixed} == {min(made, key=lambda t: t.drop).steps}
    assert asked[:3] == [t.steps for t in done.trials[1:4]]
    assert len(asked) <= 4


def test_progress_says_how_much_is_left_and_what_is_known_from_before(files, tmp_path, worse):
    class Notes(Told):
        @contextlib.contextmanager
        def bar(self, label, total):
            yield lambda steps=1, note="": notes.append((label, total, note)) if label == "climb" else None

    source, request = models.Source(path=files["plain"]), plan(0.0, max_trials=2)
    for run in range(2):
        notes, told = [], Notes()
        ladder.climb(source, request, out=tmp_path / "out.tflite", reporter=told)
        whole = notes[0][1]
        assert [(label, total) for label, total, _ in notes] == [("climb", whole)] * 2
        left = [int(note.split(" left at most, about ")[0]) for *_, note in notes]
        assert left == [whole - 1, whole - 2]
        assert [line for line in told.infos if line.startswith("step ")] == (["step ptq", "step +equalise"], [])[run]


def test_budgets(files, tmp_path, worse):
    out, source = tmp_path / "out.tflite", models.Source(path=files["plain"])
    first = ladder.climb(source, plan(0.0, max_trials=1), out=out)
    assert (first.stopped, len(first.trials), out.exists()) == ("trial budget", 1, True)
    more = ladder.climb(source, plan(0.0, budget_seconds=1e-6), out=out)
    assert (more.stopped, more.trials) == ("time budget", first.trials)
    last = ladder.climb(source, plan(0.0, max_trials=2), out=out)
    assert last.trials[0] == first.trials[0]
    assert last.trials[1].step == "+equalise"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_drop": -1}, "must be 0 or more"),
        ({"max_drop": 1, "scheme": "float16"}, "chooses scheme, method and steps itself"),
        ({"max_drop": 1, "adaround": True}, "chooses scheme, method and steps itself"),
        ({"max_drop": 1, "max_trials": 0}, "--max-trials must be above 0"),
    ],
)
def test_wrong_requests(files, tmp_path, options, message):
    with pytest.raises(ConfigError, match=message):
        ladder.climb(models.Source(path=files["plain"]), plan(**options), out=tmp_path / "out.tflite")
    assert not list(tmp_path.iterdir())
