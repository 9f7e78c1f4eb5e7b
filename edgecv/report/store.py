"""Writing and reading the three files of a report."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from edgecv.core import codec, files
from edgecv.core.errors import ConfigError, EdgecvError
from edgecv.report import html, markdown
from edgecv.report.build import relative_path
from edgecv.report.completeness import completed
from edgecv.report.pictures import embedded
from edgecv.report.verdict import decided
from edgecv.runtime.container import read_manifest
from edgecv.values.manifest import Provenance
from edgecv.values.report import ArtifactResult, Report, read_report

read = read_report


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportPaths:
    """Where the files of a report are."""

    json: Path
    html: Path
    markdown: Path


def write(report: Report, folder: files.PathLike, *, force: bool = False) -> ReportPaths:
    """Write report.json, report.html and report.md.

    Unknown figures without a warning get one, and absolute paths of artifacts and exhibits become relative to
    `folder`. The HTML also shows the provenance that the artifacts themselves carry, where they are there, and holds
    the pictures of the exhibits.

    Args:
        report: What to write.
        folder: Made when missing.
        force: Replace the files of an earlier report.

    Raises:
        ConfigError: A file exists and `force` is false, the folder cannot be written, two artifacts share a name,
            or a figure is not finite.
    """
    out = Path(folder)
    paths = ReportPaths(json=out / "report.json", html=out / "report.html", markdown=out / "report.md")
    finished = _relative(decided(completed(_unique(report))), out)
    text = to_json(finished)
    for path in (paths.json, paths.html, paths.markdown):
        files.check_output(path, force=force)
    page = html.render(finished, provenance=_provenance(finished, out), pictures=embedded(finished, out))
    files.write_text(paths.html, page)
    files.write_text(paths.markdown, markdown.render(finished))
    # The contract comes last: where it stands, the report is whole.
    files.write_text(paths.json, text)
    return paths


def to_json(report: Report) -> str:
    """Return report.json's text: the schema first, then the keys in the order of the contract.

    Raises:
        ConfigError: A figure is NaN or infinite.
    """
    document = codec.encode(report)
    ordered = {"schema": document.pop("schema"), **document}
    return json.dumps(ordered, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _unique(report: Report) -> Report:
    twice = [name for name, n in Counter(a.name for a in report.artifacts).items() if n > 1]
    if twice:
        raise ConfigError(f"two artifacts of a report share the name '{twice[0]}'", hint="give each a name of its own")
    return report


def _relative(report: Report, folder: Path) -> Report:
    return replace(report, artifacts=tuple(_artifact_paths(artifact, folder) for artifact in report.artifacts))


def _artifact_paths(artifact: ArtifactResult, folder: Path) -> ArtifactResult:
    exhibits = tuple(replace(one, path=_relative_path(one.path, folder)) for one in artifact.exhibits)
    return replace(artifact, path=_relative_path(artifact.path, folder), exhibits=exhibits)


def _relative_path(path: str, folder: Path) -> str:
    return relative_path(Path(path), folder) if Path(path).is_absolute() else path


def _provenance(report: Report, folder: Path) -> Mapping[str, Provenance]:
    found: dict[str, Provenance] = {}
    for artifact in report.artifacts:
        path = folder / artifact.path
        if not path.is_file():
            continue
        try:
            manifest = read_manifest(path)
        except EdgecvError:
            # A report may speak of foreign files, which carry no provenance that could be shown.
            continue
        if manifest is not None:
            found[artifact.name] = manifest.provenance
    return found
