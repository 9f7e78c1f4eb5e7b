"""Pictures of a report: read beside report.json, and put into report.html so that it stays one file."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path

from edgecv.report.markup import Markup, el
from edgecv.values.report import ArtifactResult, Report

LARGEST_BYTES = 4 << 20
"""A larger picture is linked by its path: the page stays small enough to open on a phone."""
_TYPES = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}


def embedded(report: Report, folder: Path) -> dict[str, str]:
    """Return the path of each PNG and JPEG of the report's exhibits as a data URI; others are left out."""
    paths = {exhibit.path for artifact in report.artifacts for exhibit in artifact.exhibits}
    found = {path: _data_uri(folder / path) for path in sorted(paths)}
    return {path: uri for path, uri in found.items() if uri}


def _data_uri(path: Path) -> str:
    if not path.is_file() or path.stat().st_size > LARGEST_BYTES:
        return ""
    content = path.read_bytes()
    # By content, not by name: nothing but pictures gets into the page.
    media = next((name for start, name in _TYPES.items() if content.startswith(start)), "")
    return f"data:{media};base64,{base64.b64encode(content).decode('ascii')}" if media else ""


def section(result: ArtifactResult, uris: Mapping[str, str]) -> Markup:
    """Return the exhibits of an artifact, a sentence in place of each picture that is not at hand."""
    if not result.exhibits:
        return Markup("")
    return el("div", el("h4", "Samples"), shown(result, uris))


def shown(result: ArtifactResult, uris: Mapping[str, str]) -> Markup:
    """Return the exhibits of an artifact side by side."""
    figures = [
        el(
            "figure",
            el("img", src=uris[one.path], alt=one.title, loading="lazy")
            if one.path in uris
            else el("p", f"The picture {one.path} was not at hand.", class_="note"),
            el("figcaption", f"{one.title}. {one.note}".strip()),
        )
        for one in result.exhibits
    ]
    return el("div", *figures, class_="exhibits")
