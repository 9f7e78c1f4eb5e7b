"""Functions that make models and files: import_model, train, prune, slim, reshape, quantize, convert and others."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgecv.api.model import Model, ModelLike, load_model
from edgecv.api.showing import reporter
from edgecv.core.files import check_output
from edgecv.jobs import build as building
from edgecv.jobs import compress as compression
from edgecv.jobs import contract, importing, ladder, loss, mediapipe_metadata, models
from edgecv.jobs import convert as artifacts
from edgecv.jobs import export as exporting
from edgecv.jobs import prune as pruning
from edgecv.jobs import reshape as reshaping
from edgecv.jobs import slim as slimming
from edgecv.jobs import train as training
from edgecv.jobs.build import BuiltModel
from edgecv.jobs.compress import CompressionReport
from edgecv.jobs.convert import MadeArtifact
from edgecv.jobs.export import Exported
from edgecv.jobs.importing import ImportedModel
from edgecv.jobs.ladder import Climb
from edgecv.jobs.mediapipe_metadata import Rewritten
from edgecv.jobs.models import SavedModel
from edgecv.jobs.optimize import job as searching
from edgecv.jobs.optimize import verdict
from edgecv.jobs.reshape import Reshaped
from edgecv.jobs.slim import SlimResult
from edgecv.modelio import save_keras
from edgecv.values.search import Outcome


def train(
    name: str | None = None,
    *,
    out: str | Path,
    data: str = "digits",
    start: ModelLike | None = None,
    force: bool = False,
    quiet: bool = False,
    **options: Any,
) -> SavedModel:
    """Train an architecture, or a new head on a trained model. A killed run goes on when it is called again.

    Args:
        name: An architecture of the zoo: "lenet5".
        out: The `.keras` to write.
        data: A data set: "digits", "folder:PATH", …; see docs/data.md.
        start: A trained model that gets a new head, in place of `name`.
        force: Replace what exists.
        quiet: Say nothing on stderr.
        options: Further fields of `edgecv.jobs.train.TrainPlan`: variant, input_size, width, weights, backbone,
            recipe, epochs, batch_size, learning_rate, teacher, log_dir, seed.

    Raises:
        EdgecvError: As `edgecv.jobs.train.train`.
    """
    source = None if start is None else load_model(start).source
    opened: dict[str, Any] = {}
    if source is not None:
        opened = {"source": source.path, "spec": source.spec, "preset": source.preset,
                  "architecture": source.architecture, "custom_objects": source.custom_objects}  # fmt: skip
    plan = training.TrainPlan(name=name, data=data, **opened, **options)
    return training.train(plan, out=Path(out), force=force, reporter=reporter(quiet))


def build(
    name: str,
    *,
    out: str | Path,
    force: bool = False,
    quiet: bool = False,
    **options: Any,
) -> BuiltModel:
    """Write an architecture as a `.keras` without training it: a filter of fixed weights, or random ones.

    Args:
        name: Of the architecture: "sobel".
        out: The `.keras` to write.
        force: Replace what exists.
        quiet: Say nothing on stderr.
        options: Further fields of `edgecv.jobs.build.BuildPlan`: variant, input_size, width, weights, seed.

    Raises:
        EdgecvError: As `edgecv.jobs.build.build`.
    """
    return building.build(
        building.BuildPlan(name=name, **options), out=Path(out), force=force, reporter=reporter(quiet)
    )


def prune(
    model: ModelLike,
    *,
    out: str | Path,
    sparsity: float | None = None,
    pattern: str | None = None,
    clusters: int | None = None,
    data: str | None = None,
    epochs: int | None = None,
    seed: int = 0,
    force: bool = False,
    quiet: bool = False,
) -> SavedModel:
    """Make weights zero, or few different values, while training on.

    Args:
        model: As `load_model` takes it.
        out: The `.keras` to write.
        sparsity: Share of zero weights to reach; or `pattern`, "2:4"; or `clusters`, values of each kernel.
        data: A data set; None: what the model was trained on.
        epochs: None takes the default recipe.
        seed: Of every random choice.
        force: Replace what exists.
        quiet: Say nothing on stderr.

    Raises:
        EdgecvError: As `edgecv.jobs.prune.prune`.
    """
    plan = pruning.PrunePlan(sparsity=sparsity, pattern=pattern, clusters=clusters, data=data, epochs=epochs, seed=seed)
    return pruning.prune(load_model(model).source, plan, out=Path(out), force=force, reporter=reporter(quiet))


def slim(
    model: ModelLike,
    *,
    out: str | Path,
    data: str | None = None,
    force: bool = False,
    quiet: bool = False,
    **options: Any,
) -> SlimResult:
    """Take channels, ranks or whole units out of a model while training on.

    Args:
        model: As `load_model` takes it.
        out: The `.keras` to write.
        data: A data set; None: what the model was trained on.
        force: Replace what exists.
        quiet: Say nothing on stderr.
        options: Further fields of `edgecv.jobs.slim.SlimPlan`; one of macs, nbytes, latency, channels, plan, low_rank,
            drop_units says how small.

    Raises:
        EdgecvError: As `edgecv.jobs.slim.slim`.
    """
    plan = slimming.SlimPlan(data=data, **options)
    return slimming.slim(load_model(model).source, plan, out=Path(out), force=force, reporter=reporter(quiet))


def import_model(
    source: str | Path,
    weights: str | Path | None = None,
    *,
    out: str | Path,
    labels: str | Path | None = None,
    spec: str | Path | None = None,
    preset: str | None = None,
    input_size: str | int | None = None,
    allow_difference: float = 1e-4,
    seed: int = 0,
    force: bool = False,
    quiet: bool = False,
) -> ImportedModel:
    """Import a network of another tool's own format: ONNX, a float TFLite, or Darknet's.

    Args:
        source: What it is made of: an `.onnx`, a float `.tflite`, or a Darknet `.cfg`.
        weights: Of a `.cfg`: its Darknet `.weights`; None gives random ones.
        out: The `.keras` to write.
        labels: A file with the names of the classes, one per line.
        spec: TOML with the contract.
        preset: How images are scaled: raw, unit, imagenet-tf, imagenet-torch, imagenet-caffe.
        input_size: Height and width where the file leaves them open: 224 or "224x320".
        allow_difference: How far from the file's own answers, as a share of an output's range.
        seed: Of random weights and inputs.
        force: Replace what exists.
        quiet: Say nothing on stderr.

    Raises:
        EdgecvError: As `edgecv.jobs.importing.import_file`.
    """
    held, names, contract_ = (None if path is None else Path(path) for path in (weights, labels, spec))
    asked = importing.Asked(
        source=Path(source), weights=held, labels=names, spec=contract_, preset=preset,
        input_size=None if input_size is None else str(input_size), allow_difference=allow_difference, seed=seed,
    )  # fmt: skip
    return importing.import_file(asked, out=Path(out), force=force, reporter=reporter(quiet))


def reshape(
    model: ModelLike,
    *,
    input_size: str | int,
    out: str | Path | None = None,
    data: str | None = None,
    force: bool = False,
    quiet: bool = False,
) -> Reshaped:
    """Make a classifier fully convolutional, for larger images: one run answers for every window of them.

    Args:
        model: As `load_model` takes it.
        input_size: Height and width of the new input: 448 or "448x640".
        out: The `.keras` to write; None: beside the model, with the size in its name.
        data: Images on which answers are held against those for single windows; None: what the model was trained on,
            where it is at hand, else made-up ones.
        force: Replace what exists.
        quiet: Say nothing on stderr.

    Raises:
        EdgecvError: As `edgecv.jobs.reshape.reshape`.
    """
    plan = reshaping.ReshapePlan(fully_convolutional=True, input_size=str(input_size), data=data)
    where = None if out is None else Path(out)
    return reshaping.reshape(load_model(model).source, plan, out=where, force=force, reporter=reporter(quiet))


def quantize(
    model: ModelLike,
    *,
    out: str | Path,
    data: str | None = None,
    scheme: str = "int8",
    method: str = "ptq",
    target: str | Sequence[str] = "cpu",
    max_drop: float | None = None,
    budget_seconds: float | None = None,
    max_trials: int | None = None,
    force: bool = False,
    quiet: bool = False,
    **options: Any,
) -> MadeArtifact | Climb:
    """Quantise a float model into a checked TFLite or ONNX file, and hold it against the float model.

    Args:
        model: As `load_model` takes it.
        out: The `.tflite` or `.onnx` to write.
        data: A data set: calibrates, and judges with its validation split.
        scheme: "int8", "int16x8", "int4", "dynamic" or "float16".
        method: "ptq" calibrates, "qat" trains on with quantisation.
        target: What the file must run on; of several the most important first.
        max_drop: Largest loss allowed, in percentage points or the error's unit. Alone it climbs the quantisation
            ladder, for `budget_seconds` and `max_trials` at most.
        budget_seconds: Begin no step of the ladder after so long.
        max_trials: Steps of the ladder at most.
        force: Replace what exists.
        quiet: Say nothing on stderr.
        options: Further fields of `edgecv.jobs.convert.Plan`: calibration, keep_float, int16, int8, equalise,
            correct_bias, adaround, strict_int8, exact_scale, io_dtype, softmax, metadata, format, epochs, seed.

    Returns:
        What was made; of the ladder, all that was tried.

    Raises:
        GateFailure: With `max_drop`: the file loses more. It is written nevertheless.
        EdgecvError: As `edgecv.jobs.convert.make`.
    """
    first, *others = [target] if isinstance(target, str) else target
    plan = artifacts.Plan(
        scheme=scheme, method=method, target=first, further_targets=tuple(others), data=data, **options
    )
    source, where, told = load_model(model).source, Path(out), reporter(quiet)
    if max_drop is not None and not plan.names_a_way:
        request = ladder.LadderPlan(plan=plan, max_drop=max_drop, budget_seconds=budget_seconds, max_trials=max_trials)
        done = ladder.climb(source, request, out=where, force=force, reporter=told)
        ladder.require_passed(done)
        return done
    made = artifacts.make(source, plan, out=where, force=force, judge=True, max_drop=max_drop, reporter=told)
    if max_drop is not None:
        loss.require_small(made.loss)
    return made


def convert(
    model: ModelLike,
    *,
    out: str | Path,
    scheme: str = "float32",
    target: str | Sequence[str] = "cpu",
    data: str | None = None,
    force: bool = False,
    quiet: bool = False,
    **options: Any,
) -> MadeArtifact | Rewritten:
    """Convert a model into a checked TFLite or ONNX file; or a `.tflite` into one with other TFLite Metadata.

    Args:
        model: As `load_model` takes it; or a `.tflite`, for which `metadata="mediapipe"` or `"none"` is given.
        out: The `.tflite` or `.onnx` to write.
        scheme: "float32", "float16", "dynamic", "int8", …
        target: What the file must run on; of several the most important first.
        data: Real samples for the checks; for int8 they calibrate.
        force: Replace what exists.
        quiet: Say nothing on stderr.
        options: Further fields of `edgecv.jobs.convert.Plan`.

    Raises:
        EdgecvError: As `edgecv.jobs.convert.make`.
    """
    if isinstance(model, (str, Path)) and Path(model).suffix == ".tflite" and "metadata" in options:
        return mediapipe_metadata.rewritten(Path(model), options["metadata"], out=Path(out), force=force)
    first, *others = [target] if isinstance(target, str) else target
    plan = artifacts.Plan(scheme=scheme, target=first, further_targets=tuple(others), data=data, **options)
    return artifacts.make(load_model(model).source, plan, out=Path(out), force=force, reporter=reporter(quiet))


def save(
    model: ModelLike, *, out: str | Path, data: str | None = None, force: bool = False, quiet: bool = False
) -> MadeArtifact | Model:
    """Write a float model, with its contract inside, as what the name of `out` says: `.keras`, `.tflite` or `.onnx`.

    Args:
        model: As `load_model` takes it.
        out: Where it goes.
        data: Gives labels and decides how images are scaled, where the model does not say.
        force: Replace what exists.
        quiet: Say nothing on stderr.

    Returns:
        The model that was written, or what was made of it.

    Raises:
        EdgecvError: `out` exists, the model cannot be loaded, or its contract is open.
    """
    where, source = Path(out), load_model(model).source
    if where.suffix != ".keras":
        made = convert(model, out=out, data=data, force=force, quiet=quiet)
        assert isinstance(made, MadeArtifact)  # no metadata was asked for
        return made
    check_output(where, force=force)
    loaded = contract.opened(source, data, reporter=reporter(quiet))
    save_keras(loaded.model, where, models.as_written(loaded), force=force)
    return load_model(where)


def export(
    model: ModelLike,
    *,
    out: str | Path,
    data: str | None = None,
    max_drop: float = exporting.MAX_DROP,
    target: str | Sequence[str] = "cpu",
    web: str | Path | None = None,
    force: bool = False,
    quiet: bool = False,
    **options: Any,
) -> Exported:
    """Take a float model to the file to ship for each target, with the reason. A killed run goes on.

    Args:
        model: As `load_model` takes it.
        out: Folder of the files and of the report on them.
        data: A data set: calibrates, chooses and judges, on a split each; None: what the model was trained on.
        max_drop: Largest loss allowed, in percentage points or the error's unit.
        target: What to choose a file for; of several the most important first.
        web: Folder for a page that runs the first target's file in a browser.
        force: Replace a finished export; what is unchanged is kept.
        quiet: Say nothing on stderr.
        options: Further fields of `edgecv.jobs.export.ExportPlan`: device, bench, budget_seconds, max_trials,
            metadata, seed.

    Returns:
        The verdict in a sentence, the path of the winner, all files with their figures, and the report's path. A target
        that nothing may be shipped for has `file` None; the command ends with 1 then.

    Raises:
        EdgecvError: As `edgecv.jobs.export.export`.
    """
    targets = (target,) if isinstance(target, str) else tuple(target)
    plan = exporting.ExportPlan(data=data, max_drop=max_drop, targets=targets, **options)
    page = Path(web) if web is not None else None
    return exporting.export(
        load_model(model).source, plan, out=Path(out), web=page, force=force, reporter=reporter(quiet)
    )


def compress(
    model: ModelLike,
    recipe: str | Path,
    *,
    out: str | Path,
    data: str | None = None,
    seed: int | None = None,
    force: bool = False,
    quiet: bool = False,
) -> CompressionReport:
    """Take a model through a recipe: slim, prune, quantize or convert, one after the other, each step judged.

    Args:
        model: As `load_model` takes it.
        recipe: A TOML file; docs/compress.md shows how.
        out: Where the result goes.
        data: In place of the recipe's; `seed` likewise.
        seed: Of every random choice.
        force: Replace what exists.
        quiet: Say nothing on stderr.

    Raises:
        GateFailure: The recipe lost more than it may. The best file is written nevertheless.
        EdgecvError: As `edgecv.jobs.compress.compress`.
    """
    done = compression.compress(
        load_model(model).source, Path(recipe), out=Path(out), data=data, seed=seed, force=force,
        reporter=reporter(quiet),
    )  # fmt: skip
    compression.require_passed(done)
    return done


def optimize(
    model: ModelLike,
    *,
    out: str | Path,
    data: str | None = None,
    max_drop: float | None = None,
    space: str | Path | None = None,
    force: bool = False,
    quiet: bool = False,
    **options: Any,
) -> Outcome:
    """Search for the file to ship: slimming, quantisation and training together, with measured time in the loop.

    Args:
        model: As `load_model` takes it.
        out: A folder; that of an earlier run goes on.
        data: A data set; None: what the model was trained on.
        max_drop: What may be lost, in percentage points or the error's unit; its whole interval has to be within.
        space: A TOML file of what to try; None derives it from the model and the target.
        force: Write into a folder that has other files.
        quiet: Say nothing on stderr.
        options: Further fields of `edgecv.jobs.optimize.job.OptimizePlan`: goal, latency_ms, size_bytes, trials,
            seconds, device_seconds, target, device, further_devices, devices, samples, thorough, seed.

    Raises:
        GateFailure: No file is shown to keep the limit. The nearest one is written nevertheless.
        EdgecvError: As `edgecv.jobs.optimize.job.optimize`.
    """
    plan = searching.OptimizePlan(data=data, max_drop=max_drop, space=None if space is None else Path(space), **options)
    done = searching.optimize(load_model(model).source, plan, out=Path(out), force=force, reporter=reporter(quiet))
    verdict.require_passed(done)
    return done
