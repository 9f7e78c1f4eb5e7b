"""Two converted networks and their contract as a whole, in one file."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from edgecv.convert.artifact import Artifact
from edgecv.core import files
from edgecv.modelio import LoadedModel, tool_versions
from edgecv.modelio.keras_files import EPOCH, MEMBER
from edgecv.runtime.bundle import golden_of
from edgecv.runtime.engines import open_session
from edgecv.tasks.detection.regions import whole
from edgecv.values import bundle as bundles
from edgecv.values.bundle import REGIONS, Bundle
from edgecv.values.manifest import Manifest, Provenance, to_json

TWICE = 2.0
"""By which the second network's tolerances grow: what it takes differs from engine to engine already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleArtifact:
    """A bundle that was written.

    Attributes:
        manifest: Of the whole.
        parts: Role to the converted network.
    """

    path: Path
    manifest: Manifest
    size_bytes: int
    sha256: str
    parts: Mapping[str, Artifact]


def write_bundle(parts: Mapping[str, Artifact], source: LoadedModel, out: files.PathLike) -> BundleArtifact:
    """Write a bundle of converted networks, with what the second answers for regions of the first one's golden images.

    The members are stored, not compressed, and without times: the same networks give the same bytes.

    Args:
        parts: Role to network; the first takes the image.
        source: The keras model of both, with its contract.
        out: Where the file goes.

    Raises:
        UnsupportedModelError: The networks do not fit each other.
        ConfigError: `out` cannot be written.
    """
    found = Bundle(parts={role: f"{role}{part.path.suffix}" for role, part in parts.items()})
    with files.atomic_path(out) as partial:
        partial.write_bytes(_archive(found, parts, _manifest(parts, source)))
        manifest, found = _completed(partial, found, parts, source)
        partial.write_bytes(_archive(found, parts, manifest))
    made = Path(out)
    return BundleArtifact(
        path=made, manifest=manifest, size_bytes=made.stat().st_size, sha256=files.sha256(made), parts=dict(parts)
    )


def _completed(
    path: Path, found: Bundle, parts: Mapping[str, Artifact], source: LoadedModel
) -> tuple[Manifest, Bundle]:
    session = open_session(path)
    try:
        manifest = replace(_manifest(parts, source), inputs=session.inputs, outputs=session.outputs)
    finally:
        session.close()
    last = parts[REGIONS].manifest
    if last.golden:
        return manifest, found
    allowed = last.golden_tolerances or (last.golden_tolerance,) * len(last.outputs)
    return manifest, replace(
        found, golden=golden_of(path), golden_tolerances=tuple(TWICE * tolerance for tolerance in allowed)
    )


def _manifest(parts: Mapping[str, Artifact], source: LoadedModel) -> Manifest:
    last = parts[REGIONS].manifest
    earlier = source.manifest
    provenance = Provenance(
        recipe={"step": "bundle", "parts": {role: part.sha256 for role, part in parts.items()}},
        tools=tool_versions(()),
        seed=last.provenance.seed,
        source_sha256=source.sha256,
        dataset=earlier.provenance.dataset if earlier else None,
        dataset_sha256=parts[next(iter(parts))].manifest.provenance.dataset_sha256,
        parents=last.provenance.parents,
    )
    return Manifest(
        spec=whole(source.require_spec()),
        format="bundle",
        scheme=last.scheme,
        method=last.method,
        target=last.target,
        sparsity=last.sparsity,
        provenance=provenance,
    )


def _archive(found: Bundle, parts: Mapping[str, Artifact], manifest: Manifest) -> bytes:
    members = {bundles.MEMBER: bundles.to_json(found).encode(), MEMBER: to_json(manifest).encode()}
    members |= {found.parts[role]: part.path.read_bytes() for role, part in parts.items()}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name, EPOCH), data)
    return out.getvalue()
