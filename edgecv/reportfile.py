"""Reading report.json, and finding which of its warnings explains which unknown figure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, NoReturn

from edgecv import codec, files
from edgecv.errors import ConfigError
from edgecv.reportvalues import REPORT_SCHEMA, Report

# What a warning may call a figure when it says why the figure is unknown.
FIGURE_WORDS: dict[str, tuple[str, ...]] = {
    "metric": ("metric", "accuracy", "evaluat"),
    "drop": ("drop", "metric", "accuracy", "evaluat"),
    "latency": ("latency", "benchmark", "bench", "timed"),
    "ratio_to_baseline": ("ratio", "baseline", "latency"),
    "mapping": ("mapping", "mapped", "inspect"),
}


def read(path: files.PathLike) -> Report:
    """Read report.json strictly.

    Args:
        path: The file.

    Raises:
        ConfigError: It is missing, not JSON, of another schema, or has unknown keys, missing keys, values of a
            wrong type or non-finite numbers; the message names the place.
    """
    raw = files.read_bytes(path, what="report")
    try:
        document = json.loads(raw.decode("utf-8"), parse_constant=_refuse_constant)
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise ConfigError(f"report {path} is not valid JSON: {error}", hint="make it again: edgecv report") from error
    _check_schema(document, path)
    return codec.decode(Report, document, where=str(path))


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"'{name}' is not JSON; an unknown figure is null")


def _check_schema(document: Any, path: files.PathLike) -> None:
    found = document.get("schema") if isinstance(document, dict) else None
    if found != REPORT_SCHEMA:
        raise ConfigError(
            f"{path} is not a report: expected the schema '{REPORT_SCHEMA}', got {found!r}",
            hint="give the report.json that edgecv wrote, or upgrade edgecv when the report is newer",
        )


def explanation(warnings: Iterable[str], name: str, figure: str) -> str | None:
    """Return the first warning that names both the artifact and the figure, or None.

    Args:
        warnings: Of a report.
        name: The artifact's.
        figure: A key of `FIGURE_WORDS`, or the name of a field of report.json.
    """
    whole_name = re.compile(rf"(?<![\w.-]){re.escape(name)}(?!\.?[\w-])")
    words = FIGURE_WORDS.get(figure, (figure,))
    for warning in warnings:
        if whole_name.search(warning) and any(word in warning.lower() for word in words):
            return warning
    return None
