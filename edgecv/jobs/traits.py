"""What pruning and clustering made of a model, and what a file made from it still has of that."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgecv.convert.check.structure import STATIC
from edgecv.convert.check.weight_census import held_weights
from edgecv.values.manifest import Manifest

CLUSTERED_BY = ("cluster", "qat")
"""Steps after which clusters are there, when the recipe names them; any other step may have undone them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What was made zero or few in a model, as its manifest says.

    Attributes:
        sparsity: Share of zeros in its prunable weights, 0..1; None: not pruned.
        pattern: "2:4": zeros in each block of input channels; None: anywhere.
        clusters: Values of each kernel; None: not clustered.
    """

    sparsity: float | None = None
    pattern: str | None = None
    clusters: int | None = None

    @property
    def facts(self) -> dict[str, Any]:
        """For a manifest: what is there of sparsity, pattern and clusters."""
        named = {"sparsity": self.sparsity, "pattern": self.pattern, "clusters": self.clusters}
        return {name: value for name, value in named.items() if value is not None}

    @property
    def words(self) -> str:
        """For a person: "75.0 % zeros in 2:4 blocks, 16 values in each kernel"; "" for an ordinary model."""
        blocks = f" in {self.pattern} blocks" if self.pattern else ""
        zeros = "" if self.sparsity is None else f"{self.sparsity:.1%} zeros{blocks}"
        values = "" if self.clusters is None else f"{self.clusters} values in each kernel"
        return ", ".join(part for part in (zeros, values) if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What a file has of its source's zeros, blocks and clusters: counted in its integers, or floats.

    Convolutions and dense layers count, depthwise layers do not.

    Attributes:
        source: Of the model that it was made from.
        zeros: Share of the weights that are 0, 0..1.
        patterned: Kernels in which every block of the source's pattern has its zeros; None without a pattern.
        values_per_channel: Most different values in one output channel.
        values_per_kernel: Most different values in one kernel: more, since each output channel has its own scale.
        gzip_bytes: Of the file, after gzip.
    """

    source: Traits
    zeros: float
    patterned: int | None
    values_per_channel: int
    values_per_kernel: int
    gzip_bytes: int


def traits(manifest: Manifest | None) -> Traits:
    """Return what pruning and clustering left in a model, by what its manifest says of the last step."""
    if manifest is None:
        return Traits()
    recipe = manifest.provenance.recipe
    pattern, clusters = recipe.get("pattern"), recipe.get("clusters")
    return Traits(
        sparsity=manifest.sparsity,
        pattern=":".join(str(part) for part in pattern) if isinstance(pattern, (list, tuple)) else None,
        clusters=int(clusters) if clusters is not None and recipe.get("step") in CLUSTERED_BY else None,
    )


def kept(path: Path, source: Traits, *, scheme: str) -> Kept | None:
    """Count what a file has of `source`; None for an ordinary source, and for files whose weights are not counted.

    Those are ONNX files and the schemes "float16" and "dynamic".
    """
    if not source.facts or path.suffix != ".tflite" or scheme not in ("float32", *STATIC):
        return None
    zeros, block = (int(part) for part in (source.pattern or "2:4").split(":"))
    held = held_weights(path, pattern=(zeros, block))
    return Kept(
        source=source,
        zeros=held.zeros,
        patterned=None if source.pattern is None else held.patterned,
        values_per_channel=held.values_per_channel,
        values_per_kernel=held.values_per_kernel,
        gzip_bytes=held.gzip_bytes,
    )
