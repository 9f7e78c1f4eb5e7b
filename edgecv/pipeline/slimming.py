"""Making a network smaller but dense: `edgecv slim`, from paths to a saved `.keras` with its channel plan beside it."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgecv import bench, codec
from edgecv.bench import BenchCase
from edgecv.compress import slim as slimming
from edgecv.compress.slim import plan as plans
from edgecv.compress.slim.choice import BudgetKind
from edgecv.convert.freeze import freeze
from edgecv.convert.tflite import convert_float
from edgecv.data import Dataset
from edgecv.errors import ConfigError, DeviceError
from edgecv.evaluate import KerasPredictor, evaluate
from edgecv.files import check_output, sha256, write_bytes
from edgecv.modelio import LoadedModel, env, manifest_for, save_keras
from edgecv.pipeline import models
from edgecv.progress import QUIET, Reporter
from edgecv.runtime.engines.native_log import captured


@dataclass(frozen=True, slots=True, kw_only=True)
class SlimPlan:
    """How small to make a network, and how. None takes the defaults; `data` None the data of training.

    Attributes:
        macs: Share of the multiply-accumulates to leave; `nbytes` of the weights' bytes, `latency` of the time that
            the float32 .tflite takes on this machine's CPU. One of the three.
        plan: A channel plan to follow instead of choosing channels; nothing is trained then.
    """

    macs: float | None = None
    nbytes: float | None = None
    latency: float | None = None
    score: str = "taylor"
    rounds: int = 3
    multiple: int = 1
    min_share: float = 0.1
    samples: int = 512
    data: str | None = None
    epochs: int | None = None
    learning_rate: float | None = None
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Cost and accuracy of a network.

    Attributes:
        macs: Multiply-accumulates of one inference.
        parameters: All weights.
        weight_bytes: Of them as float32.
        value: Of the metric on the validation split.
    """

    macs: int
    parameters: int
    weight_bytes: int
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SlimResult:
    """A slimmed network that was written.

    Attributes:
        path: Of the `.keras`; `plan` of the channel plan.
        split: On which both values of `metric` were computed, on `n` samples.
        held: Layers that kept channels because something needs all of them, with the reason.
    """

    path: str
    plan: str
    name: str
    budget: str
    share: float
    score: str
    rounds: int
    split: str
    metric: str
    n: int
    before: Cost
    after: Cost
    held: Mapping[str, str]
    size_bytes: int
    sha256: str


def slim(
    source: models.Source, plan: SlimPlan, *, out: Path, force: bool = False, reporter: Reporter = QUIET
) -> SlimResult:
    """Remove channels from a model while training on, and save it. A killed run goes on from its last finished epoch.

    Raises:
        ConfigError: Not exactly one budget, one that is out of reach, no data, or `out` cannot be written.
        UnsupportedModelError: No channel of the model can be removed.
    """
    models.check_keras(out)
    check_output(out, force=force)
    plan_path = check_output(out.with_suffix(".channels.json"), force=force)
    budget, share = _budget(plan)
    loaded = models.load(source)
    parent = models.require_manifest(loaded)
    dataset = models.open_data(plan.data, parent)
    recipe = slimming.default_slim_recipe(
        parent.spec, budget=budget, share=share, score=plan.score, rounds=plan.rounds, multiple=plan.multiple,
        min_share=plan.min_share, samples=plan.samples, epochs=plan.epochs, learning_rate=plan.learning_rate,
        seed=plan.seed,
    )  # fmt: skip
    env.seed_everything(plan.seed)
    with _stopwatch(loaded.model, budget, plan.seed) as measure:
        done = slimming.slim(
            loaded.model, parent.spec, dataset, recipe, measure=measure, state=models.state_path(out),
            reporter=reporter,
        )  # fmt: skip
    manifest = manifest_for(
        parent.spec, recipe={"step": "slim", **codec.encode(recipe)}, seed=plan.seed, dataset=dataset.name,
        dataset_sha256=dataset.split("train").sha256, source_sha256=loaded.sha256, parents=models.ancestry(loaded),
    )  # fmt: skip
    save_keras(done.model, out, manifest, force=force)
    plans.save(replace(done.plan, parent_sha256=loaded.sha256), plan_path)
    models.forget_state(out)
    values = [
        evaluated(replace(loaded, model=model), dataset, reporter=reporter) for model in (loaded.model, done.model)
    ]
    return SlimResult(
        path=str(out), plan=str(plan_path), name=parent.spec.name, budget=budget, share=share, score=plan.score,
        rounds=plan.rounds, split="validation", metric=parent.spec.head.metric, n=values[0][1],
        before=_cost(done.before, values[0][0]), after=_cost(done.after, values[1][0]), held=done.held,
        size_bytes=out.stat().st_size, sha256=sha256(out),
    )  # fmt: skip


def follow(source: models.Source, plan: Path, *, out: Path, force: bool = False) -> Path:
    """Write what a channel plan leaves of a model, with the model's own weights: nothing is trained.

    Raises:
        ConfigError: The plan is not for this model, or `out` cannot be written.
    """
    models.check_keras(out)
    check_output(out, force=force)
    loaded = models.load(source)
    parent = models.require_manifest(loaded)
    made = slimming.apply(loaded.model, plans.load(plan))
    manifest = manifest_for(
        parent.spec, recipe={"step": "slim", "plan_sha256": sha256(plan)}, source_sha256=loaded.sha256,
        dataset=parent.provenance.dataset, dataset_sha256=parent.provenance.dataset_sha256,
        parents=models.ancestry(loaded),
    )  # fmt: skip
    return save_keras(made, out, manifest, force=force)


def evaluated(loaded: LoadedModel, dataset: Dataset, *, reporter: Reporter) -> tuple[float, int]:
    """Return the metric of a model on the validation split, and the number of samples."""
    found = evaluate(
        KerasPredictor(loaded), dataset.split("validation"), dataset.name, targets=dataset.targets, reporter=reporter
    )
    return found.value, found.n


def _budget(plan: SlimPlan) -> tuple[BudgetKind, float]:
    options: dict[BudgetKind, float | None] = {"macs": plan.macs, "bytes": plan.nbytes, "latency": plan.latency}
    given = {kind: share for kind, share in options.items() if share is not None}
    if len(given) != 1:
        raise ConfigError(
            f"slim takes one budget, got {len(given)}", hint="pass one of --macs 0.5, --bytes 0.5, --latency 0.5"
        )
    return next(iter(given.items()))


def _cost(size: slimming.Size, value: float) -> Cost:
    return Cost(macs=size.macs, parameters=size.parameters, weight_bytes=size.weight_bytes, value=value)


@contextlib.contextmanager
def _stopwatch(parent: Any, budget: BudgetKind, seed: int) -> Iterator[Callable[[Any], float] | None]:
    """Yield what measures a candidate's float32 .tflite against the parent's, interleaved, on this machine's CPU."""
    if budget != "latency":
        yield None
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        baseline = BenchCase(name="parent", path=str(_written(parent, folder / "parent.tflite")))

        def measure(candidate: Any) -> float:
            case = BenchCase(name="candidate", path=str(_written(candidate, folder / "candidate.tflite")))
            _, found = bench.bench(
                [case], baseline=baseline, device=bench.open_device("local"), plan=bench.plan("quick", seed=seed)
            )
            ratio = found.latency.ratio_to_baseline
            if ratio is None:
                raise DeviceError("a candidate could not be compared with its parent", hint="use --macs instead")
            return ratio

        yield measure


def _written(model: Any, path: Path) -> Path:
    with captured():
        write_bytes(path, convert_float(freeze(model), "float32"))
    return path
