"""A file asked about a gallery that another file of the same network enrolled."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgecv.core.errors import ConfigError
from edgecv.core.progress import QUIET, Reporter
from edgecv.jobs.evaluate import EvaluationRequest, evaluate_file
from edgecv.modelio.model_file import model_file
from edgecv.runtime.gallery_origin import trained_sha256
from edgecv.tasks.embedding.mixing import Mixing, mixing
from edgecv.tasks.registry import task_of
from edgecv.values.evaluation import Evaluation


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixed:
    """How well a file answers, and how well with the vectors of another.

    Attributes:
        evaluation: The file alone.
        gallery: The gallery's model alone.
        gallery_model: Its file.
        mixing: Both, and mixed, on the same pairs.
    """

    evaluation: Evaluation
    gallery: Evaluation
    gallery_model: str
    mixing: Mixing

    @property
    def document(self) -> dict[str, Any]:
        """The file's evaluation as JSON data, with the mixing under "gallery"."""
        return {**self.evaluation.document, "gallery": {"model": self.gallery_model, "mixing": self.mixing}}


def evaluate_mixed(file: Path, gallery_model: Path, request: EvaluationRequest, *, reporter: Reporter = QUIET) -> Mixed:
    """Evaluate a file alone, and on pairs whose first sample the gallery's model saw.

    Both see the same samples; the gallery's model runs here, on the CPU.

    Raises:
        ConfigError: The file does not give vectors; or as `evaluate_file`.
        DataError: The vectors are of two lengths; or as `evaluate_file`.
        DeviceError: As `evaluate_file`.
    """
    own = evaluate_file(file, request, reporter=reporter)
    head = own.first.head
    if not task_of(head).is_features:
        raise ConfigError(
            f"{file} is for {head.task}, and galleries are of networks that give vectors (embedding)",
            hint="leave --gallery-model out",
        )
    there = EvaluationRequest(data=request.data, split=request.split, spec=request.spec)
    if request.source is not None:
        there = replace(there, source=replace(request.source, path=gallery_model))
    other = evaluate_file(gallery_model, there, reporter=reporter)
    if _origin(file) != _origin(gallery_model):
        reporter.warn(
            f"{file} and {gallery_model} do not stem from one trained file: edgecv gallery refuses to mix their vectors"
        )
    task: Any = task_of(head)
    found = mixing(other.first.evidence, own.first.evidence, task.settings(head).distance)
    return Mixed(evaluation=own, gallery=other, gallery_model=str(gallery_model), mixing=found)


def _origin(file: Path) -> str:
    return trained_sha256(file, model_file(file).manifest)
