"""The architecture of a model trained anew: in another width, for another size of input."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edgecv.core.errors import ConfigError, UnsupportedModelError
from edgecv.core.progress import QUIET
from edgecv.jobs import compress, models, retrain
from edgecv.jobs import train as training_job
from edgecv.jobs.optimize import defaults, rules, untrained
from edgecv.jobs.optimize.candidates import Built, candidate, recipe_of
from edgecv.modelio import LoadedModel
from edgecv.runtime import load


@pytest.fixture(scope="module")
def resnet8(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("anew") / "resnet8.keras"
    training_job.train(training_job.TrainPlan(name="resnet8", input_size=16, width=0.5, epochs=1), out=out)
    return out


@pytest.fixture(scope="module")
def loaded(resnet8: Path) -> LoadedModel:
    return models.load(models.Source(path=resnet8))


def test_a_trained_model_says_what_it_is(loaded: LoadedModel) -> None:
    manifest = models.require_manifest(loaded)
    assert retrain.architecture_of(manifest) == {"name": "resnet8", "variant": "canonical", "width": 0.5}


@pytest.mark.slow
def test_narrower_with_the_model_as_teacher(resnet8: Path, loaded: LoadedModel, tmp_path: Path) -> None:
    plan = retrain.RetrainPlan(width=0.25, epochs=1)
    assert retrain.plan_for(loaded, plan).teacher == resnet8
    saved = retrain.retrain(models.Source(path=resnet8), plan, out=tmp_path / "half.keras")
    assert saved.parameters < 0.5 * sum(weight.size for weight in loaded.model.get_weights())
    manifest = models.require_manifest(models.load(models.Source(path=tmp_path / "half.keras")))
    assert retrain.architecture_of(manifest)["width"] == 0.25
    assert manifest.spec.input_shape == (16, 16, 3)


def test_a_teacher_of_another_size_does_not_teach(loaded: LoadedModel) -> None:
    plan = retrain.plan_for(loaded, retrain.RetrainPlan(input_size=12, epochs=1))
    assert (plan.teacher, plan.input_size, plan.width, plan.data) == (None, 12, 0.5, "digits")
    assert retrain.plan_for(loaded, retrain.RetrainPlan(width=0.5, teach=False)).teacher is None


def test_what_cannot_be_built_anew_says_why(loaded: LoadedModel) -> None:
    manifest = models.require_manifest(loaded)
    bare = replace(manifest, provenance=replace(manifest.provenance, recipe={"step": "slim"}))
    with pytest.raises(UnsupportedModelError, match="does not say which architecture") as error:
        retrain.architecture_of(bare)
    assert "edgecv train NAME" in (error.value.hint or "")
    named = {"step": "train", "architecture": {"name": "lenet5", "variant": "canonical", "width": 1.0}}
    fixed = replace(manifest, provenance=replace(manifest.provenance, recipe=named))
    with pytest.raises(ConfigError, match="lenet5 has one width"):
        retrain.plan_for(replace(loaded, manifest=fixed), retrain.RetrainPlan(width=0.5))
    elsewhere = replace(manifest, provenance=replace(manifest.provenance, dataset="birds"))
    with pytest.raises(ConfigError, match="needs data"):
        retrain.plan_for(replace(loaded, manifest=elsewhere), retrain.RetrainPlan(width=0.5))


@pytest.mark.parametrize("wrong", [{"width": 0.0}, {"width": 5.0}, {"input_size": 0}])
def test_wrong_values(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="must be"):
        retrain.RetrainPlan(**wrong)  # type: ignore[arg-type]


def test_a_recipe_trains_anew_and_quantises(resnet8: Path, tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text('[[step]]\nmethod = "retrain"\ninput_size = 12\nepochs = 1\n[[step]]\nmethod = "quantize"\n')
    compress.compress(models.Source(path=resnet8), path, out=tmp_path / "small.tflite")
    with load(tmp_path / "small.tflite") as model:
        assert model.spec.input_shape == (12, 12, 3)


def test_candidates_of_a_search(loaded: LoadedModel) -> None:
    one = candidate({"zoo.width": 0.5, "zoo.size": 0.75, "zoo.epochs": 3, "quantize.scheme": "int8"})
    recipe = recipe_of(one, data=None, seed=0, built=untrained.built(loaded))
    assert recipe.steps[0].method == "retrain"
    assert dict(recipe.steps[0].options) == {"width": 0.25, "input_size": 12, "epochs": 3}
    assert untrained.built(loaded) == Built(width=0.5, input_size=16)
    assert one.trains
    assert one.label == "width 0.5, input 0.75, zoo epochs 3, int8"
    assert candidate({"zoo.epochs": 3}) == candidate({}), "epochs of what is not done"
    dataset = models.open_data("digits", models.require_manifest(loaded))
    shape = untrained.shaped(loaded, one, dataset, seed=0, reporter=QUIET)
    assert shape.require_spec().input_shape == (12, 12, 3)
    assert shape.model.count_params() < 0.5 * loaded.model.count_params()


def test_rules_leave_out_what_cannot_be_built(loaded: LoadedModel) -> None:
    assert (defaults.facts(loaded, "cpu").buildable, defaults.facts(loaded, "cpu").scalable) == ("", "")
    known = rules.Facts(scalable="lenet5 has one width")
    told = {rule.name: rule for rule in rules.rules(known)}
    assert told["width"].drops({"zoo.width": 0.5, "zoo.size": 1.0})
    assert not told["width"].drops({"zoo.width": 1.0, "zoo.size": 0.5})
