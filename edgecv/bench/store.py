"""Raw measurements in a file: what a killed run leaves, and what the next one goes on with."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgecv.bench.cases import BenchCase, BenchPlan
from edgecv.bench.devices.base import Device
from edgecv.bench.records import Measurement
from edgecv.core import codec, files
from edgecv.core.errors import ConfigError

SCHEMA = "edgecv.bench/1"
Save = Callable[[Measurement], None]
"""Takes all that is known of a case, after each of its launches."""


def measurement_key(case: BenchCase, baseline: BenchCase | None, plan: BenchPlan, device: Device) -> str:
    """Return the digest of all that a measurement depends on; paths and names do not count, contents do."""
    identity = {
        "schema": SCHEMA,
        "case": _content(case),
        "baseline": None if baseline is None else _content(baseline),
        "plan": codec.encode(plan),
        "device": {"name": device.name, "facts": codec.encode(device.facts())},
    }
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def _content(case: BenchCase) -> dict[str, Any]:
    return {
        "sha256": files.sha256(case.path),
        "engine": case.engine,
        "accelerator": case.accelerator,
        "threads": case.threads,
        **_accelerator_options(case),
    }


def _accelerator_options(case: BenchCase) -> dict[str, Any]:
    # Left out where not given, so that results from before there were any stay known.
    given = {"precision": case.precision, "partial": case.partial}
    return {key: value for key, value in given.items() if value}


class ResultsFile:
    """A JSON file of measurements; `save` fits bench's `save`, keeps what the file had, and may be called by threads.

    Args:
        path: Need not exist.
    """

    def __init__(self, path: files.PathLike) -> None:
        self.path = Path(path)
        # Key to JSON: only what has changed is encoded again, since there is a save after each launch.
        self._encoded: dict[str, str] = {}
        self._own: set[str] = set()
        self._seen: tuple[int, ...] | None = None
        self._writing = threading.Lock()

    def read(self) -> tuple[Measurement, ...]:
        """Return the file's measurements, none when it does not exist.

        Raises:
            ConfigError: It is not such a file.
        """
        return _read(self.path) if self.path.exists() else ()

    def save(self, measurement: Measurement) -> None:
        """Add or replace a measurement, atomically; what other processes add to the file meanwhile stays in it.

        Raises:
            ConfigError: The file cannot be written, or is something else.
        """
        row = _encode(measurement)
        with self._writing, files.exclusive(self.path):
            self._take_over()
            self._encoded[measurement.key] = row
            self._own.add(measurement.key)
            rows = ",\n".join(self._encoded.values())
            files.write_text(self.path, f'{{"schema":"{SCHEMA}","measurements":[\n{rows}\n]}}\n')
            self._seen = self._stamp()

    def _take_over(self) -> None:
        """Read what others wrote since this one's last look; of what both measured, this one's stays."""
        if self._stamp() != self._seen:
            there = {found.key: _encode(found) for found in self.read()}
            self._encoded = {**there, **{key: self._encoded[key] for key in self._own}}

    def _stamp(self) -> tuple[int, ...] | None:
        """Return what changes whenever the file is replaced; None when there is none."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size


def _encode(measurement: Measurement) -> str:
    return json.dumps(codec.encode(measurement), separators=(",", ":"))


def _read(path: Path) -> tuple[Measurement, ...]:
    try:
        document = json.loads(files.read_bytes(path, what="results file"))
    except ValueError as error:
        raise ConfigError(f"results file {path} is not JSON: {error}", hint="choose another file") from error
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise ConfigError(f"{path} is not a bench results file (schema {SCHEMA})", hint="choose another file")
    rows = document.get("measurements", [])
    return tuple(codec.decode(Measurement, row, where=f"{path}: measurement {i}") for i, row in enumerate(rows))
