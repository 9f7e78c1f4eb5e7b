"""Asking a file about one image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgecv.core.progress import QUIET, Reporter
from edgecv.jobs import delegates
from edgecv.jobs.evaluate import EvaluationRequest, open_predictor


def run(
    file: Path,
    image: Path,
    *,
    top: int = 5,
    spec: Path | None = None,
    engine: str | None = None,
    accelerator: str = "cpu",
    partial: bool = False,
    precision: str | None = None,
    reporter: Reporter = QUIET,
) -> dict[str, Any]:
    """Return what a file says of one image: {"file", "image", "engine", "labels": [{"label", "score"}], "heads"}.

    "heads" maps the name of every head to such a list; "labels" is that of the first.

    Raises:
        DataError: The image is missing, corrupt, or has the wrong channels.
        ConfigError, UnsupportedModelError, DeviceError: The file cannot be run.
    """
    request = EvaluationRequest(spec=spec, engine=engine, accelerator=accelerator, partial=partial, precision=precision)
    with open_predictor(file, request) as predictor:
        delegates.warn_wrong(file, accelerator, reporter)
        prediction = predictor.predict(image)
        heads = {
            name: [{"label": label, "score": float(score)} for label, score in ranked[:top]]
            for name, ranked in prediction.heads.items()
        }
        first = heads[predictor.spec.head.name]
        return {"file": str(file), "image": str(image), "engine": predictor.engine, "labels": first, "heads": heads}
