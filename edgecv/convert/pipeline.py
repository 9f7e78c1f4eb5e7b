"""From a keras model to a checked artifact."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgecv import codec, files
from edgecv.convert import onnx, ranges, samples, tflite, verify
from edgecv.convert.built import Built, built_tflite
from edgecv.convert.embed import embed_onnx, embed_tflite
from edgecv.convert.freeze import Frozen, freeze, static_input
from edgecv.convert.layers import layer_map, output_layers
from edgecv.convert.request import Request, check_calibration, check_request
from edgecv.data import Dataset
from edgecv.errors import ConfigError, ConversionError
from edgecv.graphs import read_graph
from edgecv.manifest import Golden, Manifest, Provenance, pack_array
from edgecv.modelio import LoadedModel, tool_versions
from edgecv.profiles import CalibrationRecipe
from edgecv.progress import QUIET, Reporter
from edgecv.runtime import Predictor, load, preprocess
from edgecv.specs import ModelSpec

Array = np.ndarray[Any, Any]

_TOOLS: Mapping[str, tuple[str, ...]] = {
    "tflite": ("tensorflow", "tensorflow-cpu", "tf-keras", "ai-edge-litert"),
    "onnx": ("tensorflow", "tensorflow-cpu", "tf-keras", "tf2onnx", "onnx", "onnxruntime"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """One model file for a device, checked.

    Attributes:
        path: The file.
        manifest: What is embedded in it.
        size_bytes: Of the file.
        sha256: Of the file.
        check: How its answers compare with the source model's.
    """

    path: Path
    manifest: Manifest
    size_bytes: int
    sha256: str
    check: verify.Check


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """Everything one conversion works from."""

    source: LoadedModel
    spec: ModelSpec
    request: Request
    recipe: CalibrationRecipe | None
    dataset: Dataset | None
    seed: int
    reporter: Reporter


def convert(
    source: LoadedModel,
    *,
    format: str,
    scheme: str,
    out: files.PathLike,
    target: str = "cpu",
    method: str = "none",
    io_dtype: str | None = None,
    calibration: CalibrationRecipe | None = None,
    dataset: Dataset | None = None,
    spec: ModelSpec | None = None,
    seed: int = 0,
    force: bool = False,
    reporter: Reporter = QUIET,
) -> Artifact:
    """Convert a keras model, check the file against it, and write the file with its manifest, atomically.

    The file has batch 1 and builtin operators only. The same arguments give the same bytes.

    Args:
        source: Float model; for method "qat" a fake-quantised one.
        format: "tflite" or "onnx".
        scheme: "float32", "float16", "dynamic" (tflite only) or "int8".
        out: Where the file goes.
        target: A deployment target; it must take the format, and a scheme it does not run well is warned of.
        method: How int8 is reached: "ptq" or "qat".
        io_dtype: Of an int8 file's inputs and outputs: "int8" (tflite's default), "uint8" (tflite), or "float32" (a
            float boundary; onnx's default).
        calibration: For int8 by ptq; by qat only for activations that the model has no range for.
        dataset: Calibration takes its training split, checking its validation split; without one, checking uses noise.
        spec: The contract, for a source without a manifest.
        seed: Of the samples.
        force: Replace an existing file.
        reporter: Gets progress, and the warning about the target.

    Raises:
        ConfigError: The request does not exist, something it needs is missing, or `out` cannot be written.
        UnsupportedModelError: The model has a dynamic shape or several inputs, or does not fit its spec.
        ConversionError: A converter failed, or the file failed its check; nothing is written.
    """
    request = check_request(
        format=format, scheme=scheme, method=method, io_dtype=io_dtype, target=target, reporter=reporter
    )
    check_calibration(request, calibration, dataset is not None)
    job = _Job(
        source=source,
        spec=_contract(source, spec),
        request=request,
        recipe=calibration,
        dataset=dataset,
        seed=seed,
        reporter=reporter,
    )
    destination = files.check_output(_suffixed(out, format), force=force)
    return _write(_build(job), job, destination)


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
            hint="pass spec=ModelSpec(name, input_shape, heads, preprocessing); on the command line --spec FILE.toml",
        )
    chosen = spec or source.require_spec()
    name, shape = static_input(source.model)
    if shape[1:] != tuple(chosen.input_shape):
        raise ConfigError(f"the spec's input shape is {chosen.input_shape}, the model's input '{name}' is {shape[1:]}")
    if len(chosen.heads) != len(source.model.output_names):
        raise ConfigError(f"the spec has {len(chosen.heads)} heads, the model {len(source.model.output_names)} outputs")
    return chosen


def _build(job: _Job) -> Built:
    request, model = job.request, job.source.model
    job.reporter.info(f"converting {job.spec.name} to {request.format} {request.scheme}")
    if request.scheme == "int8":
        twin = built_tflite(_int8(job))
        return twin if request.format == "tflite" else onnx.convert_int8(twin)
    if request.format == "onnx":
        return onnx.convert_float(model, request.scheme, output_layers(model))
    frozen = _frozen(job)
    return built_tflite(_named(tflite.convert_float(frozen, request.scheme), frozen, model))


def _frozen(job: _Job) -> Frozen:
    frozen = freeze(job.source.model)
    fake, wanted = tflite.has_fake_quantisation(frozen), job.request.method == "qat"
    if fake and not wanted:
        raise ConfigError(
            "the model carries fake quantisation, so it makes int8 files by method qat only",
            hint="use method qat, or give the float model",
        )
    if wanted and not fake:
        raise ConfigError("method qat needs a quantisation-aware model, this one is float", hint="train it with qat")
    return frozen


def _named(data: bytes, frozen: Frozen, model: Any) -> bytes:
    return tflite.name_boundary(data, frozen.input_name, output_layers(model))


def _int8(job: _Job) -> bytes:
    frozen, io_dtype, name = _frozen(job), job.request.io_dtype, job.spec.name
    if job.request.method == "qat":
        data = tflite.convert_fake_quantised(frozen, "float32")
        left = ranges.unscaled(data, boundary=False)
        if not left:
            return _named(tflite.convert_fake_quantised(frozen, io_dtype), frozen, job.source.model)
        if job.recipe is None or job.dataset is None:
            raise ConversionError(
                f"{len(left)} activations of the quantisation-aware model have no range",
                hint="give --data and --calibration, which complete them, or quantise every layer in training",
            )
    else:
        data = tflite.convert_float(frozen, "float32")
    found = _ranges(data, job)
    per_channel = job.recipe is None or job.recipe.granularity == "per_channel"
    quantised = ranges.quantize(data, found, io_dtype=io_dtype, per_channel=per_channel, name=name)
    return _named(quantised, frozen, job.source.model)


def _ranges(data: bytes, job: _Job) -> dict[int, ranges.Range]:
    if job.recipe is None or job.dataset is None:
        raise ConfigError("calibration needs a recipe and a data set")
    inputs, total = samples.calibration_inputs(job.dataset, job.recipe, job.spec, job.seed)
    found = ranges.observe(data, inputs, job.recipe, reporter=job.reporter, total=total)
    known = samples.input_range(job.spec)
    source = ranges.input_index(data)
    if known is not None and source in found:
        found[source] = known
    return found


def _write(built: Built, job: _Job, out: Path) -> Artifact:
    request = job.request
    embed = embed_tflite if request.format == "tflite" else embed_onnx
    with files.atomic_path(out) as partial:
        partial.write_bytes(embed(built.data, _manifest(built, job)))
        manifest, check = _checked(partial, built, job)
        partial.write_bytes(embed(built.data, manifest))
    job.reporter.info(f"wrote {out}: {out.stat().st_size} bytes")
    return Artifact(path=out, manifest=manifest, size_bytes=out.stat().st_size, sha256=files.sha256(out), check=check)


def _checked(path: Path, built: Built, job: _Job) -> tuple[Manifest, verify.Check]:
    request, model = job.request, job.source.model
    graph = read_graph(path)
    verify.check_structure(graph, scheme=request.scheme, io_dtype=request.io_dtype)
    images = samples.check_images(job.dataset, job.spec, job.seed)
    with load(path) as predictor:
        check = verify.check_answers(
            _keras_answers(model, images, job.spec),
            _file_answers(predictor, images, job.spec),
            names=output_layers(model),
            scheme=request.scheme,
            method=request.method,
            steps=built.steps,
        )
        golden = _golden(predictor, samples.golden_images(images, len(built.data)), job.spec)
        answers = [output for vector in golden for output in vector[1]]
        manifest = replace(
            _manifest(built, job),
            layer_map=layer_map(graph, model),
            golden=tuple(_pack(image, outputs) for image, outputs in golden),
            golden_engine=predictor.engine,
            golden_tolerance=verify.golden_tolerance(request.scheme, answers, built.steps),
        )
    return manifest, check


def _keras_answers(model: Any, images: list[Array], spec: ModelSpec) -> list[Array]:
    answers = model(np.concatenate([preprocess(image, spec) for image in images]), training=False)
    return [np.asarray(answer) for answer in (answers if isinstance(answers, (list, tuple)) else [answers])]


def _file_answers(predictor: Predictor, images: list[Array], spec: ModelSpec) -> list[Array]:
    rows = [predictor.run([preprocess(image, spec)]) for image in images]
    return [np.concatenate(column) for column in zip(*rows, strict=True)]


def _golden(predictor: Predictor, images: list[Array], spec: ModelSpec) -> list[tuple[Array, list[Array]]]:
    return [(image, [out[0] for out in predictor.run([preprocess(image, spec)])]) for image in images]


def _pack(image: Array, outputs: list[Array]) -> Golden:
    return Golden(image=pack_array(image), outputs=tuple(pack_array(output) for output in outputs))


def _manifest(built: Built, job: _Job) -> Manifest:
    request, earlier = job.request, job.source.manifest
    return Manifest(
        spec=job.spec,
        format=request.format,
        scheme=request.scheme,
        method=request.method,
        target=request.target,
        sparsity=earlier.sparsity if earlier else None,
        inputs=built.inputs,
        outputs=built.outputs,
        provenance=_provenance(job, earlier),
    )


def _provenance(job: _Job, earlier: Manifest | None) -> Provenance:
    recipe: dict[str, Any] = {"step": "convert", "io_dtype": job.request.io_dtype}
    if job.recipe is not None and job.request.scheme == "int8":
        recipe["calibration"] = codec.encode(job.recipe)
    parents: tuple[Mapping[str, str], ...] = ()
    if earlier is not None:
        step = {"sha256": job.source.sha256, "step": str(earlier.provenance.recipe.get("step", ""))}
        parents = (*earlier.provenance.parents, step)
    return Provenance(
        recipe=recipe,
        tools=tool_versions(_TOOLS[job.request.format]),
        seed=job.seed,
        source_sha256=job.source.sha256,
        dataset_sha256=job.dataset.split("train").sha256 if job.dataset and "calibration" in recipe else None,
        parents=parents,
    )
