"""Networks of other tools' own formats: `edgecv import`, from their files to a saved `.keras` with its contract."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from edgecv.core.errors import ConfigError, EdgecvError
from edgecv.core.files import check_output, sha256
from edgecv.core.progress import QUIET, Reporter
from edgecv.core.shown import Shown
from edgecv.jobs import graph_models, models
from edgecv.jobs.contract import contract_of
from edgecv.jobs.graph_models import GraphModel
from edgecv.modelio import LoadedModel, contents, manifest_for, save_keras
from edgecv.modelio.contract import read_labels
from edgecv.modelio.darknet import import_darknet
from edgecv.modelio.onnx import TOLERANCE
from edgecv.modelio.opening import input_size
from edgecv.values.manifest import Manifest
from edgecv.values.presets import PRESETS
from edgecv.values.spec_file import read_spec
from edgecv.values.specs import ModelSpec
from edgecv.zoo.profiling import profile


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedModel(Shown):
    """A network that was imported and written.

    Attributes:
        path: Of the `.keras`.
        name: Of the network.
        format: Of what it comes from: "darknet", "onnx" or "tflite".
        source: The file it comes from; `weights` the one of its weights, None when they are random or in the same file.
        input_shape: Without the batch.
        outputs: Name of each output to its shape, without the batch.
        labels: How many the first head has.
        open: Presets between which nothing decides; then the file has no contract. Empty when it has one.
        layers: Of the keras model.
        macs: Multiply-accumulates of one run.
        seen: Images that it was trained on, as the weights file says; None where nothing says so.
        nodes: Operators of the file, without those that only compute constants; None of Darknet's.
        reference: What the answers were held against: "ONNX Runtime" or "LiteRT"; "" where nothing else computes the
            file.
        differences: From it: name of each output in the file to the largest distance on random inputs, as a share of
            the output's range.
        remarks: What was passed over or assumed, a sentence each.
    """

    path: str
    name: str
    format: str
    source: str
    weights: str | None
    input_shape: tuple[int, ...]
    outputs: Mapping[str, tuple[int, ...]]
    labels: int
    open: tuple[str, ...]
    layers: int
    parameters: int
    macs: int
    seen: int | None
    nodes: int | None
    reference: str
    differences: Mapping[str, float]
    remarks: tuple[str, ...]
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is to be imported, and what the user says of it.

    Attributes:
        source: The file that says what the network is made of.
        weights: Its weights, where they lie in another file.
        labels: A file with the names of the classes, one per line.
        spec: TOML of the contract.
        preset: How images are scaled: a name of `edgecv.values.presets`.
        input_size: "224" or "224x320", where the file leaves it open.
        allow_difference: Of an output's range: how far answers may lie from those of the file.
        seed: Of random weights and random inputs.
    """

    source: Path
    weights: Path | None = None
    labels: Path | None = None
    spec: Path | None = None
    preset: str | None = None
    input_size: str | None = None
    allow_difference: float = TOLERANCE
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """What a reader makes of files; a network that does not say how it wants its images has no manifest."""

    model: Any
    manifest: Manifest | None
    open: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    seen: int | None = None
    nodes: int | None = None
    reference: str = ""
    differences: Mapping[str, float] = field(default_factory=dict)


def import_file(asked: Asked, *, out: Path, force: bool = False, reporter: Reporter = QUIET) -> ImportedModel:
    """Import a network and save it.

    Args:
        asked: The file or files: an ONNX file, a float .tflite, or a Darknet `.cfg` with its `.weights` or random ones.
        out: Where the `.keras` goes.
        force: Replace what exists.
        reporter: Is told what was passed over.

    Raises:
        ConfigError: A file is of no format that is imported, or cannot be read or written.
        UnsupportedModelError: It holds what cannot be imported, or files do not fit each other.
    """
    models.check_keras(out)
    kind = format_of(asked.source)
    check_output(out, force=force)
    read = READERS[kind](asked, reporter)
    path = save_keras(read.model, out, read.manifest, force=force)
    shapes = [tuple(int(size) for size in tensor.shape[1:]) for tensor in read.model.outputs]
    spec = None if read.manifest is None else read.manifest.spec
    return ImportedModel(
        path=str(path),
        name=read.model.name if spec is None else spec.name,
        format=kind,
        source=str(asked.source),
        weights=None if asked.weights is None else str(asked.weights),
        input_shape=tuple(int(size) for size in read.model.inputs[0].shape[1:]),
        outputs=dict(zip(read.model.output_names, shapes, strict=True)),
        labels=0 if spec is None else len(spec.heads[0].labels),
        open=read.open,
        layers=len(read.model.layers),
        parameters=int(read.model.count_params()),
        macs=profile(read.model).macs,
        seen=read.seen,
        nodes=read.nodes,
        reference=read.reference,
        differences=read.differences,
        remarks=read.remarks,
        size_bytes=path.stat().st_size,
        sha256=sha256(path),
    )


def _darknet(asked: Asked, reporter: Reporter) -> _Read:
    for option in ("spec", "preset", "input_size"):
        if getattr(asked, option) is not None:
            raise ConfigError(
                f"{asked.source} says itself how it wants its images, so "
                f"--{option.replace('_', '-')} has nothing to say",
                hint="leave it out, or change [net] in the .cfg",
            )
    labels = read_labels(asked.labels) if asked.labels is not None else ()
    found = import_darknet(asked.source, asked.weights, labels=labels, seed=asked.seed)
    recipe = {"step": "import", "file": asked.source.name, "weights": asked.weights.name if asked.weights else None}
    held = asked.weights if asked.weights is not None else asked.source
    seed = None if asked.weights else asked.seed
    manifest = manifest_for(found.spec, recipe=recipe, seed=seed, source_sha256=sha256(held))
    seen = None if found.header is None else found.header.seen
    for remark in found.remarks:
        reporter.warn(remark)
    return _Read(model=found.model, manifest=manifest, remarks=found.remarks, seen=seen)


def _graph(asked: Asked, reporter: Reporter) -> _Read:
    _no_weights(asked)
    known = graph_models.read(
        asked.source, input_size=input_size(asked.input_size) if asked.input_size else None,
        allow_difference=asked.allow_difference, seed=asked.seed,
    )  # fmt: skip
    for remark in known.found.remarks:
        reporter.info(remark)
    manifest, open_ = _contract(known, asked, reporter)
    return _Read(
        model=known.found.model,
        manifest=manifest,
        open=open_,
        remarks=known.found.remarks,
        nodes=known.found.nodes,
        reference=known.reference,
        differences={one.output: one.relative for one in known.found.differences},
    )


def _no_weights(asked: Asked) -> None:
    if asked.weights is not None:
        raise ConfigError(
            f"{asked.source} holds its weights, so {asked.weights} has nothing to say", hint="give one file"
        )


def _contract(known: GraphModel, asked: Asked, reporter: Reporter) -> tuple[Manifest | None, tuple[str, ...]]:
    """Return the manifest of a network of layers; where nothing says how pixels are scaled, None and the presets."""
    loaded = LoadedModel(model=known.found.model, manifest=None, path=asked.source, sha256=known.digest)
    spec, said = _own_spec(known, asked), tuple[str, ...]()
    if spec is None:
        try:
            contract = contract_of(loaded, preset_name=asked.preset)
        except ConfigError as error:
            _without(asked, error.message, reporter)
            return None, tuple(PRESETS)
        if contract.open:
            _without(asked, "nothing in it says how pixels are scaled", reporter)
            return None, contract.open
        spec, said = contract.spec, (*contract.known, *contract.guessed)
        reporter.info(f"contract found out: {'; '.join(said)}")
    elif asked.preset is not None:
        raise ConfigError(f"{asked.source} has a contract, so --preset has nothing to say", hint="leave --preset out")
    if asked.labels is not None:
        spec = _labelled(spec, asked.labels, asked.source, int(known.found.model.outputs[0].shape[-1]))
    return models.as_written(replace(loaded, manifest=known.manifest(spec, said))), ()


def _without(asked: Asked, why: str, reporter: Reporter) -> None:
    """Say that a network comes without a contract. Raises ConfigError where a part of one is given."""
    for option in ("labels", "preset"):
        if getattr(asked, option) is not None:
            raise ConfigError(
                f"--{option} is part of a contract, and the rest is open: {why}",
                hint="--preset says how pixels are scaled, --spec everything; docs/specs.md",
            )
    reporter.info(f"no contract: {why}")


def _own_spec(known: GraphModel, asked: Asked) -> ModelSpec | None:
    """Return the contract that the user gives or that edgecv wrote into the file."""
    if asked.spec is not None:
        return read_spec(asked.spec)
    return None if known.embedded is None else known.embedded.spec


def _labelled(spec: ModelSpec, file: Path, source: Path, width: int) -> ModelSpec:
    """Return a contract of one head with the labels of a file."""
    labels = read_labels(file)
    if len(spec.heads) > 1:
        raise ConfigError(
            f"{source} has {len(spec.heads)} outputs, and labels belong to one",
            hint="write them into a contract: edgecv spec, then --spec",
        )
    if len(labels) != width:
        raise ConfigError(
            f"{file} has {len(labels)} labels for {width} outputs of {source}", hint="give one label per line, in order"
        )
    return spec.with_labels(labels)


Reader = Callable[[Asked, Reporter], _Read]
READERS: Mapping[str, Reader] = {"darknet": _darknet, "onnx": _graph, "tflite": _graph}
"""By what `format_of` says."""
_SECTION = re.compile(rb"^\s*\[(net|network)\]", re.MULTILINE)


def format_of(source: Path) -> str:
    """Return what a file is by its content: "onnx", "tflite" or "darknet"; a `.cfg` without [net] is still Darknet's.

    Raises:
        ConfigError: It cannot be read, or is of no format that is imported.
    """
    try:
        with source.open("rb") as stream:
            start = stream.read(4096)
    except OSError as error:
        if contents.is_keras(source):
            raise _no_import(source) from error
        raise ConfigError(f"{source} cannot be read: {error.strerror}", hint="check the path") from error
    suffix = source.suffix.lower()
    if contents.is_keras(source):
        raise _no_import(source)
    format_ = contents.graph_format(source)
    if format_ == "tflite":
        return format_
    if suffix == ".weights":
        raise ConfigError(
            f"{source} holds weights only", hint="give the .cfg file first: edgecv import net.cfg net.weights"
        )
    if _SECTION.search(start) or suffix == ".cfg":
        return "darknet"
    if format_:
        return format_
    raise ConfigError(
        f"{source} is of no format that is imported",
        hint="known: .onnx, .tflite, .cfg; docs/importing.md has the others",
    )


def _no_import(source: Path) -> EdgecvError:
    return ConfigError(
        f"{source} is a keras model, which needs no import", hint="edgecv convert and the others take it as it is"
    )
