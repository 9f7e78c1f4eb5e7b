"""Recipes of compression: what is refused before any work, what a session says, and what a killed run keeps."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("tensorflow", reason="tensorflow is not installed")

from edgecv.core import codec
from edgecv.core.errors import ConfigError, GateFailure
from edgecv.core.files import sha256
from edgecv.jobs import compress as compression
from edgecv.jobs import compress_recipe as compression_recipe
from edgecv.jobs import models
from edgecv.jobs import prune as pruning
from edgecv.jobs import train as training_job
from edgecv.jobs.evaluate import EvaluationRequest, evaluate_file

EXAMPLE = Path(__file__).parents[2] / "examples" / "half-int8.toml"
STEPS = """title = "Narrower, zeros, int8"
data = "digits"

[[step]]
method = "slim"
macs = 0.6
rounds = 1
epochs = 1

[[step]]
method = "prune"
sparsity = 0.5
epochs = 1

[[step]]
method = "quantize"
adaround = true
"""


@pytest.fixture(scope="module")
def dense(tmp_path_factory: pytest.TempPathFactory) -> models.Source:
    out = tmp_path_factory.mktemp("dense") / "lenet5.keras"
    training_job.train(training_job.TrainPlan(name="lenet5", epochs=3), out=out)
    return models.Source(path=out)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.toml"
    path.write_text(STEPS)
    return path


def read(tmp_path: Path, text: str) -> compression_recipe.CompressionRecipe:
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    return compression_recipe.read(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('title = "nothing"\n', "no steps"),
        ('[[step]]\nmethod = "slimm"\n', "slim"),
        ('[[step]]\nmethod = "slim"\nmacs = 0.5\nround = 2\n', "unknown key 'round'"),
        ('[[step]]\nmethod = "quantize"\n[[step]]\nmethod = "slim"\nmacs = 0.5\n', "put it last"),
        ('[[step]]\nmethod = "quantize"\nmax_trials = 2\n', "max_drop"),
        ('step = "slim"\n', r"\[\[step\]\]"),
        ('[[step]]\nmethod = "quantize"\nmax_drp = 1\n', "did you mean 'max_drop'? known keys: scheme, "),
        ('[[step]]\nmethod = "slim"\nbyts = 0.5\n', "did you mean 'bytes'?"),
        ('max_dorp = 1\n[[step]]\nmethod = "quantize"\n', "known keys: title, data, seed, max_drop, step"),
        ('max_drop = -1\n[[step]]\nmethod = "quantize"\n', "0 or more"),
    ],
)
def test_a_wrong_recipe_is_refused_when_it_is_read(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        read(tmp_path, text)
    assert message.replace("\\", "") in f"{error.value.message} {error.value.hint}"


def test_the_example_reads() -> None:
    recipe = compression_recipe.read(EXAMPLE)
    assert [step.method for step in recipe.steps] == ["slim", "quantize"]


def test_options_of_commands_keep_their_names(tmp_path: Path) -> None:
    recipe = read(tmp_path, 'seed = 3\n[[step]]\nmethod = "slim"\nbytes = 0.5\n')
    request: Any = compression_recipe.request_of(recipe.steps[0], recipe, "here")
    assert (request.nbytes, request.seed) == (0.5, 3)


def test_an_output_that_does_not_fit_the_last_step(dense: models.Source, recipe: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="names no format"):
        compression.prepare(dense, compression_recipe.read(recipe), out=tmp_path / "x.keras")


def test_step_by_step(dense: models.Source, recipe: Path, tmp_path: Path) -> None:
    out = tmp_path / "small.tflite"
    with compression.prepare(dense, compression_recipe.read(recipe), out=out) as session:
        assert session.report().left == ("slim", "prune", "quantize")
        first = session.step()
        assert first is not None
        assert first.result["after"]["macs"] < 0.6 * first.result["before"]["macs"]
        halfway = session.report()
        assert (len(halfway.steps), halfway.left, halfway.finished) == (1, ("prune", "quantize"), False)
        assert not out.exists()
        done = session.finalize()
        assert session.step() is None
    assert done.finished
    assert out.exists()
    assert done.left == ()
    assert [step.method for step in done.steps] == ["slim", "prune", "quantize"]
    assert done.steps[1].result["sparsity"] >= 0.49
    assert done.steps[2].result["steps"] == ["adaround"]
    assert done.steps[2].sha256 == sha256(out)
    found = evaluate_file(out, EvaluationRequest(data="digits", split="validation"))
    assert done.steps[2].value == pytest.approx(found.value)
    assert done.steps[2].drop == pytest.approx(100 * (done.before - found.value))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["recipe.toml", "small.channels.json", "small.tflite"]
    json.dumps(codec.encode(done))


@pytest.mark.slow
def test_a_run_that_broke_off_keeps_its_finished_steps(
    dense: models.Source, recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tmp_path / "whole.tflite"
    compression.compress(dense, recipe, out=whole)
    taken: list[str] = []
    plain = pruning.prune

    def broken(*arguments: Any, **options: Any) -> Any:
        taken.append("prune")
        raise KeyboardInterrupt

    out = tmp_path / "small.tflite"
    monkeypatch.setattr(pruning, "prune", broken)
    with pytest.raises(KeyboardInterrupt):
        compression.compress(dense, recipe, out=out)
    kept = sha256(out.with_name(".small.tflite.steps") / "1-slim.keras")
    assert not out.exists()
    assert taken == ["prune"]

    def started_from(source: models.Source, *arguments: Any, **options: Any) -> Any:
        assert sha256(source.path) == kept
        return plain(source, *arguments, **options)

    monkeypatch.setattr(pruning, "prune", started_from)
    done = compression.compress(dense, recipe, out=out)
    assert done.finished
    assert sha256(out) == sha256(whole)


@pytest.mark.slow
def test_a_step_with_other_options_is_taken_again(dense: models.Source, tmp_path: Path) -> None:
    out = tmp_path / "small.keras"
    text = STEPS[: STEPS.rindex("[[step]]")].replace("sparsity = 0.5", "sparsity = {}")
    first = compression.prepare(dense, read(tmp_path, text.format(0.3)), out=out)
    first.step()
    first.step()
    again = compression.prepare(dense, read(tmp_path, text.format(0.6)), out=out)
    kept, changed = again.step(), again.step()
    assert kept == first.report().steps[0]
    assert changed is not None
    assert changed.result["sparsity"] == pytest.approx(0.6, abs=0.01)


def test_a_loss_beyond_the_allowed_one_is_told(dense: models.Source, tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text('[[step]]\nmethod = "quantize"\nmax_drop = 100.0\n')
    done = compression.compress(dense, path, out=tmp_path / "small.tflite")
    compression.require_passed(done)
    step = replace(done.steps[0], result={**done.steps[0].result, "passed": False})
    with pytest.raises(GateFailure, match="100"):
        compression.require_passed(replace(done, steps=(step,)))


def test_a_budget_of_the_whole_leaves_quantize_the_rest(dense: models.Source, tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(
        'max_drop = 60.0\n[[step]]\nmethod = "prune"\nsparsity = 0.5\nepochs = 1\n[[step]]\nmethod = "quantize"\n'
    )
    done = compression.compress(dense, path, out=tmp_path / "small.tflite")
    pruned, quantised = done.steps
    assert quantised.settings["max_drop"] == pytest.approx(60.0 - pruned.drop)
    assert (done.verdict, done.max_drop) == ("passed", 60.0)
    compression.require_passed(done)
    with pytest.raises(GateFailure, match="in all, allowed 60"):
        compression.require_passed(replace(done, verdict="failed"))


def test_the_demo_leaves_the_example() -> None:
    from edgecv.jobs.demo import FOLDER, demo_of

    assert EXAMPLE.name in demo_of().leaves
    assert (FOLDER / "left" / EXAMPLE.name).read_bytes() == EXAMPLE.read_bytes()
