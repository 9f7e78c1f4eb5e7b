"""Making a bundle: each network of a keras model to a file, the second calibrated on what the first one gives."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgecv.convert import Artifact
from edgecv.convert.bundle import BundleArtifact, write_bundle
from edgecv.core.errors import ConfigError, UnsupportedModelError
from edgecv.core.progress import QUIET, Reporter
from edgecv.data import Dataset
from edgecv.data.dataset import Image, Images, Split
from edgecv.jobs import convert as artifacts
from edgecv.jobs.convert import Plan
from edgecv.modelio import LoadedModel
from edgecv.modelio.boundary import call, output_names
from edgecv.modelio.towers import towers
from edgecv.runtime.image import preprocess
from edgecv.tasks.detection import regions as between
from edgecv.tasks.detection.selective_search import selective_search
from edgecv.tasks.detection.settings import settings_of
from edgecv.values.bundle import FEATURES, REGIONS
from edgecv.values.specs import Head, ModelSpec

SUFFIX = ".edgecv"
Parts = dict[str, tuple[Any, ModelSpec]]


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
    parts = _parts(loaded)
    made: dict[str, Artifact] = {}
    with tempfile.TemporaryDirectory(prefix="edgecv-") as folder:
        for role, (model, spec) in parts.items():
            assert loaded.manifest is not None
            part = replace(loaded, model=model, manifest=replace(loaded.manifest, spec=spec))
            data = dataset if role == FEATURES or dataset is None else cut_outs(parts, dataset)
            file = Path(folder) / f"{role}.{format_}"
            made[role] = artifacts.built(part, plan, data, out=file, format_=format_, reporter=reporter)
        return write_bundle(made, loaded, out)


def _parts(loaded: LoadedModel) -> Parts:
    spec = loaded.require_spec()
    head = between.second_stage(spec)
    found = towers(loaded.model, spec) if head is not None else ()
    roles = (REGIONS,) if len(found) == 1 else (FEATURES, REGIONS)
    if head is None or len(found) != len(roles):
        raise UnsupportedModelError(
            f"{loaded.path}: '{spec.name}' is no detector of two stages, which a {SUFFIX} file is for",
            hint="name the file .tflite or .onnx",
        )
    return dict(zip(roles, found, strict=True))


def cut_outs(parts: Parts, dataset: Dataset) -> Dataset:
    """Return what the second network takes of each image of a data set: regions that are cut out, computed when asked.

    Raises:
        ConfigError: The model has one network, which calibrates on images as they are.
    """
    splits = {
        name: Split(name=name, images=CutOuts(parts=parts, images=split.images), targets=())
        for name, split in dataset.splits.items()
    }
    return replace(dataset, targets=(), splits=splits)


@dataclass(frozen=True, slots=True, kw_only=True)
class CutOuts:
    """Regions of images or of their features, by the float networks. One sample an image; of crops, the first region.

    Attributes:
        parts: The networks.
        images: What they are of.
    """

    parts: Parts
    images: Images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Image:
        model, spec = self.parts.get(FEATURES, self.parts[REGIONS])
        head = between.second_stage(spec)
        assert head is not None
        if FEATURES not in self.parts:
            return self._crop(self.images[index], head, spec)
        values = preprocess(self.images[index], spec)
        outputs = {
            name: np.asarray(out)[0] for name, out in zip(output_names(model), call(model, [values]), strict=True)
        }
        found = _regions(values[0], outputs, spec)
        shape = self.parts[REGIONS][1].input_shape
        return between.cut_out(outputs[head.outputs[0]], found, settings_of(head), shape)

    def take(self, index: np.ndarray[Any, np.dtype[np.int64]]) -> CutOuts:
        """Return those of the images at `index`."""
        from edgecv.data.dataset import taken

        return CutOuts(parts=self.parts, images=taken(self.images, index))

    def digest(self, index: int) -> bytes:
        return self.images.digest(index)

    def _crop(self, image: Image, head: Head, spec: ModelSpec) -> Image:
        """The first region of an image, as its pixels."""
        height, width = image.shape[:2]
        found = selective_search(image, most=1)
        left, top, right, bottom = found[0].astype(int) if len(found) else (0, 0, width, height)
        return image[top:bottom, left:right]


def _regions(values: Any, outputs: dict[str, Any], spec: ModelSpec) -> Any:
    finder = next((head for head in spec.heads if head.settings.get("decoder") == "rpn"), None)
    head = between.second_stage(spec)
    if finder is None and head is not None:
        return between.searched(values, spec.preprocessing, settings_of(head))
    assert finder is not None
    return between.proposals([outputs[name] for name in finder.outputs], finder, values.shape[:2])


def part_format(plan: Plan) -> str:
    """Return the format of a bundle's networks. Raises ConfigError for one that they cannot have."""
    if plan.format not in (None, "tflite", "onnx"):
        raise ConfigError(f"--format {plan.format} is no format of a bundle's networks", hint="tflite or onnx")
    return plan.format or "tflite"


def worst(parts: Sequence[Artifact]) -> Artifact:
    """Return the network whose answers are farthest from the float model's."""
    return min(parts, key=lambda part: float("inf") if part.check.sqnr_db is None else part.check.sqnr_db)
