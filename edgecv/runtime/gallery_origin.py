"""Which trained network a file stems from, so that only vectors of one network are compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, List, Optional, Tuple

from edgecv.core.files import PathLike, sha256
from edgecv.values.manifest import Manifest
from edgecv.values.specs import ModelSpec

DERIVED = frozenset({"convert", "compile", "candidate", "qat", "prune", "slim", "cluster", "bundle", "draft"})
"""Steps whose results answer nearly as what they were made of; others make another network."""


@dataclass(frozen=True)
class Origin:
    """The trained network that a file was made of.

    Attributes:
        name: Architecture, or the stem of a foreign file.
        variant: Of the architecture.
        sha256: Of the file of the trained network: the same for a float file and the int8 file made of it.
        file_sha256: Of the file itself.
    """

    name: str
    variant: str
    sha256: str
    file_sha256: str


def origin_of(model: Any) -> Origin:
    """Return where a loaded model stems from; `model` is a `Predictor`."""
    return file_origin(model.path, model.spec, model.manifest)


def file_origin(path: PathLike, spec: ModelSpec, manifest: Optional[Manifest]) -> Origin:
    """Return where a model file stems from; of a file without a manifest, itself.

    Raises:
        OSError: The file cannot be read.
    """
    return Origin(spec.name, spec.variant, trained_sha256(path, manifest), sha256(path))


def trained_sha256(path: PathLike, manifest: Optional[Manifest]) -> str:
    """Return the digest of the trained network that a file was made of; of a file without a manifest, its own."""
    stages = _stages(manifest, sha256(path))
    trained = [digest for step, digest in stages if step not in DERIVED]
    return trained[-1] if trained else stages[0][1]


def _stages(manifest: Optional[Manifest], own: str) -> List[Tuple[str, str]]:
    """Return (step, sha256) of the stages that led to a file, oldest first, itself last."""
    if manifest is None:
        return [("file", own)]
    made = manifest.provenance
    stages = [(str(parent.get("step", "")), str(parent["sha256"])) for parent in made.parents if "sha256" in parent]
    if made.source_sha256 is not None and made.source_sha256 not in {digest for _, digest in stages}:
        stages.append(("source", made.source_sha256))
    return [*stages, (str(made.recipe.get("step", "")), own)]
