"""Making a bundle: each network of a keras model to a file, the second calibrated on what the first one gives."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from edgecv.convert import Artifact
from edgecv.convert.bundle import BundleArtifact, write_bundle
from edgecv.core.errors import ConfigError
from edgecv.core.progress import QUIET, Reporter
from edgecv.data import Dataset
from edgecv.jobs import convert as artifacts
from edgecv.jobs.convert import Plan
from edgecv.modelio import LoadedModel
from edgecv.train.regions import cut_outs, parts_of
from edgecv.values.bundle import FEATURES


def bundled(
    loaded: LoadedModel,
    plan: Plan,
    dataset: Dataset | None,
    *,
    out: Path,
    format_: str = "tflite",
    reporter: Reporter = QUIET,
) -> BundleArtifact:
    """Convert each network of a detector of two stages, and write them with their contract into one file.

    Args:
        loaded: The keras model, with its contract.
        plan: How each of its networks is converted.
        dataset: Images; what the second network is calibrated and checked on is cut out of them.
        out: Where the file goes.
        format_: Of the networks' files, "tflite" or "onnx".
        reporter: Takes progress.

    Raises:
        UnsupportedModelError: The model is no detector of two stages.
        ConfigError, ConversionError: As `edgecv.convert.convert`, for one of the networks.
    """
    parts = parts_of(loaded.model, loaded.require_spec())
    if plan.metadata == "mediapipe":
        raise ConfigError("MediaPipe takes no bundles", hint="leave --metadata out")
    plan = replace(plan, metadata="none")
    made: dict[str, Artifact] = {}
    with tempfile.TemporaryDirectory(prefix="edgecv-") as folder:
        for role, (model, spec) in parts.items():
            assert loaded.manifest is not None
            part = replace(loaded, model=model, manifest=replace(loaded.manifest, spec=spec))
            data = dataset if role == FEATURES or dataset is None else cut_outs(parts, dataset)
            file = Path(folder) / f"{role}.{format_}"
            made[role] = artifacts.built(part, plan, data, out=file, format_=format_, reporter=reporter)
        return write_bundle(made, loaded, out)


def part_format(plan: Plan) -> str:
    """Return the format of a bundle's networks. Raises ConfigError for one that they cannot have."""
    if plan.format not in (None, "tflite", "onnx"):
        raise ConfigError(f"--format {plan.format} is no format of a bundle's networks", hint="tflite or onnx")
    return plan.format or "tflite"


def worst(parts: Sequence[Artifact]) -> Artifact:
    """Return the network whose answers are farthest from the float model's."""
    return min(parts, key=lambda part: float("inf") if part.check.sqnr_db is None else part.check.sqnr_db)
