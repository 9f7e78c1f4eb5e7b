"""Giving a .tflite that exists TFLite Metadata, or taking it away; its network and its manifest stay as they are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgecv.convert.converted import converted_tflite
from edgecv.convert.mediapipe import Mediapipe, attach, describe, told, without_metadata
from edgecv.core.errors import ConfigError, unknown_name
from edgecv.core.files import atomic_path, check_output, read_bytes, sha256
from edgecv.core.shown import Shown
from edgecv.modelio.model_file import model_file
from edgecv.runtime.container import check_tflite
from edgecv.values.spec_file import read_spec
from edgecv.values.specs import ModelSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewritten(Shown):
    """A .tflite whose metadata was written anew.

    Attributes:
        mediapipe: What MediaPipe makes of it; None where the metadata was taken away.
        added_bytes: How much larger than the file that it was made from.
    """

    path: str
    size_bytes: int
    added_bytes: int
    sha256: str
    mediapipe: Mediapipe | None = None


def rewritten(file: Path, metadata: str, *, out: Path, spec: Path | None = None, force: bool = False) -> Rewritten:
    """Write a .tflite anew with TFLite Metadata, or without.

    Args:
        file: A .tflite.
        metadata: "mediapipe" adds it, or replaces what is there; "none" takes it away.
        out: The .tflite to write; `file` itself with `force`.
        spec: TOML of its contract, for a file without a manifest.
        force: Replace what exists.

    Raises:
        ConfigError: There is no contract, or `out` cannot be written.
        UnsupportedModelError: The file is damaged, or MediaPipe cannot take it.
    """
    if metadata not in ("mediapipe", "none"):
        raise unknown_name("kind of metadata of a .tflite", metadata, ("mediapipe", "none"))
    if out.suffix != ".tflite":
        raise ConfigError(f"--out {out} is no .tflite", hint="metadata is for .tflite files")
    check_output(out, force=force)
    check_tflite(file)
    data = read_bytes(file, what="model")
    found = None
    if metadata == "mediapipe":
        ends = converted_tflite(data)
        described = describe(_contract(file, spec), ends.inputs, ends.outputs)
        found, data = told(described), attach(data, described)
    else:
        data = without_metadata(data)
    before = file.stat().st_size
    with atomic_path(out) as partial:
        partial.write_bytes(data)
    return Rewritten(
        path=str(out), size_bytes=len(data), added_bytes=len(data) - before, sha256=sha256(out), mediapipe=found
    )


def _contract(file: Path, spec: Path | None) -> ModelSpec:
    manifest = model_file(file).manifest
    if spec is not None:
        return read_spec(spec)
    if manifest is None:
        raise ConfigError(
            f"{file} carries no manifest, so nothing says how it is fed and read",
            hint=f"write its contract down: edgecv spec {file} --out spec.toml, and give --spec spec.toml",
        )
    return manifest.spec
