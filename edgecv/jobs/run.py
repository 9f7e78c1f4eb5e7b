"""Asking a file about images: one, several, or folders of them."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from edgecv.core.errors import ConfigError
from edgecv.core.files import check_output, write_bytes
from edgecv.core.progress import QUIET, Reporter
from edgecv.jobs import delegates, meaning
from edgecv.jobs.evaluate import EvaluationRequest, open_predictor
from edgecv.modelio.model_file import model_file
from edgecv.runtime.reading import images_in, loaded_sample
from edgecv.tasks.prediction import Labelled
from edgecv.values.run_options import DEFAULTS, RunOptions


def run(
    file: Path,
    images: Sequence[Path],
    *,
    top: int = 5,
    spec: Path | None = None,
    settings: Mapping[str, Any] = MappingProxyType({}),
    options: RunOptions = DEFAULTS,
    out: Path | None = None,
    force: bool = False,
    reporter: Reporter = QUIET,
) -> dict[str, Any]:
    """Return what a file says of images: {"file", "image", "engine", "heads"}, and "labels" where it ranks labels.

    "heads" maps the name of every head to its prediction's `to_dict`, of which ranked labels are the first `top`;
    "labels" has those of the first head. Several samples give {"file", "engine", "answers"}, one such entry each.

    Args:
        file: The model.
        images: Image files, or folders of them. A model of several inputs takes one file for each, in the spec's order.
        top: Labels to show.
        spec: The contract of a foreign model.
        settings: How answers are told, as `runtime.Predictor.predict` takes them.
        options: With what the file is run.
        out: Folder for pictures with the predictions drawn; None draws none.
        force: Replace pictures that are there.
        reporter: Gets remarks.

    Raises:
        DataError: An image is missing, corrupt, or has the wrong channels.
        ConfigError, UnsupportedModelError, DeviceError: The file cannot be run, or takes another number of images.
    """
    opened = model_file(file)
    with open_predictor(opened, EvaluationRequest(spec=spec, options=options)) as predictor:
        delegates.warn_wrong(opened, options.accelerator, reporter)
        meaning.check_steps(opened, predictor.spec, reporter)
        samples = _samples(images, len(predictor.spec.inputs), str(file))
        answers = []
        with reporter.bar(f"predict {opened.name}", len(samples)) as advance:
            for sample in samples:
                answers.append(_answer(predictor, sample, settings, top, out, force))
                advance()
        facts = {"file": str(file), "engine": predictor.engine}
        return {**facts, **answers[0]} if len(answers) == 1 else {**facts, "answers": answers}


def _samples(images: Sequence[Path], inputs: int, where: str) -> list[tuple[Path, ...]]:
    """Return the image files of each sample."""
    if inputs == 1:
        found: list[tuple[Path, ...]] = [(path,) for given in images for path in _files(given)]
        if not found:
            raise ConfigError(f"there are no images in {', '.join(map(str, images))}", hint="give an image file")
        return found
    if len(images) != inputs or any(path.is_dir() for path in images):
        raise ConfigError(
            f"{where} takes {inputs} images at once, got {len(images)}", hint="give one image file for each input"
        )
    return [tuple(images)]


def _files(given: Path) -> Iterator[Path]:
    if not given.is_dir():
        yield given
        return
    yield from images_in(given)


def _answer(
    predictor: Any, sample: tuple[Path, ...], settings: Mapping[str, Any], top: int, out: Path | None, force: bool
) -> dict[str, Any]:
    given = sample[0] if len(sample) == 1 else sample
    prediction = predictor.predict(given, **settings)
    heads = {name: _shown(each, top) for name, each in prediction.heads.items()}
    labels = {"labels": heads[predictor.spec.head.name]["labels"]} if isinstance(prediction, Labelled) else {}
    image = str(sample[0]) if len(sample) == 1 else [str(path) for path in sample]
    drawn = {} if out is None else {"drawn": str(_drawn(predictor, prediction, given, sample[0], out, force))}
    return {"image": image, **drawn, **labels, "heads": heads}


def _drawn(predictor: Any, prediction: Any, given: Any, image: Path, out: Path, force: bool) -> Path:
    """Write the prediction on the sample's first image as a PNG called like it."""
    target = check_output(out / f"{image.stem}.png", force=force)
    picture = io.BytesIO()
    prediction.draw(loaded_sample(given, predictor.spec)[0]).save(picture, format="PNG")
    out.mkdir(parents=True, exist_ok=True)
    write_bytes(target, picture.getvalue())
    return target


def _shown(prediction: Any, top: int) -> dict[str, Any]:
    found = dict(prediction.to_dict())
    return {**found, "labels": found["labels"][:top]} if isinstance(prediction, Labelled) else found
