"""Asking a file about one image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgecv.core.progress import QUIET, Reporter
from edgecv.jobs import delegates
from edgecv.jobs.evaluate import EvaluationRequest, open_predictor
from edgecv.modelio.model_file import model_file
from edgecv.tasks.prediction import Labelled
from edgecv.values.run_options import DEFAULTS, RunOptions


def run(
    file: Path,
    image: Path,
    *,
    top: int = 5,
    spec: Path | None = None,
    options: RunOptions = DEFAULTS,
    reporter: Reporter = QUIET,
) -> dict[str, Any]:
    """Return what a file says of one image: {"file", "image", "engine", "heads"}, and "labels" where it ranks labels.

    "heads" maps the name of every head to its prediction's `to_dict`, of which ranked labels are the first `top`;
    "labels" has those of the first head.

    Raises:
        DataError: The image is missing, corrupt, or has the wrong channels.
        ConfigError, UnsupportedModelError, DeviceError: The file cannot be run.
    """
    opened = model_file(file)
    with open_predictor(opened, EvaluationRequest(spec=spec, options=options)) as predictor:
        delegates.warn_wrong(opened, options.accelerator, reporter)
        prediction = predictor.predict(image)
        heads = {name: _shown(each, top) for name, each in prediction.heads.items()}
        labels = {"labels": heads[predictor.spec.head.name]["labels"]} if isinstance(prediction, Labelled) else {}
        return {"file": str(file), "image": str(image), "engine": predictor.engine, **labels, "heads": heads}


def _shown(prediction: Any, top: int) -> dict[str, Any]:
    found = dict(prediction.to_dict())
    return {**found, "labels": found["labels"][:top]} if isinstance(prediction, Labelled) else found
