"""`edgecv verify FILE --as mediapipe`: a file in MediaPipe Tasks beside the same file in edgecv's runtime.

Twice: of images that have the input's size already, where both must agree, and of the images as they are, where
MediaPipe feeds them in its own way. The first judges the metadata; the second tells what an app will see. That
MediaPipe writes pixels as they are into a uint8 input counts in the second alone.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgecv.convert.check import samples
from edgecv.convert.converted import converted_tflite
from edgecv.convert.mediapipe import Described, describe, has_metadata
from edgecv.core.apart import Apart as Child
from edgecv.core.errors import ConfigError, MissingDependencyError, UnsupportedModelError
from edgecv.core.files import read_bytes
from edgecv.core.progress import QUIET, Reporter
from edgecv.core.shown import Shown
from edgecv.jobs import mediapipe_compare as comparing
from edgecv.jobs import models
from edgecv.jobs.evaluate import EvaluationRequest, open_predictor
from edgecv.modelio.model_file import ModelFile, model_file
from edgecv.runtime.image import fitted_image
from edgecv.tasks.mediapipe import OVERLAP
from edgecv.tasks.registry import task_of
from edgecv.values.kind import Kind
from edgecv.values.manifest import TensorInfo, unpack_array
from edgecv.values.specs import Head, InputSpec, ModelSpec

Array = np.ndarray[Any, Any]

VARIABLE = "EDGECV_MEDIAPIPE_PYTHON"
MOST = 8
"""Images that both are asked about."""
FLOAT, INTEGER = 0.002, 0.02
"""How far answers to one image of the input's size may be apart: of files of floats, and of others, whose kernels may
round a step the other way from one version to the next."""
FLOATS = ("float32", "float16", "dynamic")
FINE = 640
"""Pixels that the shorter side of an image has at least about, where boxes of whole pixels are compared."""
LEAST_SAME = 0.95
"""Of detections: scores that are alike may change places."""
PASSED_ON = ("score", "most", "normalise")
"""Settings of a head that an app gives MediaPipe as options."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How far MediaPipe and edgecv's runtime are apart over all images.

    Attributes:
        what: What the figure is.
        value: The largest.
        same: Share of images, pixels or detections that are the same; None where nothing is counted.
        same_what: What it is the share of.
    """

    what: str
    value: float
    same: float | None
    same_what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MediapipeVerification(Shown):
    """Whether MediaPipe answers as edgecv's runtime does.

    Attributes:
        engine: "MediaPipe 1.2.3".
        task: Its task that reads the file: "image_classifier", …
        n: Images that both were asked about, and `images`, where these come from.
        fitted: Of images that have the input's size: what judges.
        as_is: Of the images as they are, which MediaPipe feeds in its own way; None where that is the contract's.
        allowed: How far apart `fitted` may be.
        failure: The sentence for the user when it did not pass.
        limits: What MediaPipe does otherwise than edgecv's runtime.
        kind: How the figures came about.
    """

    path: str
    engine: str
    task: str
    n: int
    images: str
    fitted: Difference
    as_is: Difference | None
    allowed: float
    passed: bool
    failure: str
    limits: tuple[str, ...]
    kind: Kind = "measured"


def verify_as_mediapipe(
    file: Path, *, spec: Path | None = None, data: str | None = None, split: str = "test", reporter: Reporter = QUIET
) -> MediapipeVerification:
    """Load a file in MediaPipe Tasks, in an environment and a process of its own, and compare its answers.

    Args:
        file: A .tflite with TFLite Metadata.
        spec: The contract of a file without a manifest.
        data: Images; None: the bundled data that the model was trained on, else the file's golden inputs.
        split: Of the data.
        reporter: Told of what MediaPipe does otherwise.

    Raises:
        ConfigError: The data or the contract is wrong, or the file has no metadata.
        MissingDependencyError: There is no environment with MediaPipe.
        UnsupportedModelError: MediaPipe refuses the file, or cannot be told what its contract says.
        CrashError: The file ends MediaPipe's process.
    """
    python = mediapipe_python()
    opened = model_file(file)
    content = _content(opened)
    with open_predictor(opened, EvaluationRequest(spec=spec)) as predictor:
        ends = converted_tflite(content)
        described = describe(predictor.spec, ends.inputs, ends.outputs)
        _require_metadata(file, content)
        chosen, source = _images(opened, predictor.spec, data, split, reporter)
        for limit in described.limits:
            reporter.warn(f"MediaPipe: {limit}")
        with _mediapipe(file, described.kind, predictor.spec.head, python) as (child, engine):
            floats = opened.manifest is not None and opened.manifest.scheme in FLOATS
            pair = _Pair(predictor=predictor, child=child, described=described, floats=floats)
            small = [_fitted(image, predictor.spec.input, described.kind) for image in chosen]
            contract, predictor.spec = predictor.spec, _as_pixels(predictor.spec, ends.inputs[0])
            fitted = _summed(described.kind, [pair.apart(image) for image in small])
            changed, predictor.spec = predictor.spec != contract, contract
            other = any(image.shape[:2] != tuple(predictor.spec.input_shape[:2]) for image in chosen)
            as_is = _summed(described.kind, [pair.apart(image) for image in chosen]) if other or changed else None
    if described.kind == "object_detector" and fitted.same is None:
        reporter.warn(f"neither of the two found anything in {source}: --data with objects in it tells more")
    allowed = FLOAT if floats else comparing.ROUNDED.score if described.kind == "object_detector" else INTEGER
    failure = _failure(file, described.kind, fitted, allowed)
    return MediapipeVerification(
        path=str(file), engine=engine, task=described.kind, n=len(chosen), images=source, fitted=fitted, as_is=as_is,
        allowed=allowed, passed=not failure, failure=failure, limits=described.limits,
    )  # fmt: skip


def mediapipe_python() -> str:
    """Return the Python of an environment with MediaPipe.

    Raises:
        MissingDependencyError: `EDGECV_MEDIAPIPE_PYTHON` names none, and this Python has no mediapipe.
    """
    named = os.environ.get(VARIABLE)
    if named:
        return named
    if importlib.util.find_spec("mediapipe") is not None:
        return sys.executable
    raise MissingDependencyError(
        f"MediaPipe is needed, in an environment of its own: {VARIABLE} names no Python that has it",
        hint=f"make mediapipe makes one; then {VARIABLE}=.venv-mediapipe/bin/python edgecv verify …",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    """Both that are asked."""

    predictor: Any
    child: Child
    described: Described
    floats: bool

    def apart(self, image: Array) -> comparing.Apart:
        """Return how far their answers to an image are apart."""
        asked = comparing.Asked(
            kind=self.described.kind,
            heads=self.described.heads,
            places=self.predictor.bound_outputs,
            spec=self.predictor.spec,
            tolerance=comparing.EXACT if self.floats else comparing.ROUNDED,
            least=float(getattr(_settings(self.predictor.spec.head), "score", 0.0)),
        )
        raw = self.described.heads[0].decoding is not None
        # As MediaPipe suppresses, whatever the class, so that decoding is what is compared.
        own = self.predictor.predict(image, **({"nms": "agnostic", "iou": OVERLAP} if raw else {}))
        theirs = self.child.call("answer", _rgb(image))
        return comparing.compared(asked, own, theirs, (image.shape[0], image.shape[1]))


@contextmanager
def _mediapipe(file: Path, kind: str, head: Head, python: str) -> Iterator[tuple[Child, str]]:
    settings = _settings(head)
    given = {name: getattr(settings, name) for name in PASSED_ON if hasattr(settings, name)}
    factory = "edgecv.runtime.mediapipe_task:MediapipeTask"
    with Child(factory, kind, str(file.resolve()), given, about=file, python=python) as child:
        yield child, f"MediaPipe {child.call('version')}"


def _settings(head: Head) -> Any:
    return task_of(head).settings(head)


def _content(opened: ModelFile) -> bytes:
    if opened.format != "tflite":
        raise ConfigError(f"MediaPipe takes .tflite files, and {opened.path} is none", hint="convert it to .tflite")
    return read_bytes(opened.path, what="model")


def _require_metadata(file: Path, content: bytes) -> None:
    if not has_metadata(content):
        raise UnsupportedModelError(
            f"{file} has no TFLite Metadata, by which MediaPipe knows how it is fed and read",
            hint=f"edgecv convert {file} --metadata mediapipe --out NEW.tflite",
        )


def _images(opened: ModelFile, spec: Any, data: str | None, split: str, reporter: Reporter) -> tuple[list[Array], str]:
    """Return images, and what is said of where they come from."""
    manifest = opened.manifest
    bundled = manifest is not None and manifest.provenance.dataset in models.BUNDLED
    if data is not None or bundled:
        dataset, name = models.judged(data, manifest, split, reporter)
        images = dataset.split(name).images
        places = np.unique(np.linspace(0, len(images) - 1, MOST).round().astype(int))
        return [np.asarray(images[int(place)]) for place in places], f"{name} of {dataset.name}"
    if manifest is not None and manifest.golden:
        return [unpack_array(one.inputs[0]) for one in manifest.golden], "the file's golden inputs"
    made = samples.check_samples(None, spec, seed=0)[:MOST]
    return [np.asarray(sample[0]) for sample in made], "noise: --data gives it images"


def _fitted(image: Array, only: InputSpec, kind: str) -> Array:
    """Return an image that both bring to the input's size alike: of that size, or every pixel an odd number of times.

    A detector tells whole pixels, so it gets the larger one: both resize it to the pixels that were repeated.
    """
    small = fitted_image(image, only)
    assert only.preprocessing is not None
    if kind != "object_detector" or only.preprocessing.resize == "pad":
        return small
    times = FINE // min(only.shape[:2]) // 2 * 2 + 1
    return small.repeat(times, axis=0).repeat(times, axis=1)


def _as_pixels(spec: ModelSpec, info: TensorInfo) -> ModelSpec:
    """Return a contract by which a uint8 input holds pixels as they are, as MediaPipe fills it; others as they are."""
    only = spec.input
    if info.dtype != "uint8" or info.scale is None or only.preprocessing is None:
        return spec
    mean, std = float(info.zero_point or 0), 1 / info.scale
    own = only.preprocessing
    if np.allclose((own.mean, own.std), ((mean,) * 3, (std,) * 3), atol=1e-3):
        return spec
    changed = replace(only, preprocessing=replace(own, mean=(mean,) * 3, std=(std,) * 3))
    return replace(spec, inputs=(changed,))


def _rgb(image: Array) -> Array:
    planes = image[:, :, None] if image.ndim == 2 else image
    return np.ascontiguousarray(np.repeat(planes, 3, axis=2) if planes.shape[2] == 1 else planes)


def _summed(kind: str, found: Sequence[comparing.Apart]) -> Difference:
    what, same_what = comparing.WHAT[kind]
    count = sum(one.count for one in found)
    counted = bool(same_what) and count > 0
    return Difference(
        what=what,
        value=max(one.value for one in found),
        same=sum(one.same for one in found) / count if counted else None,
        same_what=f"{same_what} {count:,} {comparing.UNITS[kind]}" if counted else "",
    )


def _failure(file: Path, kind: str, fitted: Difference, allowed: float) -> str:
    if not fitted.value <= allowed:
        return f"{file}: MediaPipe answers otherwise: {fitted.what} {fitted.value:.4g}, allowed {allowed:g}"
    if kind == "object_detector" and fitted.same is not None and fitted.same < LEAST_SAME:
        return f"{file}: MediaPipe answers otherwise: {fitted.same_what}, {fitted.same:.1%}, at least {LEAST_SAME:.0%}"
    return ""
