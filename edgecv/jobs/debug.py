"""Finding the layers that make an int8 file worse than the float one."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgecv.calibration import select
from edgecv.convert.check.samples import file_inputs
from edgecv.convert.debug_pair import draft
from edgecv.core import files
from edgecv.core.errors import ConfigError
from edgecv.core.progress import QUIET, Reporter, Unseen
from edgecv.core.shown import Shown
from edgecv.data import Dataset, Split, fitted
from edgecv.diagnose.layer_cost import Judge, Ranking, layer_costs
from edgecv.diagnose.layer_noise import LayerNoise, layer_noise
from edgecv.evaluate.evaluating import judge_of
from edgecv.jobs import contract, models
from edgecv.jobs.evaluate import open_artifact
from edgecv.modelio.model_file import model_file
from edgecv.report import debug_page
from edgecv.values import profiles
from edgecv.values.profiles import CalibrationRecipe
from edgecv.values.specs import ModelSpec

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Debugged(Shown):
    """What the layers of an int8 file do to it.

    Attributes:
        samples: Of the validation split.
        layers: The noise of every layer, in the order of execution.
        ranking: What each layer costs in the task's metric; None when that was not asked for.
        html: The page that shows it; None when none was written.
    """

    float_file: str
    int8_file: str
    samples: int
    layers: tuple[LayerNoise, ...]
    ranking: Ranking | None = None
    html: str | None = None


@dataclass(frozen=True, slots=True)
class Labelled:
    """Some samples of a split, stratified.

    Attributes:
        split: They alone.
        inputs: The network's input tensors for each, in the file's order.
    """

    split: Split
    inputs: tuple[list[Array], ...]

    def __len__(self) -> int:
        return len(self.inputs)


def debug(
    float_file: Path,
    int8_file: Path | None = None,
    *,
    data: str | None = None,
    calibration: str = "minmax",
    spec: Path | None = None,
    source: models.Source | None = None,
    samples: int = 64,
    rank: bool = False,
    top: int = 5,
    html: Path | None = None,
    force: bool = False,
    reporter: Reporter = QUIET,
) -> Debugged:
    """Compare both files layer by layer on samples of the validation split.

    Args:
        float_file: The float32 .tflite; or, alone, a float model of which both files are made here, whatever they
            answer.
        int8_file: The int8 .tflite that was made of the same model; None for a model that stands alone.
        calibration: Recipe for a model that stands alone.
        spec: TOML of a ModelSpec, for one without a manifest.
        source: How it is opened, but for its path and `spec`.
        data: A data set; None: what the model was trained on.
        samples: How many to run, spread evenly over the classes.
        rank: Also measure what each layer costs in the task's metric, and what helps.
        top: Layers that remedies are tried for.
        html: Where to write a page with the ranking; implies `rank`.
        force: Replace that page when it is there.
        reporter: Gets progress.

    Raises:
        ConfigError, DataError: The data set is missing or wrong, the page cannot be written, or a file is missing.
        UnsupportedModelError: The files are no .tflite of edgecv, or of different models.
    """
    page = files.check_output(html, force=force) if html is not None else None
    if int8_file is not None and model_file(float_file).is_keras:
        raise ConfigError(
            "a keras model stands alone: its files are made here",
            hint="edgecv debug float32.tflite int8.tflite, or edgecv debug model.keras",
        )
    if int8_file is not None:
        _check_ends(float_file, int8_file)
    with tempfile.TemporaryDirectory() as folder:
        made = (
            (float_file, int8_file)
            if int8_file is not None
            else _drafted(
                replace(source or models.Source(path=float_file), path=float_file, spec=spec),
                Path(folder),
                data,
                calibration,
                Unseen(reporter),
            )
        )
        chosen, judge = _samples(made[0], data, samples)
        judged = judge() if rank or page is not None else None
        layers = layer_noise(*made, chosen.inputs, total=len(chosen), reporter=reporter)
        ranking = layer_costs(*made, chosen.inputs, judged, top=top, reporter=reporter) if judged else None
    shown = str(int8_file or f"int8 of {float_file}")
    if page is not None and ranking is not None:
        files.write_text(page, debug_page.render(shown, str(float_file), ranking, layers))
    return Debugged(
        float_file=str(float_file),
        int8_file=shown,
        samples=len(chosen),
        layers=layers,
        ranking=ranking,
        html=str(page) if page is not None else None,
    )


def _check_ends(float_file: Path, int8_file: Path) -> None:
    """Raise ConfigError when one of two files ends at its logits and the other does not."""
    found = [model_file(file).manifest for file in (float_file, int8_file)]
    ends = [{head.name: head.activation for head in one.spec.heads} for one in found if one is not None]
    if len(ends) == 2 and ends[0] != ends[1]:
        raise ConfigError(
            f"{float_file} gives {', '.join(ends[0].values())}, {int8_file} {', '.join(ends[1].values())}: their last "
            "layers are not the same",
            hint="convert the float file with the same --softmax as the int8 one",
        )


def _drafted(
    model: models.Source, folder: Path, data: str | None, calibration: str, reporter: Reporter
) -> tuple[Path, Path]:
    source = contract.opened(model, data, reporter=reporter)
    dataset = models.open_data(data, source.manifest)
    return draft(source, folder, calibration=profiles.calibration(calibration), dataset=dataset, reporter=reporter)


def _samples(float_file: Path, data: str | None, count: int) -> tuple[Labelled, Callable[[], Judge]]:
    with open_artifact(float_file, apart=True) as predictor:
        spec, manifest = predictor.spec, predictor.manifest
        inputs, outputs = ([info.name for info in side] for side in (predictor.inputs, predictor.outputs))
    dataset = fitted(models.open_data(data, manifest), spec)
    chosen = labelled(dataset, spec, count, inputs=inputs)
    return chosen, lambda: judge_of(spec, chosen.split, dataset.name, targets=dataset.targets, outputs=outputs)


def labelled(dataset: Dataset, spec: ModelSpec, samples: int, *, inputs: Sequence[str]) -> Labelled:
    """Return samples of the validation split, spread evenly over the classes.

    Args:
        dataset: As the model takes it.
        spec: The model's contract.
        samples: How many.
        inputs: Names of the model's inputs, in its order.
    """
    split = dataset.split("validation")
    recipe = CalibrationRecipe(name="debug", title="Samples that layers are compared on", count=samples)
    chosen = split.take(select(split.strata, recipe, seed=0))
    return Labelled(chosen, tuple(file_inputs(chosen, spec, inputs)))
