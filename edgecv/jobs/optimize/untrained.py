"""A candidate's network without its training: of the same shape, to be timed before anything is trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from edgecv import zoo
from edgecv.compress import lowrank, units
from edgecv.compress import slim as channels
from edgecv.compress.layer_graph import build, flattened, read
from edgecv.compress.prune import PruneRecipe, zeroed
from edgecv.core.errors import UnsupportedModelError
from edgecv.core.progress import Reporter, Unseen
from edgecv.data import Dataset
from edgecv.jobs import convert as artifacts
from edgecv.jobs import models, retrain
from edgecv.jobs import prune as pruning
from edgecv.jobs import train as training_job
from edgecv.jobs.compress_recipe import request_of
from edgecv.jobs.optimize.candidates import ANEW, SLIM, SPARSE, Built, Candidate, recipe_of
from edgecv.modelio import LoadedModel
from edgecv.values.specs import ModelSpec

ORDINARY = {"method": "ptq", "epochs": None, "equalise": False, "correct_bias": False, "adaround": False}
"""What changes no operator of a file: left out of one that is only timed."""


def shaped(loaded: LoadedModel, one: Candidate, dataset: Dataset, *, seed: int, reporter: Reporter) -> LoadedModel:
    """Return the float network of a candidate's shape, with weights of the model and no training.

    Raises:
        ConfigError, UnsupportedModelError: The model cannot be made so small, or not in this way.
    """
    if any(one[f"zoo.{way}"] != 1.0 for way in ANEW):
        loaded = _anew(loaded, one, dataset, seed=seed)
    spec, model = loaded.require_spec(), loaded.model
    quiet = Unseen(reporter)
    for way in SLIM:
        if one[f"slim.{way}"] != 1.0:
            recipe = channels.default_slim_recipe(
                spec,
                budget="macs" if way == "macs" else "bytes",
                share=one[f"slim.{way}"],
                score=one["slim.score"],
                multiple=one["slim.multiple"],
                min_share=one["slim.min_share"],
                rounds=1,
                seed=seed,
            )
            model = channels.untrained(model, spec, dataset, recipe, reporter=quiet)
    if one["low_rank.energy"] != 1.0:
        model = flattened(model)
        factors = lowrank.default_low_rank_recipe(spec, energy=one["low_rank.energy"])
        model = build(lowrank.factored(read(model), lowrank.ranks_for(read(model), factors)))
    if one["units.drop"]:
        model = _shorter(flattened(model), one["units.drop"])
    if one[SPARSE]:
        model = zeroed(model, _zeros(one, spec, seed))
    return replace(loaded, model=model)


def _anew(loaded: LoadedModel, one: Candidate, dataset: Dataset, *, seed: int) -> LoadedModel:
    """Return the architecture of a model in another width or for another size of input, with new weights."""
    step = recipe_of(one, data=dataset.uri, seed=seed, built=built(loaded)).steps[0]
    plan = retrain.RetrainPlan(**step.options, data=dataset.uri, seed=seed)
    model, spec, _, _ = training_job.untrained(retrain.plan_for(loaded, plan), dataset)
    manifest = replace(models.require_manifest(loaded), spec=spec)
    return replace(loaded, model=zoo.inference(model, spec), manifest=manifest)


def built(loaded: LoadedModel) -> Built:
    """Return what training anew starts from. Raises UnsupportedModelError: the architecture is not known."""
    width = float(retrain.architecture_of(models.require_manifest(loaded))["width"])
    return Built(width=width, input_size=loaded.require_spec().input_shape[0])


def _zeros(one: Candidate, spec: ModelSpec, seed: int) -> PruneRecipe:
    recipe = recipe_of(one, data=None, seed=seed)
    step = next(step for step in recipe.steps if step.method == "prune")
    plan = request_of(step, recipe, one.label)
    assert isinstance(plan, pruning.PrunePlan)
    return pruning.recipe_for(plan, spec)


def _shorter(model: Any, count: int) -> Any:
    """Return a network without some residual units: the last ones, since which cost least shows only on data."""
    names = tuple(units.residual_units(read(model)))
    if len(names) < count:
        raise UnsupportedModelError(
            f"model '{model.name}' has {len(names)} residual units that can go, asked for {count}",
            hint=f"drop {len(names)} at most",
        )
    return build(units.dropped(read(model), names[-count:]))


def write(
    loaded: LoadedModel, one: Candidate, dataset: Dataset, out: Path, *, data: str | None, seed: int, target: str,
    reporter: Reporter,
) -> Path:  # fmt: skip
    """Write the file of a candidate's shape, quantised by its scheme and calibrated, without any training.

    Raises:
        ConfigError, UnsupportedModelError, ConversionError: As `edgecv.jobs.convert.make`.
    """
    recipe = recipe_of(one, data=data, seed=seed, target=target)  # of its steps the last one alone
    plan = request_of(recipe.steps[-1], recipe, one.label)
    assert isinstance(plan, artifacts.Plan)
    plain = replace(plan, **ORDINARY)  # type: ignore[arg-type]
    small = artifacts.ending(
        shaped(loaded, one, dataset, seed=seed, reporter=reporter), plain, reporter=Unseen(reporter)
    )
    artifacts.built(small, plain, dataset, out=out, force=True, reporter=Unseen(reporter))
    return out
