"""Putting the values of earlier stages together for a report."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from edgecv.core import files
from edgecv.core.errors import ConfigError
from edgecv.values.evaluation import Evaluation
from edgecv.values.inspection import MappingSummary
from edgecv.values.kind import Kind
from edgecv.values.latency import Latency
from edgecv.values.manifest import Manifest
from edgecv.values.report import ArtifactResult, Exhibit, HeadResult
from edgecv.values.scores import Drop


def artifact_result(
    path: files.PathLike,
    manifest: Manifest,
    *,
    folder: files.PathLike,
    name: str | None = None,
    evaluation: Evaluation | None = None,
    metric_kind: Kind = "measured",
    drop: Drop | None = None,
    heads: Sequence[HeadResult] = (),
    mappings: Sequence[MappingSummary] = (),
    latency: Sequence[Latency] = (),
    exhibits: Sequence[Exhibit] = (),
    arena_bytes: int | None = None,
) -> ArtifactResult:
    """Return what a report says of one artifact; size and sha256 are read from the file.

    Args:
        path: The artifact.
        manifest: The one inside it.
        folder: Of the report: the path is stored relative to it.
        name: None takes the file's stem.
        evaluation: On the report's data set.
        metric_kind: Of the evaluation: "simulated" when a software renderer stood in for the accelerator.
        drop: Against the baseline, on the same samples.
        heads: Every head of the evaluation, in the model's order.
        mappings: On all targets looked at; the one of the manifest's target becomes `mapping`.
        latency: On all devices.
        exhibits: Pictures of its answers; their paths are relative to `folder`, or absolute.
        arena_bytes: That its activations take, predicted.

    Raises:
        ConfigError: The file does not exist.
    """
    source = Path(path)
    if not source.is_file():
        raise ConfigError(f"artifact {source} does not exist", hint="check the path")
    own = next((m for m in mappings if m.target == manifest.target), None)
    return ArtifactResult(
        name=name or source.stem,
        path=relative_path(source, Path(folder)),
        format=manifest.format,
        scheme=manifest.scheme,
        method=manifest.method,
        sparsity=manifest.sparsity,
        target=manifest.target,
        size_bytes=source.stat().st_size,
        sha256=files.sha256(source),
        metric=evaluation.metric if evaluation else None,
        value=evaluation.value if evaluation else None,
        drop=drop.value if drop else None,
        drop_ci95=drop.ci95 if drop else None,
        mapping=own,
        other_mappings=tuple(m for m in mappings if m is not own),
        latency=tuple(latency),
        metric_kind=metric_kind if evaluation else None,
        heads=tuple(heads),
        exhibits=tuple(exhibits),
        arena_bytes=arena_bytes,
    )


def relative_path(path: Path, folder: Path) -> str:
    """Return `path` relative to `folder`, with forward slashes; both relative to the working directory or absolute."""
    return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
