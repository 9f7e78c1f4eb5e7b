"""Float .onnx and .tflite files as keras models in memory, for every command: imported once a process, and checked."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecv.compress.cloning import copy
from edgecv.core.errors import ConfigError
from edgecv.core.files import sha256
from edgecv.core.progress import QUIET, Reporter
from edgecv.jobs.importing_tflite import import_tflite
from edgecv.modelio import LoadedModel, contents, manifest_for
from edgecv.modelio.keras_files import import_of, in_one_form
from edgecv.modelio.onnx import TOLERANCE, ImportedOnnx, import_onnx
from edgecv.modelio.opening import Opening
from edgecv.runtime.container import read_manifest
from edgecv.values.manifest import Manifest
from edgecv.values.specs import ModelSpec

REFERENCES = {"onnx": "ONNX Runtime", "tflite": "LiteRT"}
"""What answers are held against, by format."""
REMEMBERED = 2
"""Networks that stay in memory: the one that a job is about, and the one that it is compared with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphModel:
    """The network of a graph file.

    Attributes:
        found: It, and how far its answers lie from those of the file.
        format: "onnx" or "tflite".
        digest: sha256 of the file.
        recipe: The step that its manifest is of.
        embedded: What edgecv wrote into the file; None where it did not.
    """

    found: ImportedOnnx
    format: str
    digest: str
    recipe: Mapping[str, Any]
    embedded: Manifest | None

    @property
    def reference(self) -> str:
        """What its answers were held against."""
        return REFERENCES[self.format]

    @property
    def worst(self) -> float:
        """The largest difference from it, as a share of an output's range."""
        return max((one.relative for one in self.found.differences), default=0.0)

    def manifest(self, spec: ModelSpec, said: tuple[str, ...] = ()) -> Manifest:
        """Return the manifest of the network as a keras model; what led to a file of edgecv's stays in it.

        Args:
            spec: Its contract.
            said: What was found out of it, a sentence each.
        """
        recipe = {**self.recipe, **({"inferred": list(said)} if said else {})}
        if self.embedded is None:
            return manifest_for(spec, recipe=recipe, source_sha256=self.digest)
        earlier = self.embedded.provenance
        kept = {"keeps": earlier.recipe["keeps"]} if "keeps" in earlier.recipe else {}
        return manifest_for(
            spec, recipe={**recipe, **kept}, source_sha256=self.digest, dataset=earlier.dataset,
            dataset_sha256=earlier.dataset_sha256, parents=earlier.parents, sparsity=self.embedded.sparsity,
        )  # fmt: skip


def read(
    path: Path,
    *,
    input_size: tuple[int, int] | None = None,
    likely_size: tuple[int, int] | None = None,
    allow_difference: float = TOLERANCE,
    seed: int = 0,
    reporter: Reporter = QUIET,
) -> GraphModel:
    """Return the network of a float .onnx or .tflite, held against the answers of the file's own runtime.

    The same file is read once a process. Whoever changes the model takes a copy.

    Args:
        path: The file, of a format that `contents.graph_format` knows.
        input_size: Height and width where an .onnx leaves them open.
        likely_size: Those of its contract, which it may leave open.
        allow_difference: Of an output's range: how far answers may lie from those of the file.
        seed: Of random inputs.
        reporter: Is told what came in, the first time.

    Raises:
        ConfigError, UnsupportedModelError, ConversionError: As `import_onnx` and `import_tflite`.
    """
    written = path.stat().st_mtime_ns if path.exists() else 0  # weights beside a file are not in its digest
    key = (path, sha256(path), written, input_size, likely_size, allow_difference, seed)
    before = _read.cache_info().misses
    known = _read(*key)
    if _read.cache_info().misses > before:
        _tell(path, known, reporter)
    return known


@functools.lru_cache(maxsize=REMEMBERED)
def _read(
    path: Path,
    digest: str,
    written: int,
    input_size: tuple[int, int] | None,
    likely_size: tuple[int, int] | None,
    allow_difference: float,
    seed: int,
) -> GraphModel:
    format_, recipe = contents.graph_format(path), dict(import_of(path))
    if format_ == "tflite":
        if input_size is not None:
            raise ConfigError(f"the sizes of {path} are fixed", hint="leave --input-size out")
        found = import_tflite(path, allow_difference=allow_difference, seed=seed)
    else:
        found = import_onnx(
            path, input_size=input_size, likely_size=likely_size, allow_difference=allow_difference, seed=seed
        )
        recipe |= {"producer": found.producer, "opset": found.opset}
    return GraphModel(found=found, format=format_, digest=digest, recipe=recipe, embedded=read_manifest(path))


def _tell(path: Path, known: GraphModel, reporter: Reporter) -> None:
    layers = len(known.found.model.layers)
    reporter.info(
        f"imported {path.name}: {known.found.nodes} operators as {layers} layers, answers within {known.worst:.1g} of "
        f"{known.reference}'s"
    )
    for remark in known.found.remarks:
        reporter.info(remark)


def loaded(path: Path, opening: Opening, *, reporter: Reporter = QUIET) -> LoadedModel:
    """Return the network of a float .onnx or .tflite as `load_keras` does that of a .keras: a copy, to be changed.

    Args:
        path: The file.
        opening: What the user says of it.
        reporter: Is told what came in.

    Raises:
        ConfigError, UnsupportedModelError, ConversionError: As `read` and `load_keras`.
    """
    for option, value in (("--architecture", opening.architecture), ("--signature", opening.signature)):
        if value is not None:
            raise ConfigError(f"{path} says itself what it computes", hint=f"leave {option} out")
    known = read(path, input_size=opening.input_size, likely_size=_size(opening.spec), reporter=reporter)
    embedded = None if known.embedded is None else known.manifest(known.embedded.spec)
    model = copy(known.found.model)
    return in_one_form(model, embedded, path, opening, digest=known.digest, recipe=known.recipe)


def _size(spec: ModelSpec | None) -> tuple[int, int] | None:
    """Return height and width of a contract's first image."""
    shapes = [one.shape for one in spec.inputs if len(one.shape) == 3] if spec is not None else []
    return (int(shapes[0][0]), int(shapes[0][1])) if shapes else None
