"""Pictures of a report: the samples that a file answers most unlike the float baseline, with both answers."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgecv.core import files
from edgecv.core.errors import ConfigError
from edgecv.data import Dataset, fitted, match_targets
from edgecv.evaluate.evaluating import Evaluable
from edgecv.runtime.image import preprocess_sample
from edgecv.runtime.reading import frame_for
from edgecv.tasks import drawing
from edgecv.tasks.registry import task_of
from edgecv.values.report import UNKNOWN, Exhibit
from edgecv.values.specs import ModelSpec

Array = np.ndarray[Any, Any]

FOLDER = "pictures"
"""Of a report, beside report.json."""
MOST = 4
LOOKED_AT = 512
_LONGEST = 640  # pixels of a panel's side: report.html holds the pictures
_KEPT_BYTES = 64 << 20  # of one model's answers: maps of large images are many megabytes each
_SAME = 1e-5  # of the largest value: two engines round the sums of float32 that far apart


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What a model's first head says of the first samples of a split.

    Attributes:
        spec: The model's contract.
        outputs: Per sample, the outputs of the head: float32 in real units, without the batch.
    """

    spec: ModelSpec
    outputs: tuple[tuple[Array, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """An exhibit and its file's content; `exhibit.path` is relative to the report."""

    exhibit: Exhibit
    png: bytes


def answers(predictor: Evaluable, dataset: Dataset, split: str) -> Answers | None:
    """Ask a model about at most the first 512 samples of a split; fewer where answers are large.

    Returns:
        The answers; None for a model whose first input is no image.

    Raises:
        DataError: An image is corrupt.
        DeviceError: The interpreter or the accelerator failed.
    """
    spec = predictor.spec
    if spec.input.preprocessing is None:
        return None
    samples, found, left = fitted(dataset, spec).split(split), [], _KEPT_BYTES
    for index in range(min(LOOKED_AT, len(samples))):
        tensors = predictor.run(preprocess_sample(samples.sample(index), spec))
        # Copied, so that the other heads and outputs are not kept.
        found.append(tuple(np.array(tensors[place][0], np.float32) for place in predictor.bound_outputs[0]))
        left -= sum(output.nbytes for output in found[-1])
        if left <= 0 and len(found) >= MOST:
            break
    return Answers(spec=spec, outputs=tuple(found))


def pictures(
    base: Answers | None, own: Answers | None, dataset: Dataset, split: str, *, name: str, scheme: str
) -> tuple[Picture, ...]:
    """Draw the samples that two models answer most differently: truth, float model and file side by side.

    How much two answers differ, the task of the first head says. What float32 rounds away is no difference: a file that
    answers like the baseline has no pictures.

    Args:
        base: Of the float model.
        own: Of the file.
        dataset: What both were asked about.
        split: Its name.
        name: Of the artifact; pictures are called after it.
        scheme: Of the artifact.
    """
    if base is None or own is None:
        return ()
    samples, apart = fitted(dataset, own.spec), differences(base, own)
    return tuple(
        Picture(
            exhibit=Exhibit(
                title=f"Sample {index} of {split}: truth, float model, {_title(scheme)}",
                path=picture_path(name, number),
                note=_difference(own.spec, base.outputs[index], own.outputs[index])[1],
            ),
            png=_png(_row(base, own, samples, split, index, scheme)),
        )
        for number, index in enumerate(most_different(apart), start=1)
    )


def differences(base: Answers, own: Answers) -> Array:
    """Return how far two models' answers lie apart, float64 (n,); 0 where alike, infinite where of other shapes."""
    pairs = zip(base.outputs, own.outputs, strict=False)
    return np.array([_difference(own.spec, ours, theirs)[0] for ours, theirs in pairs], np.float64)


def most_different(apart: Array) -> list[int]:
    """Return the indices of at most `MOST` samples, most different first; of equals, the earlier first."""
    order = np.argsort(-apart, kind="stable")[:MOST]
    return [int(index) for index in order if apart[index] > 0]


def picture_path(name: str, number: int) -> str:
    """Return the path of a picture of an artifact, relative to the report; numbers start at 1."""
    return f"{FOLDER}/{name}-{number}.png"


def check_free(names: Sequence[str], out: Path, *, force: bool) -> None:
    """Raise ConfigError when a picture of an artifact is in a report's folder and `force` is false."""
    for path in _possible(names, out):
        if path.exists() and not force:
            raise ConfigError(f"{path} already exists", hint="choose another --out, or pass --force to replace it")


def write(made: Sequence[Picture], names: Sequence[str], out: Path) -> None:
    """Write the pictures of a report, and remove what an earlier report of the same artifacts has beyond them.

    Raises:
        ConfigError: The folder cannot be written.
    """
    for picture in made:
        files.write_bytes(out / picture.exhibit.path, picture.png)
    kept = {out / picture.exhibit.path for picture in made}
    for path in _possible(names, out):
        if path not in kept:
            path.unlink(missing_ok=True)


def _possible(names: Sequence[str], out: Path) -> list[Path]:
    return [out / picture_path(name, number) for name in names for number in range(1, MOST + 1)]


def _difference(spec: ModelSpec, ours: Sequence[Array], theirs: Sequence[Array]) -> tuple[float, str]:
    if [one.shape for one in ours] != [one.shape for one in theirs]:
        return float("inf"), ""
    if all(map(_is_same, ours, theirs)):
        return 0.0, ""
    return task_of(spec.head).difference(ours, theirs, spec.head, spec.input.shape[:2])


def _is_same(ours: Array, theirs: Array) -> bool:
    if not ours.size:
        return True
    apart = np.abs(ours.astype(np.float64) - theirs).max()
    return bool(apart <= _SAME * max(1.0, float(np.abs(ours).max())))


def _title(scheme: str) -> str:
    return "file" if scheme == UNKNOWN else scheme


def _row(base: Answers, own: Answers, dataset: Dataset, split: str, index: int, scheme: str) -> Any:
    samples, head = dataset.split(split), own.spec.head
    sample, task = samples.sample(index), task_of(head)
    (column,) = match_targets([head], dataset.targets, dataset=dataset.name)
    labels = dataset.targets[column].labels or head.labels
    image: Any = sample if task.compares > 1 else sample[0]
    panels = [task.render(image, None, samples.targets[column][index], labels)]
    for one in (base, own):
        said = task_of(one.spec.head).decode(one.outputs[index], one.spec.head, frame_for(sample, one.spec))
        panels.append(said.draw(image))
    for panel in panels:
        panel.thumbnail((_LONGEST, _LONGEST))
    return drawing.beside(panels, ("truth", "float", _title(scheme)))


def _png(picture: Any) -> bytes:
    content = io.BytesIO()
    picture.save(content, format="PNG")
    return content.getvalue()
