"""Detectors of two stages: what the second network sees of an image, and training both, one after the other.

The region proposal network is trained first, then the second network on regions that the first one finds, whose
features do not change any more. Source: Ren et al. 2015, "Faster R-CNN", section 3.2, the first two of its four steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgecv.core.errors import UnsupportedModelError
from edgecv.core.progress import QUIET, Reporter
from edgecv.data import Dataset, Split, Target, match_targets
from edgecv.data.dataset import Image, Images, Indices, taken
from edgecv.data.truths import ObjectColumn
from edgecv.modelio.boundary import call, output_names
from edgecv.modelio.env import keras, tensorflow
from edgecv.modelio.towers import towers
from edgecv.runtime.image import preprocess
from edgecv.runtime.reading import frame_for
from edgecv.tasks import boxes
from edgecv.tasks.boxes import Objects
from edgecv.tasks.detection import regions as between
from edgecv.tasks.detection.regions import RegionTruth
from edgecv.tasks.detection.selective_search import selective_search
from edgecv.tasks.detection.settings import settings_of
from edgecv.train.batches import CACHE_BYTES
from edgecv.train.recipes import NO_AUGMENTATION, TrainRecipe
from edgecv.train.training import Trained, train
from edgecv.values.bundle import FEATURES, REGIONS
from edgecv.values.specs import Head, ModelSpec

Parts = dict[str, tuple[Any, ModelSpec]]


def parts_of(model: Any, spec: ModelSpec) -> Parts:
    """Return role -> network, with its part of the contract, of a detector of two stages.

    Raises:
        UnsupportedModelError: The model is none.
    """
    head = between.second_stage(spec)
    found = towers(model, spec) if head is not None else ()
    roles = (REGIONS,) if len(found) == 1 else (FEATURES, REGIONS)
    if head is None or len(found) != len(roles):
        raise UnsupportedModelError(
            f"'{spec.name}' is no detector of two stages", hint="name the file .tflite or .onnx"
        )
    return dict(zip(roles, found, strict=True))


def train_two_stages(
    model: Any,
    spec: ModelSpec,
    dataset: Dataset,
    recipe: TrainRecipe,
    *,
    state: Path | None = None,
    log_dir: Path | None = None,
    reporter: Reporter = QUIET,
) -> Trained:
    """Train both networks of a detector in place: `train`'s promises hold for each.

    Args:
        model: A detector of two stages.
        spec: Its contract.
        dataset: With objects of the model's labels.
        recipe: Of each of the two trainings; the second one's images are not augmented, since its features are fixed.
        state: Resume file; the second training's has ".1" appended.
        log_dir: As `train` takes it.
        reporter: Progress and remarks.

    Returns:
        The history of the second training, whose value is the share of regions that are named right, class by class.

    Raises:
        ConfigError, DataError: As `train`.
        UnsupportedModelError: The model is no detector of two stages, or has no features.
    """
    parts = parts_of(model, spec)
    if FEATURES not in parts:
        raise UnsupportedModelError(
            f"'{spec.name}' looks at an image's crops, which edgecv does not train", hint="train fast_rcnn instead"
        )
    first, own = parts[FEATURES]
    finder, second = _finder(own), parts[REGIONS]
    (place,) = match_targets([_objects(spec)], dataset.targets, dataset=dataset.name)
    if finder is not None:
        names = output_names(first)
        ends = [first.outputs[names.index(name)] for name in finder.outputs]
        reporter.info("first the network that proposes regions, then the one that names them")
        train(
            keras().Model(first.inputs, ends, name=first.name), replace(own, heads=(finder,)),
            _of_one_class(dataset, place, finder), recipe, state=state, log_dir=log_dir, reporter=reporter,
        )  # fmt: skip
    named = _of_regions(parts, dataset, place, reporter)
    fixed = replace(recipe, augmentation=NO_AUGMENTATION)
    later = None if state is None else state.with_name(f"{state.name}.1")
    logs = None if log_dir is None else log_dir / REGIONS
    done = train(second[0], second[1], named, fixed, state=later, log_dir=logs, reporter=reporter)
    return replace(done, model=model)


def cut_outs(parts: Parts, dataset: Dataset) -> Dataset:
    """Return what the second network takes of each image of a data set, computed when asked; without truths."""
    splits = {
        name: Split(name=name, images=CutOuts(see=Seen(parts), images=split.images), targets=())
        for name, split in dataset.splits.items()
    }
    return replace(dataset, targets=(), splits=splits)


class Seen:
    """The float networks of a detector: regions and what is cut out of them.

    Args:
        parts: The networks.
    """

    def __init__(self, parts: Parts) -> None:
        model, self.spec = parts.get(FEATURES, parts[REGIONS])
        self._second = parts[REGIONS][1]
        head = between.second_stage(self.spec)
        assert head is not None
        self._head, self._finder, self._crops = head, _finder(self.spec), FEATURES not in parts
        self._names = output_names(model)
        self._asked: Callable[[Any], Any] = tensorflow().function(lambda values: call(model, [values]))

    def look(self, image: Image, more: Any = None) -> tuple[Any, Any]:
        """Return where something may be in an image, float32 (n, 4) in input pixels, and its features (H, W, C).

        `more` regions go first. Without a network of features, those are the image's pixels.
        """
        values, outputs = self._answers(image)
        if self._finder is None:
            found = between.searched(values, self.spec.preprocessing, settings_of(self._head))
        else:
            found = between.proposals([outputs[n] for n in self._finder.outputs], self._finder, values.shape[:2])
        features = image if self._crops else outputs[self._head.outputs[0]]
        return found if more is None else np.concatenate([more, found]), features

    def cut(self, image: Image, regions: Any = None, features: Any = None) -> Image:
        """Return regions of an image as the second network takes them; of crops, the pixels of the first region.

        What is known of the image already, its regions or its features, is not computed again.
        """
        if self._crops:
            return _crop(image)
        if regions is None:
            regions, features = self.look(image)
        elif features is None:
            features = self._answers(image)[1][self._head.outputs[0]]
        return between.cut_out(features, regions, settings_of(self._head), self._second.input_shape)

    def _answers(self, image: Image) -> tuple[Any, dict[str, Any]]:
        values = preprocess(image, self.spec.input)
        answers = self._asked(values)
        return values[0], {name: np.asarray(one)[0] for name, one in zip(self._names, answers, strict=True)}


@dataclass(frozen=True, slots=True, kw_only=True)
class CutOuts:
    """Regions of images, or of their features, by the float networks: one sample an image.

    Attributes:
        see: The networks.
        images: What they are of.
        regions: Of each image; None finds them.
        features: Likewise, where they fit into memory; None computes them.
    """

    see: Seen
    images: Images
    regions: tuple[Any, ...] | None = None
    features: tuple[Any, ...] | None = None

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Image:
        known = [None if many is None else many[index] for many in (self.regions, self.features)]
        return self.see.cut(self.images[index], *known)

    def take(self, index: Indices) -> CutOuts:
        """Return those of the images at `index`."""
        known = [
            None if many is None else tuple(many[int(place)] for place in index)
            for many in (self.regions, self.features)
        ]
        return CutOuts(see=self.see, images=taken(self.images, index), regions=known[0], features=known[1])

    def digest(self, index: int) -> bytes:
        return self.images.digest(index) + (b"" if self.regions is None else self.regions[index].tobytes())


@dataclass(frozen=True, slots=True)
class RegionColumn:
    """What the regions of each image show."""

    items: tuple[RegionTruth, ...]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> RegionTruth:
        return self.items[index]

    def digest(self, index: int) -> bytes:
        """Return what identifies the truths of an image."""
        found = self.items[index]
        return found.regions.tobytes() + found.code.astype("<i8").tobytes()


def _of_regions(parts: Parts, dataset: Dataset, place: int, reporter: Reporter) -> Dataset:
    """Return the second network's data: regions that are found and, to train on, those of the objects themselves."""
    see, spec = Seen(parts), parts[FEATURES][1]
    head, splits = _objects(parts[REGIONS][1]), {}
    settings = settings_of(head)
    for name in ("train", "validation"):
        split, found, features, truths = dataset.split(name), list[Any](), list[Any](), list[RegionTruth]()
        with reporter.bar(f"regions of {name}", len(split)) as advance:
            for index in range(len(split)):
                image, truth = split.image(index), split.targets[place][index]
                frame = frame_for((image,), spec)
                assert frame is not None
                placed = boxes.warp(truth, frame)
                own = placed.xyxy[~np.asarray(placed.crowd)] if name == "train" else None
                regions, seen = see.look(image, own)
                found.append(regions[: settings.regions])
                features += [seen] if seen.nbytes * len(split) <= CACHE_BYTES else []
                truths.append(between.truth_of(regions, placed, settings))
                advance(1)
        images = CutOuts(
            see=see, images=split.images, regions=tuple(found), features=tuple(features) if features else None
        )
        splits[name] = Split(name=name, images=images, targets=(RegionColumn(tuple(truths)),))
    target = replace(dataset.targets[place], name=head.name)
    return replace(dataset, targets=(target,), splits=splits)


def _of_one_class(dataset: Dataset, place: int, finder: Head) -> Dataset:
    """Return the data set with its objects as those of the one class that a region proposal network knows."""
    splits = {
        name: replace(split, targets=(_one_class(split.targets[place]),)) for name, split in dataset.splits.items()
    }
    target = Target(name=finder.name, task=dataset.targets[place].task, labels=finder.labels)
    return replace(dataset, targets=(target,), splits=splits)


def _one_class(column: Any) -> ObjectColumn:
    found: Sequence[Objects] = [column[index] for index in range(len(column))]
    return ObjectColumn(tuple(Objects(one.xyxy, np.zeros(len(one), np.int64), one.crowd) for one in found))


def _finder(spec: ModelSpec) -> Head | None:
    return next((head for head in spec.heads if head.settings.get("decoder") == "rpn"), None)


def _objects(spec: ModelSpec) -> Head:
    head = between.second_stage(spec)
    assert head is not None
    return head


def _crop(image: Image) -> Image:
    height, width = image.shape[:2]
    found = selective_search(image, most=1)
    left, top, right, bottom = found[0].astype(int).tolist() if len(found) else (0, 0, width, height)
    return image[top:bottom, left:right]
