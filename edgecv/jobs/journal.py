"""Steps that are done once: a job that was killed goes on, and one whose inputs changed starts that step over."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from edgecv.core import codec
from edgecv.core.errors import ConfigError
from edgecv.core.files import read_bytes, sha256, write_text
from edgecv.core.progress import QUIET, Reporter
from edgecv.modelio import tool_versions

SCHEMA = "edgecv.journal/1"


class Journal:
    """Remembers, in a file, which outputs were made from what.

    An output is kept when its own content, the content of its inputs, the step's settings and the tool versions are
    those of when it was made: hashes of contents, never dates or names.

    Args:
        path: Of the journal; need not exist.
        reporter: Told what is kept and what is made.
    """

    def __init__(self, path: Path, reporter: Reporter = QUIET) -> None:
        self._path = path
        self._reporter = reporter
        self._records = _read(path)

    def run(
        self, out: Path, make: Callable[[], object], *, inputs: Sequence[Path] = (), settings: Mapping[str, Any]
    ) -> bool:
        """Make `out` unless it stands as it was made from the same inputs and settings; say whether it was made.

        Args:
            out: The step's output; `make` writes it whole or not at all.
            make: Does the work.
            inputs: Files that it reads.
            settings: JSON data that it depends on.
        """
        key = content_key([sha256(path) for path in inputs], settings)
        record = self._records.get(out.name)
        if record and record["key"] == key and out.exists() and sha256(out) == record["sha256"]:
            self._reporter.info(f"kept: {out}")
            return False
        make()
        self._records[out.name] = {"key": key, "sha256": sha256(out)}
        write_text(self._path, json.dumps({"schema": SCHEMA, "steps": self._records}, indent=1, sort_keys=True))
        return True


def content_key(inputs: Sequence[str], settings: Mapping[str, Any]) -> str:
    """Return the digest of all that an output depends on: hashes of its inputs, settings, and the tools' versions."""
    facts = {"inputs": list(inputs), "settings": codec.encode(settings), "tools": tool_versions()}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _read(path: Path) -> dict[str, dict[str, str]]:
    if not path.exists():
        return {}
    try:
        document = json.loads(read_bytes(path, what="journal"))
        if document["schema"] != SCHEMA:
            raise ValueError(f"schema {document['schema']}")
        return {str(k): {"key": v["key"], "sha256": v["sha256"]} for k, v in document["steps"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path} is not a journal of edgecv: {error}", hint="remove it to start over") from error


def write_record(path: Path, value: Any) -> None:
    """Write what a step came to, a frozen value, as JSON."""
    write_text(path, json.dumps(codec.encode(value), sort_keys=True))


def read_record(path: Path) -> dict[str, Any]:
    """Return what `write_record` wrote. Raises ConfigError when it is damaged."""
    try:
        found = json.loads(read_bytes(path, what="record of a step"))
    except ValueError as error:
        raise ConfigError(f"{path} is damaged: {error}", hint="remove it: its step is taken again") from error
    if not isinstance(found, dict):
        raise ConfigError(f"{path} is no record of a step", hint="remove it: its step is taken again")
    return found
