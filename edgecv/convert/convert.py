"""From a keras model to a checked artifact."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgecv.compress.fakequant import without_weight_rounding
from edgecv.convert.artifact import Artifact, Job, Preparation, write
from edgecv.convert.check import samples
from edgecv.convert.check.integers import check_chosen
from edgecv.convert.check.stays_float import in_float, named, refuse, stays_float
from edgecv.convert.check.structure import STATIC
from edgecv.convert.converted import Converted, converted_tflite
from edgecv.convert.freeze import Frozen, freeze, static_inputs
from edgecv.convert.layers import layer_map, op_layers
from edgecv.convert.onnx import converter as onnx
from edgecv.convert.request import check_calibration, check_metadata, check_request
from edgecv.convert.tflite import converter as tflite
from edgecv.convert.tflite import mixed as static
from edgecv.convert.tflite import ranges
from edgecv.convert.tflite.exact_scale import with_exact_scales
from edgecv.convert.tflite.float16_arithmetic import with_float16_arithmetic
from edgecv.convert.tflite.hard_swish import without_hard_swish
from edgecv.convert.tflite.int4 import with_int4_weights
from edgecv.convert.tflite.int16 import quantize_mixed, quantize_wide, wide_ops
from edgecv.convert.tflite.integer_kernels import with_integer_kernels
from edgecv.convert.tflite.older import with_older_operators
from edgecv.convert.tflite.sparse import with_sparse_weights
from edgecv.convert.tflite.spread_softmax import STEPS, spread_softmax
from edgecv.convert.tflite.unread import without_unread_parts
from edgecv.convert.tflite.xnnpack_forms import in_forms_of_xnnpack
from edgecv.core import files
from edgecv.core.errors import ConfigError, ConversionError
from edgecv.core.progress import QUIET, Reporter
from edgecv.data import Dataset
from edgecv.graphs import macs, read_tflite
from edgecv.modelio import LoadedModel
from edgecv.modelio.boundary import input_names, output_names
from edgecv.modelio.keras_files import check_heads
from edgecv.values import profiles
from edgecv.values.binding import bind_inputs, in_order
from edgecv.values.profiles import CalibrationRecipe
from edgecv.values.specs import InputSpec, ModelSpec

INTEGER_ACCELERATORS = ("edgetpu", "npu")
"""They compute nothing in float."""
NARROW_SHARE = 0.25
"""Of an input's range: calibration samples that use less of it than this are not what a model will see."""


def convert(
    source: LoadedModel,
    *,
    format: str,
    scheme: str,
    out: files.PathLike,
    target: str | Sequence[str] = "cpu",
    method: str = "none",
    io_dtype: str | None = None,
    calibration: CalibrationRecipe | None = None,
    dataset: Dataset | None = None,
    spec: ModelSpec | None = None,
    keep_float: tuple[str, ...] = (),
    int16: tuple[str, ...] = (),
    sparse: bool = False,
    strict_int8: bool = False,
    exact_scale: bool = False,
    arithmetic: str = "float32",
    preparation: Preparation | None = None,
    metadata: str = "none",
    seed: int = 0,
    force: bool = False,
    reporter: Reporter = QUIET,
) -> Artifact:
    """Convert a keras model, check the file against it, and write the file with its manifest, atomically.

    The file has batch 1 and builtin operators only. The same arguments give the same bytes.

    Args:
        source: Float model; for method "qat" a fake-quantised one.
        format: "tflite" or "onnx".
        scheme: "float32", "float16", "dynamic", "int8", "mixed", "int16x8" or "int4".
        out: Where the file goes.
        target: A deployment target, or several, the one that it is made for first. Each must take the format, and a
            scheme that one does not run well is warned of. Operators are written as all of them read them.
        method: How int8 is reached: "ptq" or "qat".
        io_dtype: Of an int8 file's inputs and outputs: "int8" (tflite's default), "uint8" (tflite), or "float32" (a
            float boundary; onnx's default).
        calibration: For int8 by ptq; by qat only for activations that the model has no range for.
        dataset: Calibration takes its training split, checking its validation split; without one, checking uses noise.
        spec: The contract, for a source without a manifest.
        keep_float: Names of source layers, with wildcards, that stay in float32 inside an int8 file: scheme "mixed".
        int16: Likewise of layers that have int16 activations there, and int8 weights: also "mixed".
        sparse: Store kernels without their zeros, in a float32 .tflite.
        strict_int8: Refuse a file of integers in which an operator stays float for want of an integer kernel; without
            it such operators stay float, which `Artifact.stays_float` and the manifest say.
        exact_scale: Refuse a file of integers that rounds a weight. Weights that have exact integers get them anyway,
            as those of filters do: see `edgecv.convert.tflite.exact_scale`.
        arithmetic: "float16" lets CPUs that have it compute a float16 .tflite in float16: see
            `edgecv.graphs.reduced_precision`. Whether its values fit is not looked at here.
        preparation: What was done to the source's weights before; int4 needs weights on a 4-bit grid.
        metadata: TFLite Metadata beside the manifest, by which MediaPipe takes a .tflite: "none", "auto" (where it
            takes the file as it is; `Artifact.mediapipe` says why not) or "mediapipe" (else nothing is written).
        seed: Of the samples.
        force: Replace an existing file.
        reporter: Gets progress, and the warning about the target.

    Raises:
        ConfigError: The request does not exist, something it needs is missing, or `out` cannot be written.
        UnsupportedModelError: The model has a dynamic shape, or does not fit its spec.
        ConversionError: A converter failed, or the file failed its check; nothing is written.
    """
    request = check_request(
        format=format, scheme=scheme, method=method, io_dtype=io_dtype, target=target, reporter=reporter,
        keep_float=tuple(keep_float), int16=tuple(int16), sparse=sparse, strict_int8=strict_int8,
        exact_scale=exact_scale, arithmetic=arithmetic,
    )  # fmt: skip
    check_calibration(request, calibration, dataset is not None)
    check_metadata(metadata, format)
    job = Job(
        source=source, spec=_contract(source, spec), request=request, recipe=calibration, dataset=dataset, seed=seed,
        reporter=reporter, preparation=preparation, metadata=metadata,
    )  # fmt: skip
    destination = files.check_output(_suffixed(out, format), force=force)
    return write(*_build(job), destination)


def quantize(
    source: LoadedModel,
    *,
    out: files.PathLike,
    calibration: CalibrationRecipe | None = None,
    dataset: Dataset | None = None,
    method: str = "ptq",
    format: str = "tflite",
    **options: Any,
) -> Artifact:
    """Convert to int8: `convert` with scheme "int8"; `options` are its other arguments."""
    return convert(
        source,
        out=out,
        calibration=calibration,
        dataset=dataset,
        method=method,
        format=format,
        scheme="int8",
        **options,
    )


def _suffixed(out: files.PathLike, format: str) -> Path:
    if Path(out).suffix != f".{format}":
        raise ConfigError(f"cannot write {format} to {out}", hint=f"name it {Path(out).with_suffix('.' + format)}")
    return Path(out)


def _contract(source: LoadedModel, spec: ModelSpec | None) -> ModelSpec:
    if spec is None and source.manifest is None:
        raise ConfigError(
            f"{source.path} has no edgecv manifest, so nothing says how the model is fed and read",
            hint="pass spec=one_input(name, input_shape, heads, preprocessing); on the command line --spec FILE.toml",
        )
    chosen = spec or source.require_spec()
    inputs = static_inputs(source.model)
    for only, place in zip(chosen.inputs, bind_inputs(chosen, [name for name, _ in inputs], chosen.name), strict=True):
        name, shape = inputs[place]
        if shape[1:] != tuple(only.shape):
            raise ConfigError(
                f"the spec's shape of input '{only.name}' is {only.shape}, the model's input '{name}' is {shape[1:]}"
            )
    check_heads(source.model, chosen, where=chosen.name)
    return chosen


def _build(job: Job) -> tuple[Converted, Job]:
    """Return the converted file, and the job as it was done: layers may have had to stay in float."""
    request, model = job.request, job.source.model
    job.reporter.info(f"converting {job.spec.name} to {request.format} {request.scheme}")
    if request.scheme in STATIC:
        data, calibrated, job = _static(job)
        data = _as_targets_read(_in_integers(data, job), request.targets, request.format)
        twin = replace(_told(converted_tflite(data), job), calibrated=calibrated)
        return twin if request.format == "tflite" else onnx.convert(twin, "int8"), job
    if request.format == "onnx":
        return onnx.convert(converted_tflite(_float(job, "float32")), request.scheme), job
    data = _float(job, request.scheme)
    if request.arithmetic == "float16":
        data = with_float16_arithmetic(data)
    if request.sparse:
        layers = layer_map(read_tflite(data), converted_tflite(data).op_names, model)
        data = with_sparse_weights(data, layers).data
    return converted_tflite(data), job


def _in_integers(data: bytes, job: Job) -> bytes:
    """Return a quantised file with integers wherever a kernel has them, but for layers that are to stay float."""
    graph, kept = read_tflite(data), set[int]()
    if job.request.keep_float:
        layers = op_layers(graph, job.source.model)
        kept = {op.index for op in graph.ops if named(layers[op.index], job.request.keep_float)}
    return with_integer_kernels(data, kept)


def _told(twin: Converted, job: Job) -> Converted:
    """Return a file of integers with what of it stays in float; with --strict-int8 nothing may."""
    graph = read_tflite(twin.data)
    asked = [name for name in job.request.keep_float if name not in job.request.spared]
    found = stays_float(graph, job.source.model, asked)
    if job.request.strict_int8:
        refuse(found, job.request.scheme)
    kernels = sum(in_float(graph, op) and macs(graph, op) > 0 for op in graph.ops)
    return replace(twin, stays_float=found, float_kernels=kernels)


def _float(job: Job, scheme: str) -> bytes:
    frozen = _frozen(job)
    return _named(tflite.convert_float(frozen, scheme), frozen, job.source.model)


def _as_targets_read(data: bytes, targets: tuple[str, ...], format_: str) -> bytes:
    """Return an integer file without operators that one of its targets refuses for their form, or computes in float."""
    known = [profiles.target(name) for name in targets]
    # CPUs and Edge TPUs have no integer kernel for HARD_SWISH; Ethos-U NPUs have one.
    if any(profile.accelerator in ("cpu", "edgetpu") for profile in known):
        data = without_hard_swish(data)
    if format_ == "tflite" and all(profile.accelerator == "cpu" for profile in known):
        data = in_forms_of_xnnpack(data)
    return with_older_operators(data, known)


def _frozen(job: Job) -> Frozen:
    wanted = job.request.method == "qat"
    frozen = freeze(without_weight_rounding(job.source.model) if wanted else job.source.model)
    fake = tflite.has_fake_quantisation(frozen)
    if fake and not wanted:
        raise ConfigError(
            "the model carries fake quantisation, so it makes int8 files by method qat only",
            hint="use method qat, or give the float model",
        )
    if wanted and not fake:
        raise ConfigError("method qat needs a quantisation-aware model, this one is float", hint="train it with qat")
    return frozen


def _named(data: bytes, frozen: Frozen, model: Any) -> bytes:
    return tflite.name_boundary(data, frozen.input_names, output_names(model))


def _static(job: Job) -> tuple[bytes, bool, Job]:
    """Return the quantised .tflite, and whether calibration found ranges: always by ptq, where some lack by qat.

    Returns the job too, with the layers that stay in float by themselves.
    """
    frozen, io_dtype = _frozen(job), job.request.io_dtype
    if job.request.method == "qat":
        data = tflite.convert_fake_quantised(frozen, "float32")
        left = ranges.unscaled(data, boundary=False)
        if not left:
            return _named(tflite.convert_fake_quantised(frozen, io_dtype), frozen, job.source.model), False, job
        if job.recipe is None or job.dataset is None:
            raise ConversionError(
                f"{len(left)} activations of the quantisation-aware model have no range",
                hint="give --data and --calibration, which complete them, or quantise every layer in training",
            )
    else:
        data = without_unread_parts(tflite.convert_float(frozen, "float32"))
    found = _ranges(data, job)
    kept, job = _kept_softmax(data, job)
    quantised, job = _exactly(_quantised(data, found, job, kept), data, job)
    if job.preparation is not None:
        check_chosen(quantised, job.preparation.integers, job.source.model)
    return _named(quantised, frozen, job.source.model), True, job


def _exactly(quantised: bytes, data: bytes, job: Job) -> tuple[bytes, Job]:
    """Return a quantised file with exact weights where there are some, and the job with the layers that have them.

    Raises:
        ConversionError: All weights were to be exact, and some are rounded.
    """
    if job.request.scheme == "int4" or job.request.method == "qat":
        return quantised, job
    found = with_exact_scales(quantised, data)
    layers = op_layers(read_tflite(data), job.source.model)
    changed, inexact, unbalanced = (
        tuple(dict.fromkeys(name for index in ops for name in sorted(layers[index])))
        for ops in (found.changed, found.inexact, found.unbalanced)
    )
    if job.request.exact_scale and found.inexact:
        raise ConversionError(
            f"int8 rounds weights of layer {', '.join(inexact)}: no step of 1/127 of the largest tap, or larger, holds "
            "all of them as whole numbers",
            hint="leave --exact-scale out, or keep the layer in float: --keep-float LAYER",
        )
    if unbalanced:
        job.reporter.warn(
            f"the weights of layer {', '.join(unbalanced)} sum to zero, and their integers do not: even areas answer "
            "something now; --keep-float LAYER keeps it"
        )
    return found.data, replace(job, exact=changed)


def _kept_softmax(data: bytes, job: Job) -> tuple[frozenset[int], Job]:
    """Return the operators of a float file that int8 would spoil, and the job with their layers kept in float."""
    request = job.request
    graph = read_tflite(data)
    kept = spread_softmax(graph) - set(wide_ops(graph, request.int16, job.source.model))
    if not kept or request.scheme not in ("int8", "mixed") or len(kept) == len(graph.ops):
        return frozenset(), job
    layers = op_layers(graph, job.source.model)
    names = tuple(sorted({name for index in kept for name in layers[index]}))
    of = f" of layer {', '.join(names)}" if names else ""
    if request.method == "qat" or request.strict_int8 or _takes_integers_only(request.targets):
        job.reporter.warn(
            f"the softmax{of} is over more than 8 bits hold: --method ptq, without --strict-int8 and for a target that "
            "computes in float too, keeps it in float"
        )
        return frozenset(), job
    job.reporter.warn(
        f"the softmax{of} stays in float: over several axes, or over more than {STEPS} values, 8 bits hold next to "
        f"nothing of it; {len(kept)} of {len(graph.ops)} operators compute it"
    )
    # An .onnx of scheme int8 may have float operators without weights; there is no "mixed" one.
    scheme = "mixed" if request.format == "tflite" else request.scheme
    named = tuple(dict.fromkeys((*request.keep_float, *names)))
    return kept, replace(job, request=replace(request, scheme=scheme, keep_float=named, spared=names))


def _takes_integers_only(targets: tuple[str, ...]) -> bool:
    return any(profiles.target(name).accelerator in INTEGER_ACCELERATORS for name in targets)


def _quantised(data: bytes, found: dict[int, ranges.Range], job: Job, spread: frozenset[int]) -> bytes:
    request, name = job.request, job.spec.name
    per_channel = job.recipe is None or job.recipe.granularity == "per_channel"
    if request.scheme in ("int8", "int4") and not spread:
        plain = ranges.quantize(data, found, io_dtype=request.io_dtype, per_channel=per_channel, name=name)
        return with_int4_weights(plain) if request.scheme == "int4" else plain
    how = static.How(io_dtype=request.io_dtype, per_channel=per_channel, name=name)
    if request.scheme == "int16x8":
        return quantize_wide(data, found, how)
    graph, model = read_tflite(data), job.source.model
    kept = {*static.kept_ops(graph, request.keep_float, model), *spread}
    return quantize_mixed(data, found, how, kept=tuple(sorted(kept)), wide=wide_ops(graph, request.int16, model))


def _warn_narrow(seen: ranges.Range, only: InputSpec, job: Job) -> None:
    """Warn of calibration images that hardly use the range of their input: the ranges found with them are too small."""
    if only.range is None:
        return
    share = (seen[1] - seen[0]) / (only.range[1] - only.range[0])
    if share < NARROW_SHARE:
        job.reporter.warn(
            f"the calibration samples use {100 * share:.0f} % of the range of input '{only.name}' "
            f"({seen[0]:.3g} to {seen[1]:.3g} of {only.range[0]:.3g} to {only.range[1]:.3g}): with others the file may "
            "answer anything; calibrate with pictures like those it will see"
        )


def _ranges(data: bytes, job: Job) -> dict[int, ranges.Range]:
    if job.recipe is None or job.dataset is None:
        raise ConfigError("calibration needs a recipe and a data set")
    spec, names = job.spec, input_names(job.source.model)
    inputs, total = samples.calibration_inputs(job.dataset, job.recipe, spec, job.seed)
    places = bind_inputs(spec, names, spec.name)
    ordered = (in_order(sample, places) for sample in inputs)
    layers = ranges.tensor_layers(data, job.source.model)
    found = ranges.observe(data, ordered, job.recipe, reporter=job.reporter, total=total, layers=layers)
    known = dict(zip(ranges.input_indices(data), in_order([only.range for only in spec.inputs], places), strict=True))
    for index, only in zip(ranges.input_indices(data), in_order(spec.inputs, places), strict=True):
        if index in found:
            _warn_narrow(found[index], only, job)
    return {index: known.get(index) or one for index, one in found.items()}
