"""Training the architecture of a model anew: narrower, or on smaller images, with the model as teacher."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecv import zoo
from edgecv.core.errors import ConfigError, UnsupportedModelError
from edgecv.core.progress import QUIET, Reporter
from edgecv.jobs import models
from edgecv.jobs import train as training_job
from edgecv.modelio import LoadedModel
from edgecv.values.manifest import Manifest


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrainPlan:
    """What changes. None keeps what the model has.

    Attributes:
        width: Multiplier of the channels of the architecture as published.
        input_size: Height and width of the input.
        data: Trains and validates; None: what the model was trained on, where it is a bundled set.
        recipe: Name of a shipped recipe, or a TOML file; None: the architecture's own.
        teach: Whether the model teaches, where the inputs are of its size.
    """

    width: float | None = None
    input_size: int | None = None
    data: str | None = None
    recipe: str | None = None
    epochs: int | None = None
    learning_rate: float | None = None
    teach: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        if self.width is not None and not 0 < self.width <= 4:
            raise ConfigError(f"width must be > 0 and <= 4, got {self.width}")
        if self.input_size is not None and self.input_size < 1:
            raise ConfigError(f"input_size must be 1 or more, got {self.input_size}")


def architecture_of(manifest: Manifest) -> Mapping[str, Any]:
    """Return the name, variant and width of the architecture that a model was trained as.

    Raises:
        UnsupportedModelError: `edgecv train` did not write it, or something was done to it since.
    """
    known = manifest.provenance.recipe.get("architecture")
    if not isinstance(known, Mapping):
        raise UnsupportedModelError(
            f"'{manifest.spec.name}' does not say which architecture of the zoo it is, so it cannot be built anew",
            hint="start from a file that `edgecv train NAME` wrote, before it was slimmed or pruned",
        )
    return known


def plan_for(loaded: LoadedModel, plan: RetrainPlan) -> training_job.TrainPlan:
    """Return how the architecture of a model is trained anew.

    Raises:
        UnsupportedModelError: As `architecture_of`.
        ConfigError: The architecture has one width, or there is no data.
    """
    manifest = models.require_manifest(loaded)
    known, spec = architecture_of(manifest), manifest.spec
    name = str(known["name"])
    if plan.width is not None and not zoo.get(name).scalable:
        raise ConfigError(f"{name} has one width", hint="change its input_size, or slim it")
    size = spec.input_shape[0]
    if plan.input_size is not None and len(spec.input_shape) != 3:
        raise ConfigError(f"{name} takes no images, so it has no input size")
    data = plan.data or (manifest.provenance.dataset if manifest.provenance.dataset in models.BUNDLED else None)
    if data is None:
        raise ConfigError(f"training {name} anew needs data", hint="give --data")
    teaches = plan.teach and plan.input_size in (None, size)
    return training_job.TrainPlan(
        name=name, variant=str(known["variant"]), data=data, width=plan.width or float(known["width"]),
        input_size=plan.input_size or (size if len(spec.input_shape) == 3 else None), recipe=plan.recipe,
        epochs=plan.epochs, learning_rate=plan.learning_rate, teacher=loaded.path if teaches else None, seed=plan.seed,
    )  # fmt: skip


def retrain(
    source: models.Source, plan: RetrainPlan, *, out: Path, force: bool = False, reporter: Reporter = QUIET
) -> models.SavedModel:
    """Train the architecture of a model anew and save it. A killed run goes on where it was.

    Args:
        source: A model that `edgecv train` wrote.
        plan: What changes.

    Raises:
        EdgecvError: As `plan_for` and `edgecv.jobs.train.train`.
    """
    return training_job.train(plan_for(models.load(source), plan), out=out, force=force, reporter=reporter)
