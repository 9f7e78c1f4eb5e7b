"""Making a network of the zoo without training: a filter, whose weights are fixed, or one to train elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgecv import zoo
from edgecv.core.files import check_output, sha256
from edgecv.core.progress import QUIET, Reporter
from edgecv.core.shown import Shown
from edgecv.jobs.models import check_keras
from edgecv.modelio import manifest_for, save_keras
from edgecv.modelio.opening import input_size


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildPlan:
    """Which network.

    Attributes:
        name: Of the architecture; `variant` of it.
        input_size: "224" or "224x320", when it is not the published one.
        width: Multiplier of the channels, for architectures that scale.
        weights: "imagenet" or a file, for architectures that take one; of `pattern_match` its template.
    """

    name: str
    variant: str = "canonical"
    input_size: str | None = None
    width: float = 1.0
    weights: str | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltModel(Shown):
    """A network that was built and written, untrained.

    Attributes:
        output_shapes: Without the batch, by the model's outputs.
        macs: Multiply-accumulates of one inference.
        is_fixed: Whether nothing of it can be trained: a filter, which is ready.
    """

    path: str
    name: str
    variant: str
    input_shape: tuple[int, ...]
    output_shapes: tuple[tuple[int, ...], ...]
    parameters: int
    macs: int
    is_fixed: bool
    size_bytes: int
    sha256: str


def build(plan: BuildPlan, *, out: Path, force: bool = False, reporter: Reporter = QUIET) -> BuiltModel:
    """Build an architecture, save it with its contract, and warn where its weights say nothing yet.

    Raises:
        ConfigError: Unknown name or variant, an option that the architecture does not have, or an unwritable `out`.
    """
    check_keras(out)
    check_output(out, force=force)
    entry = zoo.get(plan.name)
    size = input_size(plan.input_size) if plan.input_size else None
    model, spec = zoo.build(
        plan.name, variant=plan.variant, width=plan.width, weights=plan.weights, seed=plan.seed,
        input_shape=(*size, *entry.input_shape[2:]) if size else None,
    )  # fmt: skip
    is_fixed = not model.trainable_weights
    if not is_fixed and plan.weights is None:
        reporter.warn(f"the weights of {plan.name} are random: it answers nothing of use before `edgecv train`")
    recipe = {"step": "build", "weights": plan.weights} if plan.weights else {"step": "build"}
    save_keras(model, out, manifest_for(spec, recipe=recipe, seed=plan.seed), force=force)
    cost = zoo.profile(model)
    return BuiltModel(
        path=str(out), name=spec.name, variant=spec.variant, input_shape=tuple(spec.input_shape),
        output_shapes=tuple(tuple(int(side) for side in one.shape[1:]) for one in model.outputs),
        parameters=cost.parameters, macs=cost.macs, is_fixed=is_fixed, size_bytes=out.stat().st_size,
        sha256=sha256(out),
    )  # fmt: skip
