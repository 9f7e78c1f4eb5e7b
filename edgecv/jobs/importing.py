"""Networks of other tools' own formats: `edgecv import`, from their files to a saved `.keras` with its contract."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecv.core.errors import ConfigError
from edgecv.core.files import check_output, sha256
from edgecv.core.progress import QUIET, Reporter
from edgecv.core.shown import Shown
from edgecv.jobs import models
from edgecv.modelio import contents, manifest_for, save_keras
from edgecv.modelio.contract import read_labels
from edgecv.modelio.darknet import import_darknet
from edgecv.values.specs import ModelSpec
from edgecv.zoo.profiling import profile


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedModel(Shown):
    """A network that was imported and written.

    Attributes:
        path: Of the `.keras`.
        name: Of the network.
        source: The file it comes from; `weights` the one of its weights, None when they are random.
        input_shape: Without the batch.
        outputs: Name of each output to its shape, without the batch.
        labels: How many the first head has.
        macs: Multiply-accumulates of one run.
        seen: Images that it was trained on, as the weights file says; None where nothing says so.
        remarks: What was passed over or assumed, a sentence each.
    """

    path: str
    name: str
    source: str
    weights: str | None
    input_shape: tuple[int, ...]
    outputs: Mapping[str, tuple[int, ...]]
    labels: int
    parameters: int
    macs: int
    seen: int | None
    remarks: tuple[str, ...]
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """What a reader makes of files."""

    model: Any
    spec: ModelSpec
    remarks: tuple[str, ...]
    seen: int | None


def import_file(
    source: Path,
    weights: Path | None = None,
    *,
    out: Path,
    labels: Path | None = None,
    seed: int = 0,
    force: bool = False,
    reporter: Reporter = QUIET,
) -> ImportedModel:
    """Import a network and save it.

    Args:
        source: The file that says what it is made of: a Darknet `.cfg`.
        weights: Its weights: a Darknet `.weights`; None gives random ones.
        out: Where the `.keras` goes.
        labels: Names of the classes, one per line.
        seed: Of random weights.
        force: Replace what exists.
        reporter: Is told what was passed over.

    Raises:
        ConfigError: A file is of no format that is imported, or cannot be read or written.
        UnsupportedModelError: It holds what cannot be imported, or files do not fit each other.
    """
    models.check_keras(out)
    reader = _reader(source)
    check_output(out, force=force)
    names = read_labels(labels) if labels is not None else ()
    read = reader(source, weights, names, seed)
    for remark in read.remarks:
        reporter.warn(remark)
    recipe = {"step": "import", "file": source.name, "weights": weights.name if weights else None}
    held = weights if weights is not None else source
    manifest = manifest_for(read.spec, recipe=recipe, seed=None if weights else seed, source_sha256=sha256(held))
    path = save_keras(read.model, out, manifest, force=force)
    shapes = [tuple(int(size) for size in tensor.shape[1:]) for tensor in read.model.outputs]
    return ImportedModel(
        path=str(path),
        name=read.spec.name,
        source=str(source),
        weights=None if weights is None else str(weights),
        input_shape=read.spec.input_shape,
        outputs=dict(zip(read.spec.outputs, shapes, strict=True)),
        labels=len(read.spec.labels),
        parameters=int(read.model.count_params()),
        macs=profile(read.model).macs,
        seen=read.seen,
        remarks=read.remarks,
        size_bytes=path.stat().st_size,
        sha256=sha256(path),
    )


def _darknet(source: Path, weights: Path | None, labels: Sequence[str], seed: int) -> _Read:
    found = import_darknet(source, weights, labels=labels, seed=seed)
    seen = None if found.header is None else found.header.seen
    return _Read(model=found.model, spec=found.spec, remarks=found.remarks, seen=seen)


Reader = Callable[[Path, Path | None, Sequence[str], int], _Read]
READERS: Mapping[str, Reader] = {".cfg": _darknet}
"""By the suffix of the file that says what a network is made of."""


def _reader(source: Path) -> Reader:
    found = READERS.get(source.suffix.lower())
    if found is not None:
        return found
    if source.suffix.lower() == ".weights":
        raise ConfigError(
            f"{source} holds weights only", hint="give the .cfg file first: edgecv import net.cfg net.weights"
        )
    if contents.is_keras(source):
        raise ConfigError(
            f"{source} is a keras model, which needs no import", hint="edgecv convert and the others take it as it is"
        )
    raise ConfigError(
        f"{source} is of no format that is imported",
        hint=f"known: {', '.join(READERS)}; docs/importing.md has the others",
    )
