"""Putting the values of earlier stages together for a report."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import edgecv
from edgecv import files
from edgecv.errors import ConfigError
from edgecv.manifest import Manifest
from edgecv.results import ArtifactResult, Drop, Evaluation, Latency, MappingSummary


def artifact_result(
    path: files.PathLike,
    manifest: Manifest,
    *,
    folder: files.PathLike,
    name: str | None = None,
    evaluation: Evaluation | None = None,
    drop: Drop | None = None,
    mappings: Sequence[MappingSummary] = (),
    latency: Sequence[Latency] = (),
) -> ArtifactResult:
    """Return what a report says of one artifact; size and sha256 are read from the file.

    Args:
        path: The artifact.
        manifest: The one inside it.
        folder: Of the report: the path is stored relative to it.
        name: None takes the file's stem.
        evaluation: On the report's data set.
        drop: Against the baseline, on the same samples.
        mappings: On all targets looked at; the one of the manifest's target becomes `mapping`.
        latency: On all devices.

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
        confusion=evaluation.confusion if evaluation else (),
        top_k=dict(evaluation.top_k) if evaluation else {},
    )


def relative_path(path: Path, folder: Path) -> str:
    """Return `path` relative to `folder`, with forward slashes; both relative to the working directory or absolute."""
    return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()


def host_facts() -> dict[str, Any]:
    """Return what can be told of this machine: system, processor, cores, memory in bytes, Python, edgecv."""
    return {
        "system": platform.platform(terse=True),
        "machine": platform.machine(),
        "cpu": _cpu_name(),
        "cores": _usable_cores(),
        "memory_bytes": _memory_bytes(),
        "python": platform.python_version(),
        "edgecv": edgecv.__version__,
    }


def _usable_cores() -> int | None:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def _cpu_name() -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or None
    names = (line.partition(":")[2].strip() for line in lines if line.lower().startswith("model name"))
    return next(names, platform.processor() or None)


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None
