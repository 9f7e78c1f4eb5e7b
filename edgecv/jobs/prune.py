"""Making weights zero or few: `edgecv prune`, from paths to a saved `.keras` with its manifest."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import edgecv.compress as compress
from edgecv.compress import cluster as clustering
from edgecv.core import codec
from edgecv.core.errors import ConfigError
from edgecv.core.files import check_output
from edgecv.core.progress import QUIET, Reporter
from edgecv.data import Dataset
from edgecv.jobs import contract, models, sparse_kernels
from edgecv.modelio import LoadedModel, env, manifest_for
from edgecv.modelio.opaque import require_layers
from edgecv.train import TrainRecipe
from edgecv.values.specs import ModelSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class PrunePlan:
    """How far to prune, on what data. None takes the defaults; `data` None the data of training.

    One of the first three is given.

    Attributes:
        sparsity: Share of zeros to reach.
        pattern: "2:4": zeros in each block of input channels.
        clusters: Values of each kernel; those that are zero stay zero.
    """

    sparsity: float | None = None
    pattern: str | None = None
    clusters: int | None = None
    data: str | None = None
    epochs: int | None = None
    seed: int = 0


def prune(
    source: models.Source, plan: PrunePlan, *, out: Path, force: bool = False, reporter: Reporter = QUIET
) -> models.SavedModel:
    """Prune or cluster a model while training on, and save it. A killed run goes on from its last finished epoch.

    Raises:
        ConfigError: Not one of sparsity, pattern and clusters, one outside its range, no data, or `out` cannot be
            written.
        ConversionError: The asked sparsity was not reached.
    """
    models.check_keras(out)
    check_output(out, force=force)
    _check_one_way(plan)
    loaded = contract.opened(source, plan.data, reporter=reporter)
    require_layers(loaded.model)
    parent = models.require_manifest(loaded)
    dataset = models.open_data(plan.data, parent)
    env.seed_everything(plan.seed)
    done, recipe = _pruned(loaded, parent.spec, dataset, plan, state=models.state_path(out), reporter=reporter)
    facts = {"step": "cluster" if plan.clusters else "prune", **codec.encode(recipe)}
    if plan.clusters and parent.provenance.recipe.get("pattern"):
        facts["pattern"] = parent.provenance.recipe["pattern"]  # zeros stay where they are
    sparsity = compress.measure(done.model).share
    manifest = manifest_for(
        parent.spec, recipe=facts, seed=plan.seed, dataset=dataset.name, dataset_sha256=dataset.split("train").sha256,
        source_sha256=loaded.sha256, parents=models.ancestry(loaded), sparsity=sparsity if sparsity else None,
    )  # fmt: skip
    saved = models.save(done.model, out, manifest, done, force=force)
    values = clustering.distinct_values(done.model).values()
    weights = b"".join(weight.tobytes() for weight in done.model.get_weights())
    return replace(
        saved, clusters=max(values) if plan.clusters else None, gzip_weight_bytes=clustering.gzip_bytes(weights),
        sparse_kernels=None if plan.clusters else sparse_kernels.of_model(done.model, reporter),
    )  # fmt: skip


def _check_one_way(plan: PrunePlan) -> None:
    given = [plan.sparsity, plan.pattern, plan.clusters]
    if sum(value is not None for value in given) != 1:
        raise ConfigError("prune goes one way at a time", hint="pass one of --sparsity, --pattern 2:4 and --clusters")
    if plan.pattern is not None and not re.fullmatch(r"[1-9]:[1-9]\d?", plan.pattern):
        raise ConfigError(f"--pattern {plan.pattern} is no pattern", hint="write it like 2:4")


def _pruned(
    loaded: LoadedModel, spec: ModelSpec, dataset: Dataset, plan: PrunePlan, *, state: Path, reporter: Reporter
) -> tuple[Any, TrainRecipe]:
    """Return the pruned or clustered model with its history, and the recipe."""
    if plan.clusters is not None:
        changes = {"epochs": plan.epochs, "seed": plan.seed}
        few = clustering.default_cluster_recipe(spec, clusters=plan.clusters, keep_zeros=True, **changes)
        done = clustering.cluster(loaded.model, spec, dataset, few, state=state, reporter=reporter)
        return done, few
    recipe = recipe_for(plan, spec)
    return compress.prune(loaded.model, spec, dataset, recipe, state=state, reporter=reporter), recipe


def recipe_for(plan: PrunePlan, spec: ModelSpec) -> compress.PruneRecipe:
    """Return how a plan with a sparsity or a pattern prunes a model of this contract."""
    sparsity, pattern = plan.sparsity or 0.0, None
    if plan.pattern is not None:
        zeros, block = (int(part) for part in plan.pattern.split(":"))
        sparsity, pattern = zeros / block, (zeros, block)
    recipe = compress.default_prune_recipe(spec, sparsity=sparsity)
    found: compress.PruneRecipe = models.with_changes(recipe, pattern=pattern, epochs=plan.epochs, seed=plan.seed)
    return found
