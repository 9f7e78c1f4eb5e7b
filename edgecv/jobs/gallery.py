"""Galleries as files: enrolling folders of images, asking who somebody is, choosing the threshold."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgecv.core.errors import ConfigError, DataError
from edgecv.core.files import exclusive
from edgecv.core.progress import QUIET, Reporter
from edgecv.data.tree import directories
from edgecv.evaluate import assess
from edgecv.jobs import models
from edgecv.jobs.evaluate import EvaluationRequest, open_predictor
from edgecv.modelio.model_file import ModelFile, model_file
from edgecv.runtime.gallery import Gallery, embedding_settings
from edgecv.runtime.gallery_origin import Origin, file_origin
from edgecv.runtime.reading import images_in
from edgecv.tasks.embedding.thresholds import Calibration
from edgecv.values.run_options import DEFAULTS, RunOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """How the model of a gallery's vectors is opened: its file, a foreign one's contract, and with what it runs."""

    model: Path
    spec: Path | None = None
    options: RunOptions = DEFAULTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled:
    """What enrolling added.

    Attributes:
        gallery: The file.
        added: Label to how many vectors were added.
        repeated: Images whose vectors the label had already, and which were not added again.
        labels: Number of labels in the gallery now; `vectors` of vectors.
    """

    gallery: str
    added: dict[str, int]
    repeated: list[str] = field(default_factory=list)
    labels: int
    vectors: int


def enrol(
    path: Path, asked: Asked, given: Sequence[Path], *, label: str | None = None, reporter: Reporter = QUIET
) -> Enrolled:
    """Add images to a gallery, which is made when there is none.

    Args:
        path: The gallery's file.
        asked: The model.
        given: Images or folders of images of one label; without a label, folders with a folder for each.
        label: Whom the images show.
        reporter: Told of each image.

    Raises:
        ConfigError: There are no images, the model gives no vectors, or the gallery is of another network.
        DataError: An image or the gallery is damaged.
        DeviceError: The model cannot be run.
    """
    wanted = _labelled(given, label)
    opened = model_file(asked.model)
    with _predictor(opened, asked) as predictor:
        embedding_settings(predictor.spec)
        origin = _origin(opened, predictor)
        # A gallery of another network is refused before the images are looked at, and again before it is written.
        if path.exists():
            _fitting(path, predictor.spec, origin, None)
        answers = _answers(predictor, [image for _, image in wanted], opened.name, reporter)
        with exclusive(path):
            gallery = _fitting(path, predictor.spec, origin, len(answers[0]))
            added, repeated = _add(gallery, wanted, answers)
            gallery.save(path)
    if repeated:
        reporter.warn(f"{len(repeated)} images were enrolled already, and are not added again: {repeated[0]}, …")
    return Enrolled(
        gallery=str(path), added=added, repeated=repeated, labels=len(gallery.counts()), vectors=len(gallery)
    )


def _add(
    gallery: Gallery, wanted: Sequence[tuple[str, Path]], answers: Sequence[Any]
) -> tuple[dict[str, int], list[str]]:
    """Enrol each answer under its label, but none that the label has already."""
    held = {(name, vector.tobytes()) for name, vector in zip(gallery.labels, gallery.vectors, strict=True)}
    added, repeated, groups = dict[str, int](), list[str](), dict[str, list[Any]]()
    for (name, image), answer in zip(wanted, answers, strict=True):
        key = (name, np.asarray(answer.vector, np.float32).tobytes())
        if key in held:
            repeated.append(str(image))
            continue
        held.add(key)
        groups.setdefault(name, []).append(answer)
    for name, vectors in groups.items():
        gallery.enrol(name, vectors)
        added[name] = len(vectors)
    return added, repeated


def identify(path: Path, asked: Asked, given: Sequence[Path], *, reporter: Reporter = QUIET) -> dict[str, Any]:
    """Return whom images show: {"gallery", "model", "engine", "threshold", "answers": [{"image", "label", "distance",
    "known"}]}.

    Arguments and errors as those of `enrol`; DataError also when the gallery is empty.
    """
    images = [image for one in given for image in _images(one)]
    opened = model_file(asked.model)
    with _predictor(opened, asked) as predictor:
        gallery = _existing(path)
        gallery.check(predictor.spec, _origin(opened, predictor), gallery.length)
        answers = _answers(predictor, images, opened.name, reporter)
        matches = gallery.identify_many(answers)
        engine = predictor.engine
    rows = [
        {"image": str(image), "label": match.label, "distance": match.distance, "known": match.known}
        for image, match in zip(images, matches, strict=True)
    ]
    return {
        "gallery": str(path), "model": str(asked.model), "engine": engine, "threshold": gallery.threshold,
        "answers": rows,
    }  # fmt: skip


def remove(path: Path, labels: Sequence[str]) -> dict[str, Any]:
    """Forget labels: {"gallery", "removed": {label: vectors}, "labels"}; all of them, or none when one is unknown.

    Raises:
        ConfigError: A label is not enrolled, or the gallery is missing.
        DataError: The gallery is damaged.
    """
    with exclusive(path):
        gallery = _existing(path)
        removed = {label: gallery.remove(label) for label in dict.fromkeys(labels)}
        gallery.save(path)
    return {"gallery": str(path), "removed": removed, "labels": len(gallery.counts())}


def listed(path: Path) -> dict[str, Any]:
    """Return what a gallery holds: its network, threshold, and {label: vectors}. Raises as `remove`."""
    gallery = _existing(path)
    return {
        "gallery": str(path),
        "network": gallery.origin.name,
        "variant": gallery.origin.variant,
        "trained_sha256": gallery.origin.sha256,
        "length": gallery.length,
        "measure": gallery.measure,
        "threshold": gallery.threshold,
        "labels": gallery.counts(),
    }


def calibrate(
    path: Path,
    *,
    far: float,
    asked: Asked | None = None,
    data: str | None = None,
    split: str = "validation",
    reporter: Reporter = QUIET,
) -> Calibration:
    """Choose a gallery's threshold, and write it into the file.

    Args:
        path: The gallery's file.
        far: Share of pairs of two identities that may count as one.
        asked: The model, to look at `data` with; None takes the enrolled vectors.
        data: Labelled samples, best of others than are enrolled; None takes what the model was trained on.
        split: Of the data.
        reporter: Told of each sample, and of samples that are too few for such a rate.

    Raises:
        ConfigError: The gallery is missing or of another network, or there is no such split.
        DataError: There are no pairs of one label, or none of two.
    """
    if asked is None:
        if data is not None:
            raise ConfigError("--data needs the model that looks at it", hint="give the model after the gallery")
        with exclusive(path):
            gallery = _existing(path)
            found = gallery.calibrate(far)
            gallery.save(path)
    else:
        vectors, labels = _looked_at(path, asked, data, split, reporter)
        with exclusive(path):
            gallery = _existing(path)
            found = gallery.calibrate(far, vectors=vectors, labels=labels)
            gallery.save(path)
    if not found.resolved:
        reporter.warn(
            f"{found.impostor} pairs of two identities are too few to know a rate of {far:g}: take about "
            f"{round(10 / far)}, or a larger --far"
        )
    return found


def _looked_at(
    path: Path, asked: Asked, data: str | None, split: str, reporter: Reporter
) -> tuple[list[Any], list[str]]:
    """Return the vectors of a split's samples, and their identities."""
    opened = model_file(asked.model)
    with _predictor(opened, asked) as predictor:
        gallery = _existing(path)
        gallery.check(predictor.spec, _origin(opened, predictor), gallery.length)
        dataset, chosen = models.judged(data, opened.manifest, split, reporter)
        if models.has_seen(opened.manifest, dataset, chosen):
            reporter.warn(f"the model was trained on {chosen} of {dataset.name}: strangers will be closer than these")
        evidence = assess(predictor, dataset, chosen, name=opened.name, reporter=reporter).first.evidence
    return [vector for vector, _ in evidence], [str(identity) for _, identity in evidence]


@contextlib.contextmanager
def _predictor(opened: ModelFile, asked: Asked) -> Iterator[Any]:
    with open_predictor(opened, EvaluationRequest(spec=asked.spec, options=asked.options)) as predictor:
        if len(predictor.spec.inputs) != 1:
            raise ConfigError(
                f"{opened.path} compares {len(predictor.spec.inputs)} images, and a gallery needs a network that gives "
                "a vector for one",
                hint="take the encoder alone",
            )
        embedding_settings(predictor.spec)
        yield predictor


def _origin(opened: ModelFile, predictor: Any) -> Origin:
    return file_origin(opened.path, predictor.spec, opened.manifest)


def _existing(path: Path) -> Gallery:
    if not path.exists():
        raise ConfigError(f"gallery {path} does not exist", hint="make it with edgecv gallery enrol")
    return Gallery.load(path)


def _fitting(path: Path, spec: Any, origin: Origin, length: int | None) -> Gallery:
    """Return the gallery of a file, or a new one when there is none."""
    if not path.exists():
        assert length is not None
        return Gallery.for_spec(spec, origin, length)
    gallery = Gallery.load(path)
    gallery.check(spec, origin, gallery.length if length is None else length)
    return gallery


def _answers(predictor: Any, images: Sequence[Path], name: str, reporter: Reporter) -> list[Any]:
    found = []
    with reporter.bar(f"look at images with {name}", len(images)) as advance:
        for image in images:
            found.append(predictor.predict(image))
            if not np.isfinite(found[-1].vector).all():
                raise DataError(f"{name} answers NaN or infinity to {image}", hint="check the image and the model")
            advance()
    return found


def _labelled(given: Sequence[Path], label: str | None) -> list[tuple[str, Path]]:
    """Return a label for each image."""
    if label is not None:
        return [(label, image) for one in given for image in _images(one)]
    found = [
        (name, image)
        for one in given
        for name, folder in (directories(one) if one.is_dir() else {}).items()
        for image in images_in(folder)
    ]
    if not found:
        raise ConfigError(
            f"nothing says whom the images of {', '.join(map(str, given))} show",
            hint="pass --label, or a folder with a folder of images for each label",
        )
    return found


def _images(given: Path) -> list[Path]:
    if not given.is_dir():
        return [given]
    found = images_in(given)
    if not found:
        raise ConfigError(f"there are no images in {given}", hint="give an image file, or a folder that holds some")
    return found
