"""Checking a converted file, completing its manifest, and writing it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgecv.convert.check import meaning, samples, structure
from edgecv.convert.check.score_steps import lost_scores
from edgecv.convert.check.stays_float import StaysFloat, words
from edgecv.convert.converted import Converted
from edgecv.convert.embed import embed_onnx, embed_tflite
from edgecv.convert.layers import layer_map
from edgecv.convert.mediapipe import Mediapipe, asked, attach
from edgecv.convert.request import Request
from edgecv.core import codec, files
from edgecv.core.errors import ConversionError, DeviceError, UnsupportedModelError
from edgecv.core.progress import Reporter
from edgecv.data import Dataset
from edgecv.graphs import read_graph
from edgecv.modelio import LoadedModel, tool_versions
from edgecv.modelio.boundary import call, input_names, output_names
from edgecv.runtime import Predictor, load, preprocess_sample
from edgecv.tasks.registry import task_of
from edgecv.values.binding import bind_inputs, in_order
from edgecv.values.manifest import Golden, Manifest, Provenance, pack_array, pack_output
from edgecv.values.profiles import CalibrationRecipe
from edgecv.values.specs import ModelSpec

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
        stays_float: What a file of integers computes in float; None when nothing, and for float schemes.
        exact: Layers whose weights got a step of which all of them are whole multiples.
        mediapipe: Whether it has TFLite Metadata, and if not, why; None when none was asked for.
    """

    path: Path
    manifest: Manifest
    size_bytes: int
    sha256: str
    check: structure.Check
    stays_float: StaysFloat | None = None
    exact: tuple[str, ...] = ()
    mediapipe: Mediapipe | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """What was done to the weights of a model before its conversion.

    Attributes:
        reference: The model before: the file's answers are compared with its answers.
        integers: Chosen integers of kernels, by layer, in keras' layout: the file must hold them.
        facts: For the manifest: which steps, with their settings.
    """

    reference: Any
    integers: Mapping[str, Array]
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Everything one conversion works from.

    `exact` are the layers whose weights it made exact; `metadata` is "auto", "mediapipe" or "none".
    """

    source: LoadedModel
    spec: ModelSpec
    request: Request
    recipe: CalibrationRecipe | None
    dataset: Dataset | None
    seed: int
    reporter: Reporter
    preparation: Preparation | None = None
    exact: tuple[str, ...] = ()
    metadata: str = "none"


def write(built: Converted, job: Job, out: Path) -> Artifact:
    """Write a converted model with its manifest, once it has passed its checks.

    Raises:
        ConversionError: A check failed; nothing is written.
        UnsupportedModelError: Metadata was asked for, and MediaPipe cannot take the file; nothing is written.
        ConfigError: `out` cannot be written.
    """
    tflite = job.request.format == "tflite"
    described, told = asked(job.metadata if tflite else "none", job.spec, built.inputs, built.outputs)

    def whole(manifest: Manifest) -> bytes:
        data = embed_tflite(built.data, manifest) if tflite else embed_onnx(built.data, manifest)
        return data if described is None else attach(data, described)

    with files.atomic_path(out) as partial:
        partial.write_bytes(whole(_manifest(built, job)))
        manifest, check = _checked(partial, built, job)
        partial.write_bytes(whole(manifest))
    job.reporter.info(f"wrote {out}: {out.stat().st_size} bytes")
    return Artifact(
        path=out,
        manifest=manifest,
        size_bytes=out.stat().st_size,
        sha256=files.sha256(out),
        check=check,
        stays_float=built.stays_float,
        exact=job.exact,
        mediapipe=told,
    )


def _checked(path: Path, built: Converted, job: Job) -> tuple[Manifest, structure.Check]:
    request, model = job.request, job.source.model
    graph = read_graph(path)
    structure.check_structure(
        graph, scheme=request.scheme, io_dtype=request.io_dtype, float_kernels=built.float_kernels
    )
    if built.stays_float is not None and built.stays_float.unasked:
        job.reporter.warn(
            f"{words(built.stays_float.unasked)} stays in float, for want of an {request.scheme} kernel: "
            f"{built.stays_float.cost}; --strict-int8 refuses such a file"
        )
    for text in lost_scores(graph, job.spec):
        job.reporter.warn(text)
    chosen = samples.check_samples(job.dataset, job.spec, job.seed)
    with _running(path) as predictor:
        reference = job.preparation.reference if job.preparation else model
        wanted = _keras_answers(reference, chosen, job.spec)
        meaning.check(
            wanted, job.spec, model, predictor.bound_outputs, real=job.dataset is not None,
            rounded=request.method == "qat", tell=job.reporter.warn,
        )  # fmt: skip
        check = structure.check_answers(
            wanted,
            _file_answers(predictor, chosen, job.spec),
            names=output_names(model),
            groups=_groups(job.spec, predictor),
            scheme=request.scheme,
            method=request.method,
            steps=built.steps,
            indices=[output.dtype in structure.INDICES for output in predictor.outputs],
        )
        golden = _golden(predictor, samples.golden_samples(chosen, len(built.data)), job.spec)
        # Without golden vectors, a bundle that the file becomes a part of keeps some.
        known = golden or _golden(predictor, chosen[:1], job.spec)
        columns = zip(*(outputs for _, outputs in known), strict=True)
        tolerances = tuple(
            structure.golden_tolerance(request.scheme, column, step)
            for column, step in zip(columns, built.steps, strict=True)
        )
        manifest = replace(
            _manifest(built, job),
            layer_map=layer_map(graph, built.op_names, model),
            golden=tuple(_pack(sample, outputs, predictor) for sample, outputs in golden),
            golden_engine=predictor.engine,
            golden_tolerance=max(tolerances),
            golden_tolerances=tolerances if len(tolerances) > 1 else (),
        )
    return manifest, check


@contextmanager
def _running(path: Path) -> Iterator[Predictor]:
    """Open a converted file; that no interpreter takes or runs it is the converter's fault, thus a ConversionError."""
    try:
        with load(path) as predictor:
            yield predictor
    except (UnsupportedModelError, DeviceError) as error:
        raise ConversionError(
            f"the converted file does not run: {error.message.replace(str(path), 'it')}",
            hint="try another --calibration recipe or --scheme",
        ) from error


def _keras_answers(model: Any, chosen: Sequence[tuple[Array, ...]], spec: ModelSpec) -> list[Array]:
    """Return the float model's answers, one sample at a time: maps of many samples at once would fill the memory."""
    places = bind_inputs(spec, input_names(model), spec.name)
    rows = [call(model, in_order(preprocess_sample(sample, spec), places)) for sample in chosen]
    return [np.concatenate([np.asarray(answer) for answer in column]) for column in zip(*rows, strict=True)]


def _file_answers(predictor: Predictor, chosen: Sequence[tuple[Array, ...]], spec: ModelSpec) -> list[Array]:
    rows = [predictor.run(preprocess_sample(sample, spec)) for sample in chosen]
    return [np.concatenate(column) for column in zip(*rows, strict=True)]


def _groups(spec: ModelSpec, predictor: Predictor) -> list[tuple[slice, ...]]:
    """Return, for each output of the file, the parts of its last axis that are judged apart."""
    found: list[tuple[slice, ...]] = [(slice(None),) for _ in predictor.outputs]
    for head, places in zip(spec.heads, predictor.bound_outputs, strict=True):
        shapes = [predictor.outputs[place].shape for place in places]
        for place, group in zip(places, task_of(head).groups(head, shapes), strict=True):
            found[place] = group
    return found


Answered = tuple[tuple[Array, ...], list[Array]]
"""A sample, and what the file answers to it, without the batch."""


def _golden(predictor: Predictor, chosen: Sequence[tuple[Array, ...]], spec: ModelSpec) -> list[Answered]:
    return [(sample, [out[0] for out in predictor.run(preprocess_sample(sample, spec))]) for sample in chosen]


def _pack(sample: tuple[Array, ...], outputs: list[Array], predictor: Predictor) -> Golden:
    named = zip(predictor.outputs, outputs, strict=True)
    return Golden(
        inputs=tuple(pack_array(image) for image in sample),
        outputs=tuple(pack_output(info.name, output) for info, output in named),
    )


def _manifest(built: Converted, job: Job) -> Manifest:
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
        provenance=_provenance(job, earlier, built),
    )


def _provenance(job: Job, earlier: Manifest | None, built: Converted) -> Provenance:
    recipe: dict[str, Any] = {"step": "convert", "io_dtype": job.request.io_dtype}
    if built.calibrated:
        recipe["calibration"] = codec.encode(job.recipe)
    if job.request.keep_float:
        recipe["keep_float"] = list(job.request.keep_float)
    if job.request.int16:
        recipe["int16"] = list(job.request.int16)
    if job.request.sparse:
        recipe["sparse"] = True
    if job.request.arithmetic != "float32":
        recipe["arithmetic"] = job.request.arithmetic
    if job.request.strict_int8:
        recipe["strict_int8"] = True
    if job.exact:
        recipe["exact_scale"] = list(job.exact)
    if built.stays_float is not None:
        recipe["stays_float"] = codec.encode(built.stays_float)
    if job.preparation is not None:
        recipe["preparation"] = dict(job.preparation.facts)
    parents: tuple[Mapping[str, str], ...] = ()
    if earlier is not None and "keeps" in earlier.provenance.recipe:
        recipe["keeps"] = earlier.provenance.recipe["keeps"]
    if earlier is not None:
        step = {"sha256": job.source.sha256, "step": str(earlier.provenance.recipe.get("step", ""))}
        parents = (*earlier.provenance.parents, step)
    return Provenance(
        recipe=recipe,
        tools=tool_versions(_TOOLS[job.request.format]),
        seed=job.seed,
        source_sha256=job.source.sha256,
        dataset=earlier.provenance.dataset if earlier else None,
        dataset_sha256=_samples_sha256(job, earlier, calibrated=built.calibrated),
        parents=parents,
    )


def _samples_sha256(job: Job, earlier: Manifest | None, *, calibrated: bool) -> str | None:
    """Return the digest of the samples that calibration used; without calibration, of those that training used."""
    if job.dataset is not None and calibrated:
        return job.dataset.split("train").sha256
    return earlier.provenance.dataset_sha256 if earlier else None
