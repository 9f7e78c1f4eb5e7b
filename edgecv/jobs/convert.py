"""Making artifacts: from a keras model on disk to a checked `.tflite` or `.onnx`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np

import edgecv.compress as compress
from edgecv.convert import Artifact, Preparation, convert
from edgecv.convert.check import samples
from edgecv.convert.check.kernels import Kernels, computed_by
from edgecv.convert.check.stays_float import StaysFloat
from edgecv.convert.check.structure import STATIC
from edgecv.convert.mediapipe import Mediapipe
from edgecv.convert.request import check_arithmetic
from edgecv.core import codec
from edgecv.core.errors import ConfigError, UnsupportedModelError, unknown_name
from edgecv.core.files import check_output
from edgecv.core.progress import QUIET, Reporter, Unseen
from edgecv.core.shown import Shown
from edgecv.data import Dataset
from edgecv.jobs import contract, float16_arithmetic, float_islands, loss, models, sense, sparse_kernels
from edgecv.jobs.convert_plan import Plan as Plan
from edgecv.jobs.convert_plan import check_plan as check_plan
from edgecv.jobs.float_islands import Islands
from edgecv.jobs.loss import Loss
from edgecv.jobs.qat import QatPlan, quantization_aware
from edgecv.jobs.sparse_kernels import SparseKernels
from edgecv.jobs.traits import Kept, kept, traits
from edgecv.jobs.verdicts import verdicts
from edgecv.modelio import LoadedModel
from edgecv.values import profiles
from edgecv.values.inspection import TargetVerdict
from edgecv.values.manifest import Manifest
from edgecv.values.specs import Format, Method, Scheme

BUNDLE = ".edgecv"
FORMATS = {".tflite": "tflite", ".onnx": "onnx"}
UNCOMMON = ("int4", "int16x8", "mixed")
Prepared = tuple[LoadedModel, Preparation]


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeArtifact(Shown):
    """An artifact that was written and checked.

    Attributes:
        max_abs_diff: Largest difference of an output to the source model's on the checked images, in real units.
        sqnr_db: Signal to quantisation noise of the worst output, decibels; None when the outputs are equal.
        steps: What was done to the weights before.
        kernels: Which of LiteRT's kernels compute the layers with weights, for schemes that its delegate does not have
            in full; None for the others.
        kept: What the file has of its source's zeros, blocks and clusters; None for an ordinary source, and where the
            weights are not counted (ONNX, float16, dynamic).
        sparse: For a file that leaves zeros out: which convolutions have sparse kernels.
        loss: What a quantised file loses against the float model; None where it was not judged.
        stays_float: What a file of integers computes in float; None when nothing, and for float schemes.
        exact: Layers whose weights are whole multiples of a step that was chosen for them: filters.
        verdicts: What each target does with the file's operators, predicted.
        mediapipe: Whether MediaPipe can read the file by its metadata, and if not, why; None when it has none.
        islands: Layers left in float because they are faster so; None where nobody asked for them.
    """

    path: str
    format: str
    scheme: str
    method: str
    target: str
    sparsity: float | None
    size_bytes: int
    sha256: str
    checked_images: int
    max_abs_diff: float
    sqnr_db: float | None
    steps: tuple[str, ...] = ()
    kernels: Kernels | None = None
    kept: Kept | None = None
    sparse: SparseKernels | None = None
    loss: Loss | None = None
    stays_float: StaysFloat | None = None
    verdicts: tuple[TargetVerdict, ...] = ()
    exact: tuple[str, ...] = ()
    mediapipe: Mediapipe | None = None
    islands: Islands | None = None


def make(
    source: models.Source,
    plan: Plan,
    *,
    out: Path,
    force: bool = False,
    judge: bool = False,
    max_drop: float | None = None,
    reporter: Reporter = QUIET,
) -> MadeArtifact:
    """Convert, quantise when asked, check, and write one file: of a detector of two stages, a bundle (.edgecv).

    With `judge`, the file is held against the float model on real data, which `max_drop` is for: see
    `edgecv.jobs.loss`. Too large a loss is not raised here, since the file is made: see `loss.require_small`.

    Raises:
        ConfigError: An unknown name, a combination that does not exist, no data for int8, or an unwritable `out`.
        UnsupportedModelError: The model cannot be loaded.
        ConversionError: A converter failed, or the file did not pass its checks; nothing is written then.
    """
    if out.suffix == BUNDLE:
        return _bundle(source, plan, out, force=force, reporter=reporter)
    format_ = _format(plan, out)
    check_plan(plan)
    check_output(out, force=force)
    feeds = plan.scheme in STATIC or plan.data is not None
    given = contract.opened(source, plan.data, needed=feeds, reporter=reporter)
    loaded = ending(given, plan, reporter=reporter)
    manifest = models.require_manifest(loaded)
    dataset = _dataset(plan, manifest)
    if dataset is not None and plan.data is not None and manifest.method != "qat":
        sense.check_sense(given, dataset, promised=max_drop is not None, reporter=reporter)
    qat = plan.scheme in STATIC and plan.method == "qat"
    if qat and manifest.method != "qat":
        training = QatPlan(data=plan.data, epochs=plan.epochs, seed=plan.seed)
        loaded, _ = quantization_aware(loaded, training, state=models.state_path(out), reporter=reporter)
    if plan.arithmetic != "float32":
        check_arithmetic(plan.arithmetic, format_, plan.scheme)  # before the work that only such a file needs
        float16_arithmetic.check(loaded, dataset, seed=plan.seed, reporter=reporter)
    plan, islands = _with_islands(loaded, plan, dataset, format_, reporter)
    artifact = built(loaded, plan, dataset, format_=format_, out=out, force=force, reporter=reporter)
    models.forget_state(out)
    made = replace(_made(artifact, plan.recipe.steps if plan.scheme in STATIC and not qat else ()), islands=islands)
    if plan.sparse:
        made = replace(made, sparse=sparse_kernels.of_file(out, artifact.manifest.layer_map))
    if judge and dataset is not None and (dataset.targets or plan.scheme in STATIC):
        made = replace(made, loss=_loss(given, manifest, out, dataset, max_drop, reporter))
        _tell_ties(made.loss, plan, reporter)
    if plan.arithmetic == "float16":
        reporter.info(float16_arithmetic.ASK)
    told = verdicts(out, plan.targets, reporter=reporter)
    return replace(made, kept=kept(out, traits(manifest), scheme=made.scheme), verdicts=told)


def _bundle(source: models.Source, plan: Plan, out: Path, *, force: bool, reporter: Reporter) -> MadeArtifact:
    """Make a bundle: what its parts were checked for, the worst of them."""
    from edgecv.jobs import bundle  # which makes its parts with this module

    check_plan(plan)
    if plan.arithmetic != "float32":
        raise ConfigError("--arithmetic is of one file, not of a bundle's parts", hint="leave it out")
    check_output(out, force=force)
    loaded = models.load(source)
    dataset = _dataset(plan, models.require_manifest(loaded))
    made = bundle.bundled(loaded, plan, dataset, out=out, format_=bundle.part_format(plan), reporter=reporter)
    found = bundle.worst(tuple(made.parts.values()))
    differences = [part.check.max_abs_diff for part in made.parts.values()]
    return replace(
        _made(found, plan.recipe.steps if plan.scheme in STATIC else ()),
        path=str(out),
        format=made.manifest.format,
        size_bytes=made.size_bytes,
        sha256=made.sha256,
        max_abs_diff=max(differences),
        kernels=None,
    )


def ending(loaded: LoadedModel, plan: Plan, *, reporter: Reporter = QUIET) -> LoadedModel:
    """Return the model that a plan's files are made from: as MediaPipe takes it, or at its logits, where that is asked.

    Raises:
        ConfigError, UnsupportedModelError: As `compress.at_logits` and `compress.for_mediapipe`.
    """
    if plan.metadata == "mediapipe":
        fitted = compress.for_mediapipe(loaded)
        for change in fitted.changes:
            reporter.info(f"for MediaPipe: {change}")
        loaded = fitted.loaded
    if plan.softmax != "runtime":
        return loaded
    found = compress.at_logits(loaded)
    reporter.info(
        f"the file ends at the logits of {', '.join(found.heads)}: edgecv's runtime computes the probabilities, other "
        "readers take the softmax or sigmoid of (q - zero_point) * scale themselves"
    )
    return found.loaded


def _tell_ties(found: Loss | None, plan: Plan, reporter: Reporter) -> None:
    """Tell of classes that the file ranks alike and the float model does not, where the last softmax is the cause."""
    for head in found.heads if found is not None and plan.softmax == "file" else ():
        if head.ties is not None and head.ties_before is not None and head.ties > head.ties_before:
            reporter.warn(
                f"on {head.ties} of {found.n if found else 0} samples several labels of head '{head.head}' have the "
                f"best score (in float: {head.ties_before}): probabilities of 8 bits have steps of 1/256; "
                "--softmax runtime ends the file at its logits, which edgecv's runtime reads in float"
            )


def _loss(
    given: LoadedModel, manifest: Manifest, out: Path, dataset: Dataset, max_drop: float | None, reporter: Reporter
) -> Loss | None:
    if manifest.method == "qat":
        reporter.info("the float model is not at hand: `edgecv report FILE --baseline MODEL.keras` compares with it")
        return None
    return loss.measured(given, out, dataset, max_drop=max_drop, reporter=reporter)


def built(
    loaded: LoadedModel,
    plan: Plan,
    dataset: Dataset | None,
    *,
    out: Path,
    format_: str = "tflite",
    force: bool = False,
    ready: Prepared | None = None,
    reporter: Reporter = QUIET,
) -> Artifact:
    """Take the steps of a plan on a loaded model and convert it; for method "qat" the model is fake-quantised.

    `ready` is what `prepared` gives for the plan, where that was asked before.

    Raises:
        ConfigError, UnsupportedModelError, ConversionError: As `make`.
    """
    static = plan.scheme in STATIC
    preparation = None
    plan, _ = _with_islands(loaded, plan, dataset, format_, reporter)
    if takes_steps(plan):
        loaded, preparation = ready or prepared(loaded, plan, dataset, reporter=reporter)
    return convert(
        loaded,
        format=cast(Format, format_),
        scheme=cast(Scheme, plan.scheme),
        method=cast(Method, plan.method if static else "none"),
        out=out,
        target=plan.targets,
        io_dtype=_io_dtype(plan) if static else None,
        calibration=profiles.calibration(plan.calibration) if static else None,
        dataset=dataset,
        keep_float=plan.keep_float,
        int16=plan.int16,
        preparation=preparation,
        sparse=plan.sparse,
        strict_int8=plan.strict_int8,
        exact_scale=plan.exact_scale,
        arithmetic=plan.arithmetic,
        metadata=plan.metadata,
        seed=plan.seed,
        force=force,
        reporter=reporter,
    )


def _with_islands(
    loaded: LoadedModel, plan: Plan, dataset: Dataset | None, format_: str, reporter: Reporter
) -> tuple[Plan, Islands | None]:
    def build(chosen: Plan, out: Path) -> object:
        return built(loaded, chosen, dataset, out=out, force=True, reporter=Unseen(reporter))

    return float_islands.resolved(plan, build, format_=format_, reporter=reporter)


def _io_dtype(plan: Plan) -> str | None:
    """Return the type of an integer file's ends: float where MediaPipe is to feed it, which takes no int8."""
    return "float32" if plan.metadata == "mediapipe" and plan.io_dtype is None else plan.io_dtype


def takes_steps(plan: Plan) -> bool:
    """Say whether something is done to the weights before conversion."""
    return plan.scheme in STATIC and plan.method == "ptq" and bool(plan.recipe.steps)


def prepared(loaded: LoadedModel, plan: Plan, dataset: Dataset | None, *, reporter: Reporter = QUIET) -> Prepared:
    """Return the model after the plan's steps on its weights, and what conversion needs to know of them.

    Raises:
        ConfigError: There is no data.
        UnsupportedModelError: The model's graph cannot be read.
    """
    if dataset is None:
        raise ConfigError(f"{', '.join(plan.recipe.steps)} needs data", hint="give --data")
    calibration = profiles.calibration(plan.calibration)
    recipe = replace(plan.recipe, per_channel=calibration.granularity == "per_channel")
    spec = models.require_manifest(loaded).spec
    inputs, _ = samples.calibration_inputs(dataset, replace(calibration, count=recipe.samples), spec, plan.seed)
    if len(spec.inputs) != 1:
        raise UnsupportedModelError(
            f"{', '.join(plan.recipe.steps)} works on models of one input, '{spec.name}' has {len(spec.inputs)}",
            hint="leave these steps out: calibration and --method qat take any number of inputs",
        )
    done = compress.prepare(loaded.model, np.concatenate([sample[0] for sample in inputs]), recipe, reporter=reporter)
    facts = {"steps": list(recipe.steps), "recipe": codec.encode(recipe), **done.facts}
    preparation = Preparation(reference=loaded.model, integers=done.integers, facts=facts)
    return replace(loaded, model=done.model), preparation


def _format(plan: Plan, out: Path) -> str:
    by_name = FORMATS.get(out.suffix)
    chosen = plan.format or by_name
    if chosen is None:
        raise ConfigError(f"--out {out} names no format", hint="end it in .tflite or .onnx, or pass --format")
    if chosen not in FORMATS.values():
        raise unknown_name("format", chosen, FORMATS.values())
    if by_name is not None and by_name != chosen:
        raise ConfigError(f"--format {chosen} and --out {out} disagree", hint=f"end --out in .{chosen}")
    return chosen


def _dataset(plan: Plan, manifest: Manifest) -> Dataset | None:
    """Open the data when int8 needs it; else what is at hand for the checks, or None."""
    at_hand = manifest.provenance.dataset in models.BUNDLED
    needed = plan.data is not None or plan.scheme in STATIC
    return models.open_data(plan.data, manifest) if needed or at_hand else None


def _made(artifact: Artifact, steps: tuple[str, ...]) -> MadeArtifact:
    manifest = artifact.manifest
    return MadeArtifact(
        path=str(artifact.path),
        format=manifest.format,
        scheme=manifest.scheme,
        method=manifest.method,
        target=manifest.target,
        sparsity=manifest.sparsity,
        size_bytes=artifact.size_bytes,
        sha256=artifact.sha256,
        checked_images=artifact.check.samples,
        max_abs_diff=artifact.check.max_abs_diff,
        sqnr_db=artifact.check.sqnr_db,
        steps=steps,
        kernels=computed_by(artifact.path) if manifest.scheme in UNCOMMON else None,
        stays_float=artifact.stays_float,
        exact=artifact.exact,
        mediapipe=artifact.mediapipe,
    )
