"""Quantisation-aware training of a model in a file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import edgecv.compress as compress
from edgecv.core import codec
from edgecv.core.files import check_output
from edgecv.core.progress import QUIET, Reporter
from edgecv.jobs.models import (
    SavedModel,
    Source,
    ancestry,
    check_keras,
    load,
    open_data,
    require_manifest,
    save,
    state_path,
    with_changes,
)
from edgecv.jobs.traits import Traits, traits
from edgecv.modelio import LoadedModel, env, manifest_for


@dataclass(frozen=True, slots=True, kw_only=True)
class QatPlan:
    """How long to train on with fake quantisation, on what data. None takes the defaults."""

    data: str | None = None
    epochs: int | None = None
    seed: int = 0


def train_quantized(
    source: Source, plan: QatPlan, *, out: Path, force: bool = False, reporter: Reporter = QUIET
) -> SavedModel:
    """Train a model on with fake quantisation, and save it. A killed run goes on from its last finished epoch.

    Raises:
        ConfigError: No data, or `out` cannot be written.
        UnsupportedModelError: The model has layers that cannot be trained with quantisation.
    """
    check_keras(out)
    check_output(out, force=force)
    aware, done = quantization_aware(load(source), plan, state=state_path(out), reporter=reporter)
    saved = save(aware.model, out, require_manifest(aware), done, force=force)
    return replace(saved, clusters=traits(aware.manifest).clusters)


def quantization_aware(
    loaded: LoadedModel, plan: QatPlan, *, state: Path, reporter: Reporter = QUIET
) -> tuple[LoadedModel, compress.QatModel]:
    """Return a model trained on with fake quantisation, with its manifest, and how the training went.

    Zeros, their pattern and clusters of the model stay; the manifest's recipe names them under "keeps".
    """
    parent = require_manifest(loaded)
    dataset = open_data(plan.data, parent)
    found = traits(parent)
    recipe = with_changes(
        compress.default_qat_recipe(parent.spec), epochs=plan.epochs, seed=plan.seed, clusters=found.clusters
    )
    if found.facts:
        reporter.info(f"training with quantisation keeps {found.words}")
    env.seed_everything(plan.seed)
    done = compress.quantize_aware(loaded.model, parent.spec, dataset, recipe, state=state, reporter=reporter)
    manifest = manifest_for(
        parent.spec, recipe=_qat_facts(recipe, found), seed=plan.seed,
        dataset=dataset.name, dataset_sha256=dataset.split("train").sha256, source_sha256=loaded.sha256,
        parents=ancestry(loaded), method="qat", sparsity=parent.sparsity,
    )  # fmt: skip
    return replace(loaded, model=done.model, manifest=manifest), done


def _qat_facts(recipe: compress.QatRecipe, found: Traits) -> dict[str, Any]:
    pattern = {"pattern": [int(part) for part in found.pattern.split(":")]} if found.pattern else {}
    keeps = {"keeps": found.facts} if found.facts else {}
    return {"step": "qat", **codec.encode(recipe), **pattern, **keeps}
