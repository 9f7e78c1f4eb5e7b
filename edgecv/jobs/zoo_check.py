"""The conversion matrix: whether a network converts to every scheme and format, and what each target takes of it.

The weights are random, with batch normalisation fitted to made-up images: enough to test graphs, converters, checks and
op tables. Nothing here says how accurate a network is.
"""

from __future__ import annotations

import functools
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import edgecv.compress as compress
from edgecv import zoo
from edgecv.convert import convert
from edgecv.core.errors import EdgecvError
from edgecv.core.files import sha256
from edgecv.core.progress import QUIET, Reporter, Unseen
from edgecv.data import Dataset, fitted
from edgecv.data.synthetic import synthetic
from edgecv.modelio import LoadedModel, env, manifest_for, save_keras
from edgecv.runtime.image import preprocess_sample
from edgecv.targets import inspect
from edgecv.values import profiles
from edgecv.values.specs import ModelSpec

FORMATS = ("tflite", "onnx")
WAYS = ("float32", "float16", "dynamic", "int8-ptq", "int8-qat", "int8-pruned")
"""What is made of every network: a scheme, for int8 with how it was reached; "pruned" is half zeros, then ptq."""

TARGETS = ("cpu", "gpu", "edgetpu")
BATCH = 8
SPARSITY = 0.5
LOGIT_SPREAD = 2.0
SATURATED = 10.0
MEAN_SHARE = 0.1
LABELS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetReading:
    """What one target does with one file.

    Attributes:
        unmapped: Operators that it leaves to the CPU, with the reason, each once.
        kind: "predicted", or "simulated" when the real accelerator ran on a software adapter.
    """

    target: str
    n_ops: int
    n_mapped: int
    unmapped: tuple[str, ...]
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One network in one scheme and format.

    Attributes:
        error: Why there is no file; "" when it was made and passed its checks.
        warnings: What the stages remarked.
        sqnr_db: Signal to quantisation noise of the worst output against the keras model; None when equal.
        seconds: Conversion with its checks, training left out.
    """

    network: str
    variant: str
    input_shape: tuple[int, ...]
    way: str
    format: str
    error: str
    warnings: tuple[str, ...]
    size_bytes: int | None
    sqnr_db: float | None
    seconds: float
    targets: tuple[TargetReading, ...]


def cells(
    name: str,
    *,
    variant: str = "canonical",
    input_shape: tuple[int, ...] | None = None,
    ways: Sequence[str] = WAYS,
    formats: Sequence[str] = FORMATS,
    targets: Sequence[str] = TARGETS,
    labels: int | None = LABELS,
    reporter: Reporter = QUIET,
) -> Iterator[Cell]:
    """Make, check and inspect every file of one network; what fails is a cell with its error, not an exception.

    Args:
        name: Of the architecture.
        variant: Of it.
        input_shape: None takes the published one.
        ways: Of `WAYS`.
        formats: Of `FORMATS`.
        targets: Deployment targets that read each .tflite.
        labels: At most so many for a classifier, None for all of its own: an int8 softmax over a thousand has answers
            below its step of 1/256, and a check of them sees nothing else.
        reporter: Told of each file.

    Yields:
        One cell per way and format, in their order.

    Raises:
        ConfigError: Unknown names, or a shape that the architecture does not take.
    """
    settled = network(name, variant=variant, input_shape=input_shape, labels=labels)
    for way in ways:
        yield from cells_of(settled, way, formats=formats, targets=targets, reporter=reporter)


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A float network with random weights, and what feeds it."""

    model: Any
    spec: ModelSpec
    data: Dataset


def network(name: str, *, variant: str, input_shape: tuple[int, ...] | None, labels: int | None = LABELS) -> Network:
    """Return a network whose activations and answers are of a trained one's size; the same one each time.

    Args, raises: As `cells`.
    """
    model, spec = zoo.build(name, variant=variant, input_shape=input_shape, **_few_labels(name, variant, labels))
    data = synthetic(spec)
    _settle(model, spec, data)
    return Network(model=model, spec=spec, data=data)


def cells_of(
    settled: Network,
    way: str,
    *,
    formats: Sequence[str] = FORMATS,
    targets: Sequence[str] = TARGETS,
    reporter: Reporter = QUIET,
) -> Iterator[Cell]:
    """Yield a cell for each format of one way. Args: As `cells`."""
    with tempfile.TemporaryDirectory() as folder:
        source = _Source(network=settled, folder=Path(folder))
        yield from _way(source, way, formats, targets, Unseen(reporter))


def settled_file(
    name: str,
    folder: Path,
    *,
    variant: str = "canonical",
    input_shape: tuple[int, ...] | None = None,
    way: str = "float32",
    format: str = "tflite",
    labels: int | None = None,
    reporter: Reporter = QUIET,
) -> Path:
    """Make one file of one network as `cells` does, and keep it: for measuring what targets do with it.

    Args:
        name: Of the architecture; `variant` of it.
        folder: To write to.
        input_shape: None takes the smallest one.
        way: "float32", "float16", "dynamic" or "int8-ptq".
        format: Of `FORMATS`.
        labels: At most so many for a classifier, None for all of its own; see `cells`.
        reporter: Takes progress.

    Raises:
        ConfigError: Unknown names.
        ConversionError: It does not convert.
    """
    shape = input_shape or zoo.get(name).small_shape
    settled = network(name, variant=variant, input_shape=shape, labels=labels)
    made: Path = _convert(_Source(network=settled, folder=folder), settled.model, way, format, reporter).path
    return made


def _few_labels(name: str, variant: str, most: int | None) -> dict[str, Any]:
    entry = zoo.get(name)
    chosen = entry.variant(variant)
    heads = chosen.heads or entry.heads
    if chosen.fixed_labels is not None or len(heads) > 1 or most is None or len(heads[0].labels) <= most:
        return {}
    return {"labels": heads[0].labels[:most]}


def _settle(model: Any, spec: ModelSpec, data: Dataset) -> None:
    """Give an untrained network activations and answers of a trained one's size, on the training samples.

    Batch normalisations get statistics from their inputs: theirs are 0 and 1, so that activations vanish or explode
    with depth. Dense and convolutional outputs are scaled to logits of standard deviation 2: else every answer is the
    same, and rounding noise is all that a check would see. A single logit far from zero, whose sigmoid is 0 or 1 for
    every image, is centred.
    """
    split = fitted(data, spec).split("train")
    samples = [preprocess_sample(split.sample(index), spec) for index in range(min(len(split), BATCH))]
    tensors = [np.concatenate(parts) for parts in zip(*samples, strict=True)]
    batch = tensors if len(tensors) > 1 else tensors[0]
    norms = [layer for layer in model.submodules if type(layer).__name__ == "BatchNormalization"]
    calls = [layer.call for layer in norms]
    for layer in norms:
        layer.call = functools.partial(_measured, layer, layer.call)
    model(batch, training=False)
    for layer, call in zip(norms, calls, strict=True):
        layer.call = call
    for name in model.output_names:
        _scale_head(model, model.get_layer(name), batch)


def _measured(layer: Any, call: Callable[..., Any], inputs: Any, **options: Any) -> Any:
    """Set a layer's statistics from its inputs, then compute as in inference.

    Most of the mean stays in: a random network that centres every layer is chaotic, and drowns in rounding noise as no
    trained one does.
    """
    values = np.asarray(inputs).reshape(-1, inputs.shape[-1])
    layer.moving_mean.assign(MEAN_SHARE * values.mean(axis=0))
    layer.moving_variance.assign(np.full(values.shape[1], np.square(values).mean() + 1e-6))
    return call(inputs, **options)


def _scale_head(model: Any, head: Any, batch: Any) -> None:
    if type(head).__name__ not in ("Dense", "Conv2D"):
        return
    features = env.keras().Model(model.inputs, head.input)(batch, training=False)
    activation, head.activation = head.activation, env.keras().activations.linear
    logits = np.asarray(head(features))
    head.activation = activation
    scale = LOGIT_SPREAD / float(logits.std()) if logits.std() > 0 else 1.0
    head.kernel.assign(head.kernel * scale)
    middle = scale * float(logits.mean())
    if logits.shape[-1] == 1 and head.use_bias and abs(middle) > SATURATED:
        head.bias.assign(head.bias - middle)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """A float network, and where files go."""

    network: Network
    folder: Path


class _Collector:
    """A reporter that keeps the warnings."""

    def __init__(self, inner: Reporter) -> None:
        self._inner = inner
        self.warnings: list[str] = []

    def warn(self, message: str) -> None:
        self.warnings.append(message)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def _way(
    source: _Source, way: str, formats: Sequence[str], targets: Sequence[str], reporter: Reporter
) -> Iterator[Cell]:
    collector = _Collector(reporter)
    prepare: Callable[[_Source, Any], Any] = {"int8-qat": _aware, "int8-pruned": _pruned}.get(way, _plain)
    try:
        model, failure = prepare(source, collector), ""
    except EdgecvError as error:
        model, failure = None, f"{type(error).__name__}: {error.message}"
    for format in formats:
        yield _cell(source, model, failure, way, format, targets, collector)


def _plain(source: _Source, reporter: Any) -> Any:
    return source.network.model


def _aware(source: _Source, reporter: Any) -> Any:
    recipe = compress.QatRecipe(epochs=1, batch_size=BATCH, learning_rate=1e-5)
    return compress.quantize_aware(
        source.network.model, source.network.spec, source.network.data, recipe, reporter=reporter
    ).model


def _pruned(source: _Source, reporter: Any) -> Any:
    recipe = compress.PruneRecipe(sparsity=SPARSITY, epochs=1, ramp=1.0, batch_size=BATCH, learning_rate=1e-5)
    return compress.prune(
        source.network.model, source.network.spec, source.network.data, recipe, reporter=reporter
    ).model


def _cell(
    source: _Source, model: Any, failure: str, way: str, format: str, targets: Sequence[str], collector: _Collector
) -> Cell:
    spec, made = source.network.spec, None
    readings: tuple[TargetReading, ...] = ()
    start = time.perf_counter()
    if not failure:
        try:
            made = _convert(source, model, way, format, collector)
            readings = tuple(_reading(made.path, target) for target in targets) if format == "tflite" else ()
        except EdgecvError as error:
            failure = f"{type(error).__name__}: {error.message}"
    return Cell(
        network=spec.name,
        variant=spec.variant,
        input_shape=spec.input_shape,
        way=way,
        format=format,
        error=failure,
        warnings=tuple(dict.fromkeys(collector.warnings)),
        size_bytes=made.size_bytes if made else None,
        sqnr_db=made.check.sqnr_db if made else None,
        seconds=time.perf_counter() - start,
        targets=readings,
    )


def _convert(source: _Source, model: Any, way: str, format: str, reporter: Any) -> Any:
    scheme, _, method = way.partition("-")
    qat = method == "qat"
    keras = source.folder / f"{way}.keras"
    if not keras.exists():
        manifest = manifest_for(source.network.spec, recipe={"step": "matrix"}, method="qat" if qat else "none")
        save_keras(model, keras, manifest)
    loaded = LoadedModel(model=model, manifest=None, path=keras, sha256=sha256(keras))
    return convert(
        loaded,
        format=format,
        scheme=scheme,
        out=source.folder / f"{way}.{format}",
        method="qat" if qat else "ptq" if scheme == "int8" else "none",
        calibration=profiles.calibration("minmax") if scheme == "int8" else None,
        dataset=source.network.data,
        spec=source.network.spec,
        force=True,
        reporter=reporter,
    )


def _reading(path: Path, target: str) -> TargetReading:
    found = inspect(path, target)
    left = [f"{op.op}: {op.reason or op.status}" for op in found.ops if not op.mapped]
    return TargetReading(
        target=target,
        n_ops=found.n_ops,
        n_mapped=found.n_mapped,
        unmapped=tuple(dict.fromkeys(left)),
        kind=found.kind,
    )
